use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::{Options, Sample};
use crate::{
    report::{Machine, commit},
    stats::Summary,
};

/// The part of the time in which a service may still get as large as it will be: the first of each kind of call, and the
/// allocator's pools.
const WARM_UP: f64 = 0.25;
/// Growth within the measured time that is not taken for any, in KiB: the allocator gets memory in steps of 132 KiB.
const ALLOWED_KIB: f64 = 256.0;
/// The same, as a part of the memory.
const ALLOWED_PART: f64 = 0.01;

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// When it ended.
    pub date: String,
    /// The commit that was measured.
    pub commit: String,
    /// The machine.
    pub machine: Machine,
    /// How long.
    pub minutes: u64,
    /// Invocations of each service in a second, as far as they could be made.
    pub rate: u32,
    /// What each service came to.
    pub services: Vec<Soaked>,
}

/// One service.
#[derive(Debug, Serialize)]
pub struct Soaked {
    /// Its name.
    pub service: String,
    /// Calls by the way in which they came.
    pub calls: BTreeMap<String, u64>,
    /// Wrong answers.
    pub errors: u64,
    /// The first of them.
    pub first_errors: Vec<String>,
    /// How long its answers took, in microseconds.
    pub latency: Summary,
    /// What it had, second by second.
    pub samples: Vec<Sample>,
}

impl Report {
    pub(super) fn new(root: &Path, options: &Options, services: Vec<Soaked>) -> Result<Self> {
        Ok(Self {
            date: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            commit: commit(root),
            machine: Machine::this(root),
            minutes: options.minutes,
            rate: options.rate,
            services,
        })
    }

    /// An error if a service gave a wrong answer, or has more than it had.
    pub fn check(&self) -> Result<()> {
        for service in &self.services {
            service.check().with_context(|| service.service.clone())?;
        }
        Ok(())
    }

    /// Writes `soak.json`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
        let path = folder.join("soak.json");
        let json = serde_json::to_string(self)? + "\n";
        fs::write(&path, json).with_context(|| format!("can't write {}", path.display()))
    }

    /// All of it, for a terminal.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for soaked in &self.services {
            let calls: Vec<String> =
                soaked.calls.iter().map(|(way, count)| format!("{count} {way}")).collect();
            let Summary { p50, p99, .. } = soaked.latency;
            let (before, after) = soaked.halves();
            let most = |samples: &[Sample], of: fn(&Sample) -> u64| samples.iter().map(of).max().unwrap_or(0);
            let minutes: Vec<String> =
                soaked.by_minute().iter().map(|kib| format!("{:.1}", *kib as f64 / 1024.0)).collect();
            // Writing to a string can't fail.
            writeln!(
                text,
                "{}\n  calls         {}, {} wrong answers\n  latency       p50 {p50:.0} µs, p99 {p99:.0} µs\n  \
                 memory        {} MiB, at the end of each minute\n  growth        {:+.0} KiB within {:.1} minutes after \
                 the warm-up, {:+.1} bytes per call\n  descriptors   at most {}, then {}\n  threads       at most {}, then {}",
                soaked.service,
                calls.join(", "),
                soaked.errors,
                minutes.join(" "),
                soaked.growth_kib(),
                soaked.measured_seconds() / 60.0,
                soaked.growth_per_call(),
                most(before, |sample| sample.descriptors),
                most(after, |sample| sample.descriptors),
                most(before, |sample| sample.threads),
                most(after, |sample| sample.threads),
            )
            .ok();
        }
        text
    }
}

impl Soaked {
    fn check(&self) -> Result<()> {
        ensure!(
            self.errors == 0,
            "{} wrong answers, the first: {}",
            self.errors,
            self.first_errors.join("\n")
        );
        let memory = self.measured().first().map_or(0.0, |sample| sample.memory_kib as f64);
        let allowed = ALLOWED_KIB.max(memory * ALLOWED_PART);
        ensure!(self.growth_kib() <= allowed, "grew by {:.0} KiB, for {allowed:.0}", self.growth_kib());
        let (before, after) = self.halves();
        for (what, of) in [
            ("descriptors", (|sample| sample.descriptors) as fn(&Sample) -> u64),
            ("threads", |sample| sample.threads),
        ] {
            let most = |samples: &[Sample]| samples.iter().map(of).max();
            ensure!(most(after) <= most(before), "more {what} in the second half: {:?}", most(after));
        }
        Ok(())
    }

