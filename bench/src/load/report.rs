use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::Phased;

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// When it ended.
    pub date: String,
    /// One after the other.
    pub phases: Vec<Phased>,
    /// Messages in dead-letter queues, by the name of the queue.
    pub dead_letters: BTreeMap<String, u64>,
}

impl Report {
    pub(super) fn new(phases: Vec<Phased>, dead_letters: BTreeMap<String, u64>) -> Self {
        let date = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Self { date, phases, dead_letters }
    }

    /// An error if a request was not answered as it should be, or if a message is dead.
    pub fn check(&self) -> Result<()> {
        for phase in &self.phases {
            for (kind, requests) in &phase.kinds {
                let an_error = requests.an_error.as_deref().unwrap_or_default();
                ensure!(
                    requests.errors == 0,
                    "{}, {kind}: {} errors: {an_error}",
                    phase.name,
                    requests.errors
                );
            }
        }
        ensure!(self.dead_letters.is_empty(), "messages in dead-letter queues: {:?}", self.dead_letters);
        Ok(())
    }

    /// Writes `load.json`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
        let path = folder.join("load.json");
        let json = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&path, json).with_context(|| format!("can't write {}", path.display()))
    }

    /// All of it, for a terminal.
    pub fn text(&self) -> String {
        // Writing to a string can't fail.
        let mut text = String::new();
        writeln!(
            text,
            "{:<10} {:<20} {:>8} {:>7} {:>9} {:>9} {:>9}",
            "", "", "requests", "errors", "p50 ms", "p99 ms", "max ms"
        )
        .ok();
        for phase in &self.phases {
            for (kind, requests) in &phase.kinds {
                let latency = &requests.latency;
                let [p50, p99, max] = [latency.p50, latency.p99, latency.max].map(|micros| micros / 1000.0);
                writeln!(
                    text,
                    "{:<10} {kind:<20} {:>8} {:>7} {p50:>9.1} {p99:>9.1} {max:>9.1}",
                    phase.name, latency.count, requests.errors
                )
                .ok();
            }
            let requests: usize = phase.kinds.values().map(|requests| requests.latency.count).sum();
            let due = match phase.due_per_second {
                Some(rate) => format!("{rate} were due in a second"),
                None => "all were due at once".to_owned(),
            };
            writeln!(
                text,
                "{:<10} {requests} requests in {:.1} s over {} connections, {due}; queues drained after {:.1} s\n",
                phase.name, phase.seconds, phase.connections, phase.drain_seconds
            )
            .ok();
        }
        if !self.dead_letters.is_empty() {
            writeln!(text, "dead letters: {:?}\n", self.dead_letters).ok();
        }
        text
    }
}
