use std::{
    collections::BTreeMap,
    env,
    fs::File,
    io::{self, Write},
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime},
};

use anyhow::{Context, Result};

use crate::plan::Kind;

/// What was injected: how often, and each single one in a log.
pub(crate) struct Ledger {
    begun: Instant,
    entries: Mutex<Entries>,
}

struct Entries {
    log: Option<File>,
    counts: BTreeMap<Kind, BTreeMap<String, u64>>,
    faults: Vec<Fault>,
    outages: Vec<Outage>,
}

/// A time in which something did not work.
#[derive(Debug, Clone)]
pub(crate) struct Outage {
    pub(crate) kind: Kind,
    /// How it failed.
    pub(crate) how: String,
    pub(crate) from: SystemTime,
    pub(crate) to: SystemTime,
}

/// A fault that hit a call, for the story of whom the call was about.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) at: SystemTime,
    /// The kind, and the call: `reset-after DynamoDB PutItem`.
    pub(crate) what: String,
    /// The beginning of what the call asked for.
    pub(crate) asked: String,
}

/// How much of a call is kept. An id comes early in it.
const KEPT: usize = 16 * 1024;

impl Ledger {
    /// A ledger that writes to `chaos-faults.log` in the folder that `CHAOS_LOGS` names, if it does.
    pub(crate) fn open() -> Result<Self> {
        let path = env::var_os("CHAOS_LOGS").map(|folder| PathBuf::from(folder).join("chaos-faults.log"));
        let create =
            |path: PathBuf| File::create(&path).with_context(|| format!("can't write {}", path.display()));
        Ok(Self::new(path.map(create).transpose()?))
    }

    /// A ledger with this log.
    pub(crate) fn new(log: Option<File>) -> Self {
        let entries = Entries { log, counts: BTreeMap::new(), faults: Vec::new(), outages: Vec::new() };
        Self { begun: Instant::now(), entries: Mutex::new(entries) }
    }

    /// Notes that this kind hit something: `("kill", "user-service, idle")`.
    pub(crate) fn injected(&self, kind: Kind, what: &str) {
        self.injected_times(kind, what, 1);
    }

    /// Notes that this kind hit a call that asked for this, so many times.
    pub(crate) fn injected_into(&self, kind: Kind, call: &str, asked: &[u8], times: u64) {
        self.injected_times(kind, call, times);
        if times > 0 {
            let asked = String::from_utf8_lossy(&asked[..asked.len().min(KEPT)]).into_owned();
            let what = format!("{} {call}", kind.name());
            self.entries().faults.push(Fault { at: SystemTime::now(), what, asked });
        }
    }

    /// Notes that this kind hit something so many times.
    pub(crate) fn injected_times(&self, kind: Kind, what: &str, times: u64) {
        if times == 0 {
            return;
        }
        self.write(&format!("{} {what}", kind.name()));
        *self.entries().counts.entry(kind).or_default().entry(what.to_owned()).or_default() += times;
    }

    /// Notes that something did not work from then to now.
    pub(crate) fn lasted(&self, kind: Kind, how: &str, from: SystemTime) {
        self.injected(kind, how);
        self.entries().outages.push(Outage { kind, how: how.to_owned(), from, to: SystemTime::now() });
    }

    /// Writes something to the log that counts for nothing.
    pub(crate) fn write(&self, line: &str) {
        let elapsed = self.begun.elapsed().as_secs_f64();
        let now = jiff::Timestamp::now();
        if let Some(log) = &mut self.entries().log {
            // The run is worth more than its log.
            let written: io::Result<()> = writeln!(log, "{now:.3} {elapsed:9.3} {line}");
            written.ok();
        }
    }

    /// How often each kind was injected, and into what.
    pub(crate) fn counts(&self) -> BTreeMap<Kind, BTreeMap<String, u64>> {
        self.entries().counts.clone()
    }

    /// The faults that hit calls, in order of time.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        self.entries().faults.clone()
    }

    /// The times in which something did not work, in order of time.
    pub(crate) fn outages(&self) -> Vec<Outage> {
        self.entries().outages.clone()
    }

    /// How many faults there were in all.
    pub(crate) fn total(&self) -> u64 {
        self.entries().counts.values().flat_map(BTreeMap::values).sum()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
