use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail};

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

impl Function {
    /// Starts a function and waits until it is ready.
    pub fn start(launch: &Launch) -> Result<(Self, Start)> {
        let api = RuntimeApi::start()?;
        let address = api.address()?;
        let log = File::create(&launch.log)
            .with_context(|| format!("can't write the log {}", launch.log.display()))?;
        let folder = launch.bootstrap.parent().context("a bootstrap without a folder")?;
        let mut command = Command::new(&launch.bootstrap);
        command
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .envs(launch.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let at = clock::now();
        let child = command
            .spawn()
            .with_context(|| format!("can't start {}: is it built?", launch.bootstrap.display()))?;
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
    fn a_function_that_ends_at_once_tells_why() {
        let log = std::env::temp_dir().join(format!("bench-{}.log", uuid::Uuid::now_v7()));
        let launch = Launch { bootstrap: "/bin/false".into(), environment: Vec::new(), log: log.clone() };
        let error = Function::start(&launch).unwrap_err().to_string();
        fs::remove_file(log).unwrap();
        assert!(error.contains("ended with exit status: 1"), "{error}");
    }
}