    /// What was seen after the warm-up.
    fn measured(&self) -> &[Sample] {
        let end = self.samples.last().map_or(0.0, |sample| sample.at);
        let warm = self.samples.partition_point(|sample| sample.at < end * WARM_UP);
        &self.samples[warm..]
    }

    /// All that was seen, in two halves.
    fn halves(&self) -> (&[Sample], &[Sample]) {
        self.samples.split_at(self.samples.len() / 2)
    }

    fn measured_seconds(&self) -> f64 {
        match self.measured() {
            [first, .., last] => last.at - first.at,
            _ => 0.0,
        }
    }

    /// By how much the memory grew after the warm-up: the slope of the line through it that outliers don't move (Theil
    /// and Sen: the median of the slopes between any two moments), times the time.
    fn growth_kib(&self) -> f64 {
        slope(self.measured()) * self.measured_seconds()
    }

    fn growth_per_call(&self) -> f64 {
        let all: u64 = self.calls.values().sum();
        let part = self.measured().len() as f64 / self.samples.len().max(1) as f64;
        self.growth_kib() * 1024.0 / (all as f64 * part).max(1.0)
    }

    /// The memory at the end of each minute.
    fn by_minute(&self) -> Vec<u64> {
        let minutes =
            self.samples.chunk_by(|one, other| (one.at / 60.0).floor() == (other.at / 60.0).floor());
        minutes.filter_map(|minute| minute.last().map(|sample| sample.memory_kib)).collect()
    }
}

/// KiB per second.
fn slope(samples: &[Sample]) -> f64 {
    let mut slopes: Vec<f64> = Vec::new();
    for (index, one) in samples.iter().enumerate() {
        for other in &samples[index + 1..] {
            slopes.push((other.memory_kib as f64 - one.memory_kib as f64) / (other.at - one.at));
        }
    }
    slopes.sort_unstable_by(f64::total_cmp);
    slopes.get(slopes.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soaked(seconds: u32, memory: impl Fn(u32) -> u64, descriptors: impl Fn(u32) -> u64) -> Soaked {
        let sample = |second: u32| Sample {
            at: f64::from(second),
            memory_kib: memory(second),
            descriptors: descriptors(second),
            threads: 2,
        };
        Soaked {
            service: "a-service".to_owned(),
            calls: BTreeMap::from([("HTTP".to_owned(), u64::from(seconds) * 100)]),
            errors: 0,
            first_errors: Vec::new(),
            latency: crate::stats::summary(&[1]).unwrap(),
            samples: (0..seconds).map(sample).collect(),
        }
    }

    #[test]
    fn a_warm_up_and_an_outlier_are_no_growth() {
        let memory = |second| match second {
            0..100 => 5000 + u64::from(second) * 50,
            300 => 20_000,
            _ => 10_000,
        };
        soaked(600, memory, |second| if second == 50 { 20 } else { 9 }).check().unwrap();
    }

    #[test]
    fn a_leak_of_a_few_bytes_per_call_is_seen() {
        // 100 calls a second, 16 bytes each.
        let leaking = soaked(600, |second| 10_000 + u64::from(second) * 1600 / 1024, |_| 9);
        assert!((leaking.growth_per_call() - 16.0).abs() < 1.0, "{}", leaking.growth_per_call());
        assert!(leaking.check().unwrap_err().to_string().contains("grew by 7"));
        let connections = soaked(600, |_| 10_000, |second| 9 + u64::from(second) / 200);
        assert!(connections.check().unwrap_err().to_string().contains("more descriptors"));
    }

    #[test]
    fn a_wrong_answer_is_one_too_many() {
        let wrong = Soaked { errors: 1, ..soaked(600, |_| 10_000, |_| 9) };
        wrong.check().unwrap_err();
    }
}
