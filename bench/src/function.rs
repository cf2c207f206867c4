use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    clock::{self, Nanos},
    runtime_api::{Answer, RuntimeApi},
};

/// Lines of a function's log that an error shows.
const TAIL_LINES: usize = 12;

/// What it takes to start a function.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Its executable file.
    pub bootstrap: PathBuf,
    /// All variables of its environment but the address of the Runtime API.
    pub environment: Vec<(String, String)>,
    /// Where it logs.
    pub log: PathBuf,
}

/// A function that runs: one process of a `bootstrap` in an environment as Lambda makes it. It ends with this value.
#[derive(Debug)]
pub struct Function {
    child: Child,
    api: RuntimeApi,
    log: PathBuf,
}

/// The two moments of a start.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// When the process was started.
    pub at: Nanos,
    /// When it asked for the first event.
    pub ready: Nanos,
}

impl Launch {
    /// How long the function needs until it would turn to AWS for the first time: without a variable it has all the
    /// same to do until then, and what it does next is to tell that this variable is missing.
    pub fn time_to_refusal(&self, missing: &str) -> Result<Nanos> {
        let api = RuntimeApi::start()?;
        let mut command = self.command(&api)?;
        command.env_remove(missing).stdout(Stdio::piped()).stderr(Stdio::null());
        let at = clock::now();
        let mut child = self.spawn(&mut command)?;
        let mut output = BufReader::new(child.stdout.take().context("a function without an output")?);
        let read = output.fill_buf().map(|_| clock::now());
        let mut said = String::new();
        let told = read.and_then(|read| output.read_line(&mut said).map(|_| read));
        // As for every function: it may have ended already.
        child.kill().ok();
        child.wait().ok();
        let bootstrap = self.bootstrap.display();
        let told = told.with_context(|| format!("can't read what {bootstrap} says"))?;
        ensure!(
            said.contains(missing),
            "without {missing}, {bootstrap} should refuse to start, but it says: {said}"
        );
        Ok(told - at)
    }

    fn command(&self, api: &RuntimeApi) -> Result<Command> {
        let folder = self.bootstrap.parent().context("a bootstrap without a folder")?;
        let mut command = Command::new(&self.bootstrap);
        command
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", api.address()?)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(folder)
            .stdin(Stdio::null());
        Ok(command)
    }

    fn spawn(&self, command: &mut Command) -> Result<Child> {
        command.spawn().with_context(|| format!("can't start {}: is it built?", self.bootstrap.display()))
    }
}

impl Function {
    /// Starts a function and waits until it is ready.
    pub fn start(launch: &Launch) -> Result<(Self, Start)> {
        let api = RuntimeApi::start()?;
        let log = File::create(&launch.log)
            .with_context(|| format!("can't write the log {}", launch.log.display()))?;
        let mut command = launch.command(&api)?;
        command.stdout(log.try_clone()?).stderr(log);
        let at = clock::now();
        let child = launch.spawn(&mut command)?;
        let mut function = Self { child, api, log: launch.log.clone() };
        let Self { child, api, log } = &mut function;
        let ready = api.wait_until_ready(&mut || check(child, log))?;
        Ok((function, Start { at, ready }))
    }

    /// Hands an event to the function and waits for its answer, and until it is ready for the next one.
    pub fn invoke(&mut self, event: &str) -> Result<Answer> {
        let Self { child, api, log } = self;
        api.invoke(event, &mut || check(child, log))
    }

    /// The last lines that it logged, to be put behind an error.
    pub fn last_words(&self) -> String {
        last_words(&self.log)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Processor time so far, of all its threads.
    pub fn cpu(&self) -> Result<Nanos> {
        clock::cpu_of(self.id())
    }

    /// The most memory that it ever had at once, in KiB.
    pub fn peak_memory_kib(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.id());
        let status = fs::read_to_string(&path).with_context(|| format!("can't read {path}"))?;
        peak_memory_kib(&status).with_context(|| format!("no VmHWM in {path}"))
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // The only failure is that it has ended, which is what is wanted.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// An error with all that is known, if the process has ended.
fn check(child: &mut Child, log: &Path) -> Result<()> {
    if crate::interrupted() {
        bail!("interrupted");
    }
    match child.try_wait()? {
        Some(status) => bail!("the function ended with {status}{}", last_words(log)),
        None => Ok(()),
    }
}

fn last_words(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
    if last.is_empty() { String::new() } else { format!("\nThe last that it logged:\n{last}") }
}

fn peak_memory_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_memory_is_read() {
        assert_eq!(peak_memory_kib("VmPeak:\t  99 kB\nVmHWM:\t    5832 kB\nVmRSS:\t 1 kB\n"), Some(5832));
        assert_eq!(peak_memory_kib("VmRSS:\t 1 kB\n"), None);
    }

    #[test]
    fn a_refusal_has_to_be_about_what_is_missing() {
        let launch = |bootstrap: &str| Launch {
            bootstrap: bootstrap.into(),
            environment: vec![("SECRET_ID".to_owned(), "s".to_owned())],
            log: "unused".into(),
        };
        // Prints its environment, which the variable is missing from, but not as its own.
        let error = launch("/usr/bin/env").time_to_refusal("SECRET_ID").unwrap_err().to_string();
        assert!(
            error.contains("should refuse to start") && error.contains("AWS_LAMBDA_RUNTIME_API"),
            "{error}"
        );
        launch("/usr/bin/env").time_to_refusal("LAMBDA_RUNTIME").unwrap();
    }

    #[test]
    fn a_function_that_ends_at_once_tells_why() {
        let log = std::env::temp_dir().join(format!("bench-{}.log", uuid::Uuid::now_v7()));
        let launch = Launch { bootstrap: "/bin/false".into(), environment: Vec::new(), log: log.clone() };
        let error = Function::start(&launch).unwrap_err().to_string();
        fs::remove_file(log).unwrap();
        assert!(error.contains("ended with exit status: 1"), "{error}");
    }
}
