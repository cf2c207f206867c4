use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result};

use crate::{installation::Account, random_text};

/// Runs a server until its own standard input ends, which the operating system sees to when the process that started it
/// is gone; then it removes the folder. Before that a line `start` or `stop` ends the server, and `start` starts it again.
/// What this process was given open by others, say a lock, is not the server's.
const WATCHDOG: &str = r#"
folder=$1; signal=$2; shift 2
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
start() { "$@" </dev/null >>"$folder/log" 2>&1 & server=$!; }
end() { [ -z "$server" ] || { kill -s "$signal" $server; wait $server; }; server=; }
while read -r order; do
  end
  [ "$order" != start ] || start "$@"
  echo $server
done
end; rm -rf "$folder"
"#;

/// A folder for what a server writes, `log` among it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes one in the system's temporary folder.
    pub(crate) fn create(kind: &str, account: Account) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("{kind}-{}", random_text()));
        fs::create_dir(&folder).with_context(|| format!("can't make {}", folder.display()))?;
        let folder = Self(folder.canonicalize()?);
        account.own(&folder.0)?;
        Ok(folder)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// What the server said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.0.join("log")).unwrap_or_default()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The watchdog has done it already, as long as there was one.
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A server, which ends with this value, and with this process.
pub(crate) struct Process {
    watchdog: Child,
    answers: BufReader<ChildStdout>,
    /// Its number, if it was started.
    server: String,
}

impl Process {
    /// Starts a server that is to be ended with a signal, given by its name without `SIG`.
    pub(crate) fn start(server: &Command, folder: &Folder, signal: &str, account: Account) -> Result<Self> {
        let mut command = account.command("sh");
        command.args(["-c", WATCHDOG, "watchdog"]).arg(folder.path()).arg(signal);
        command.arg(server.get_program()).args(server.get_args());
        // Out of reach of a Ctrl-C in the terminal, which is for the process that started it.
        command.process_group(0).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut watchdog = command.spawn().context("can't start sh")?;
        let answers = BufReader::new(watchdog.stdout.take().context("sh has no output")?);
        let mut process = Self { watchdog, answers, server: String::new() };
        process.restart()?;
        Ok(process)
    }

    /// Whether there is no server, be it that it ended by itself: it is a zombie then, because the watchdog does not ask
    /// yet how it ended.
    pub(crate) fn has_ended(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/stat", self.server));
        // The number, the name in brackets, the state.
        status.map_or(true, |status| status.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('Z')))
    }

    /// Ends the server.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.order("stop")
    }

    /// Starts the server, after its end if it runs.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.order("start")
    }

    fn order(&mut self, order: &str) -> Result<()> {
        let orders = self.watchdog.stdin.as_mut().context("the watchdog listens")?;
        writeln!(orders, "{order}").context("the watchdog of a server is gone")?;
        self.server.clear();
        self.answers.read_line(&mut self.server)?;
        self.server.truncate(self.server.trim_end().len());
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        // Nothing is left to do if it has ended already.
        self.watchdog.wait().ok();
    }
}

impl Account {
    /// Makes a file or folder belong to whom servers run as.
    pub(crate) fn own(self, path: &Path) -> Result<()> {
        let Self::Other { id } = self else { return Ok(()) };
        chown(path, Some(id), Some(id)).with_context(|| format!("can't give {} away", path.display()))
    }

    /// A command that is run as whom servers run as.
    pub(crate) fn command(self, program: &str) -> Command {
        let mut command = Command::new(program);
        if let Self::Other { id } = self {
            command.uid(id).gid(id);
        }
        command
    }
}
