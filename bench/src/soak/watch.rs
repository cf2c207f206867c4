use std::{
    fs,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde::Serialize;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(1);

/// What a process has at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sample {
    /// Seconds since the beginning.
    pub at: f64,
    /// Memory that is not swapped out, in KiB.
    pub memory_kib: u64,
    /// Open files, connections among them.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
}

/// Looks at processes from time to time, as long as others work.
pub(super) struct Watch {
    start: Instant,
    is_over: AtomicBool,
    samples: Mutex<Vec<Vec<Sample>>>,
}

impl Watch {
    pub(super) fn new(processes: usize) -> Self {
        let samples = Mutex::new(vec![Vec::new(); processes]);
        Self { start: Instant::now(), is_over: AtomicBool::new(false), samples }
    }

    /// Looks until the end.
    pub(super) fn run(&self, processes: &[u32]) -> Result<()> {
        let mut next = self.start;
        while !self.is_over.load(Ordering::Relaxed) {
            for (index, process) in processes.iter().enumerate() {
                let sample = Sample::of(*process, self.start.elapsed())?;
                self.samples.lock().unwrap_or_else(PoisonError::into_inner)[index].push(sample);
            }
            next += EVERY;
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }

    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// What was seen of each process.
    pub(super) fn samples(self) -> Vec<Vec<Sample>> {
        self.samples.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sample {
    fn of(process: u32, at: Duration) -> Result<Self> {
        let path = format!("/proc/{process}/status");
        let status = fs::read_to_string(&path).with_context(|| format!("can't read {path}"))?;
        let (memory_kib, threads) = in_status(&status).with_context(|| format!("{path} has another form"))?;
        let descriptors = fs::read_dir(format!("/proc/{process}/fd"))?.count().try_into()?;
        Ok(Self { at: at.as_secs_f64(), memory_kib, descriptors, threads })
    }
}

/// Memory in KiB, and threads.
fn in_status(status: &str) -> Option<(u64, u64)> {
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some((value("VmRSS")?, value("Threads")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_looked_at() {
        assert_eq!(in_status("VmRSS:\t    5832 kB\nThreads:\t2\n"), Some((5832, 2)));
        assert_eq!(in_status("Threads:\t2\n"), None);
        let sample = Sample::of(std::process::id(), Duration::from_secs(2)).unwrap();
        assert!(sample.memory_kib > 100 && sample.threads > 0 && sample.descriptors > 2, "{sample:?}");
    }
}
