use std::{
    env, fmt,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// How long a process may take to end once it is asked to.
const GRACE: Duration = Duration::from_secs(5);
/// Lines of a log that are shown when the command behind it failed.
const TAIL_LINES: usize = 40;
/// Lines that are shown of what failed tests said.
const MAX_SAID_LINES: usize = 200;

/// The process groups that are running.
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// On Ctrl-C, and on being asked to end, stops all children; the task then ends because its children did. A second
/// Ctrl-C does not wait for that.
pub(crate) fn stop_on_signals() -> Result<()> {
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            signal_all(Signal::SIGKILL);
            std::process::exit(130);
        }
        signal_all(Signal::SIGTERM);
        thread::spawn(|| {
            thread::sleep(GRACE);
            signal_all(Signal::SIGKILL);
        });
    })
    .context("can't handle Ctrl-C")
}

/// Whether the task was asked to end.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Asks `condition` again and again until it has an answer, for as long as `deadline` allows.
pub(crate) fn eventually<T>(
    what: &str,
    deadline: Duration,
    every: Duration,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        if interrupted() {
            bail!("interrupted");
        }
        if start.elapsed() > deadline {
            bail!("{what}: not within {} s", deadline.as_secs());
        }
        thread::sleep(every);
    }
}

/// A command as every task runs it: with the installed tools on its path, and without what `cargo run` tells about
/// xtask itself, which would make a cargo below believe that its inputs changed.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    let mut path = vec![env::current_dir().unwrap_or_default().join(".local/venv/bin")];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    if let Ok(path) = env::join_paths(path) {
        command.env("PATH", path);
    }
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let of_this_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
        if text == "CARGO" || of_this_package.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end, with its output in `.local/logs/<log>.log`.
pub(crate) fn execute(command: &mut Command, log: &str) -> Result<()> {
    let log = log_to(command, log)?;
    let status = Group::start(command)?.wait()?;
    if status.success() { Ok(()) } else { Err(CommandFailed::new(command, status, log).into()) }
}

/// Runs a command to its end and gives what it printed; what it reports goes to `.local/logs/<log>.log`.
pub(crate) fn output(command: &mut Command, log: &str) -> Result<String> {
    let log = log_to(command, log)?;
    let printed = log.with_extension("out");
    command.stdout(File::create(&printed)?);
    let status = Group::start(command)?.wait()?;
    if !status.success() {
        return Err(CommandFailed::new(command, status, log).into());
    }
    Ok(fs::read_to_string(printed)?)
}

/// Sends a command's output to a log file.
pub(crate) fn log_to(command: &mut Command, log: &str) -> Result<PathBuf> {
    let path = log_path(log);
    fs::create_dir_all(".local/logs").context("can't create .local/logs")?;
    let file = File::create(&path).with_context(|| format!("can't write {}", path.display()))?;
    command.stdout(file.try_clone()?).stderr(file);
    Ok(path)
}

/// Where the output of a command goes.
pub(crate) fn log_path(log: &str) -> PathBuf {
    Path::new(".local/logs").join(log).with_extension("log")
}

/// What tells most of a failure: what failed tests said, or else the last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let said = said_by_failed_tests(&text);
    if !said.is_empty() {
        return said[..said.len().min(MAX_SAID_LINES)].join("\n");
    }
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// The lines of `cargo test` from the header of each failed test's output, `---- name stdout ----`, to the list of all
/// failed ones.
fn said_by_failed_tests(text: &str) -> Vec<&str> {
    let mut said = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        inside = line.starts_with("---- ") || (inside && line != "failures:");
        if inside {
            said.push(line);
        }
    }
    said
}

/// A command that ended with an error.
#[derive(Debug)]
pub(crate) struct CommandFailed {
    command: String,
    status: ExitStatus,
    log: PathBuf,
}

impl CommandFailed {
    /// The command ended like this, and this is where its output went.
    pub(crate) fn new(command: &Command, status: ExitStatus, log: PathBuf) -> Self {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        Self { command: words.join(" "), status, log }
    }

    /// The last that it said.
    pub(crate) fn tail(&self) -> String {
        tail(&self.log)
    }
}

impl fmt::Display for CommandFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ended with {} (all of its output: {})", self.command, self.status, self.log.display())
    }
}

impl std::error::Error for CommandFailed {}

/// A child with all processes that it starts. They end with this value.
pub(crate) struct Group {
    child: Child,
    id: Pid,
}

impl Group {
    /// Starts a command in a process group of its own, so that a Ctrl-C in the terminal reaches this task alone,
    /// which then ends its children in order.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut groups = groups();
        if interrupted() {
            bail!("interrupted");
        }
        let program = command.get_program().to_owned();
        let child = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("can't start {}", program.to_string_lossy()))?;
        let id = Pid::from_raw(child.id().try_into().context("a process id out of range")?);
        groups.push(id);
        Ok(Self { child, id })
    }

    /// The process id of the child.
    pub(crate) fn id(&self) -> i32 {
        self.id.as_raw()
    }

    /// Waits for the child's end.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// Whether the child has ended.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            signal(self.id, Signal::SIGTERM);
            let start = Instant::now();
            while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < GRACE {
                thread::sleep(Duration::from_millis(20));
            }
        }
        // The child's own children, and the child itself if it does not listen.
        signal(self.id, Signal::SIGKILL);
        if let Err(error) = self.child.wait() {
            eprintln!("process {} may still run: {error}", self.id);
        }
        groups().retain(|id| *id != self.id);
    }
}

fn groups() -> MutexGuard<'static, Vec<Pid>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn signal_all(kind: Signal) {
    groups().iter().for_each(|group| signal(*group, kind));
}

fn signal(group: Pid, signal: Signal) {
    // The only failure is that the group has ended, which is what is wanted.
    killpg(group, signal).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_tests_said_is_found() {
        let log = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\nfailures:\n\n---- b stdout ----\n\nthread 'b' \
                   panicked\n\nfailures:\n    b\n\ntest result: FAILED. 1 passed; 1 failed\n\n   Doc-tests c";
        assert_eq!(said_by_failed_tests(log), ["---- b stdout ----", "", "thread 'b' panicked", ""]);
        assert!(said_by_failed_tests("test result: ok. 1 passed").is_empty());
    }

    #[test]
    fn a_group_ends_with_all_that_it_started() {
        let group = Group::start(Command::new("sh").args(["-c", "sleep 600 & wait"])).unwrap();
        let id = group.id;
        killpg(id, None).unwrap();
        drop(group);
        eventually("the group is gone", GRACE, Duration::from_millis(10), || {
            Ok(killpg(id, None).is_err().then_some(()))
        })
        .unwrap();
    }
}
