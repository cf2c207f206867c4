use std::{fmt::Write, fs, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::{
    report::{self, Machine},
    stats::Summary,
};

/// List prices in us-east-1, in US dollars, of 22 November 2026: <https://aws.amazon.com/dynamodb/pricing/on-demand/> and
/// <https://aws.amazon.com/elasticache/pricing/>.
const PRICES: &str = "list prices in us-east-1 as known in November 2026: DynamoDB on demand $0.125 per million read request units, \
    ElastiCache for Redis OSS $0.219 an hour for a `cache.r7g.large` and $0.032 for a `cache.t4g.small`, 730 hours a month";
/// Of a million reads of a row of up to 4 KB without strong consistency.
const MILLION_READS: f64 = 0.0625;
/// Two nodes for a month.
const NODES: [(&str, f64); 2] =
    [("cache.r7g.large", 2.0 * 730.0 * 0.219), ("cache.t4g.small", 2.0 * 730.0 * 0.032)];
const SECONDS_A_MONTH: f64 = 730.0 * 3600.0;

/// Everything about one run.
#[derive(Debug, Serialize)]
pub struct Report {
    date: String,
    commit: String,
    machine: Machine,
    /// Warm calls for each figure.
    calls: usize,
    /// Processes for each figure of starts, and of each way to be down.
    processes: usize,
    figures: Vec<Figure>,
    starts: Vec<Start>,
    down: Vec<Down>,
}

/// Warm calls. Times are in microseconds.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figure {
    pub(super) call: &'static str,
    pub(super) name: &'static str,
    pub(super) latency: Summary,
    pub(super) cpu_per_call: f64,
    pub(super) store_calls_per_call: f64,
}

/// Cold starts, up to when the process asks for an event, and to its first answer.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Start {
    pub(super) name: &'static str,
    pub(super) ready: Summary,
    pub(super) answered: Summary,
}

/// What a request takes while Redis is down.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Down {
    pub(super) how: &'static str,
    /// Whether the function had a connection when that began.
    pub(super) connected: bool,
    /// Who finds out.
    pub(super) first: Summary,
    /// Who comes afterwards.
    pub(super) open: Summary,
}

impl Report {
    pub(super) fn new(
        root: &Path,
        calls: usize,
        processes: usize,
        figures: Vec<Figure>,
        starts: Vec<Start>,
        down: Vec<Down>,
    ) -> Self {
        let date = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let (commit, machine) = (report::commit(root), Machine::this(root));
        Self { date, commit, machine, calls, processes, figures, starts, down }
    }

    /// Writes `cache.json` and `cache.md`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))
        };
        write("cache.json", serde_json::to_string_pretty(self)? + "\n")?;
        write("cache.md", self.text())
    }

    /// All of it, as Markdown.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = self.write_text(&mut text);
        text
    }

    fn write_text(&self, text: &mut String) -> std::fmt::Result {
        let Self { date, commit, machine, calls, processes, .. } = self;
        writeln!(text, "# The product cache, measured\n")?;
        writeln!(
            text,
            "Written by `cargo xtask bench cache --out docs/performance`; [cache.json](cache.json) has all figures."
        )?;
        writeln!(
            text,
            "{date}, commit {commit}, {}, {} cores. DynamoDB (in memory) and a real redis-server, both behind TLS, are on the \
             same machine: there is no network in these times. Milliseconds.\n",
            machine.cpu, machine.cores
        )?;
        writeln!(text, "## A warm call\n\n{calls} calls each, in turns.\n")?;
        writeln!(
            text,
            "| call | cache | p50 | p99 | CPU of the function | calls to the table |\n|---|---|---:|---:|---:|---:|"
        )?;
        for Figure { call, name, latency, cpu_per_call, store_calls_per_call } in &self.figures {
            let [p50, p99, cpu] = [latency.p50, latency.p99, *cpu_per_call].map(millis);
            writeln!(text, "| {call} | {name} | {p50} | {p99} | {cpu} | {store_calls_per_call:.2} |")?;
        }
        writeln!(text, "\n## A start\n\n{processes} processes each, in turns.\n")?;
        writeln!(text, "| cache | ready, p50 | first answer, p50 | p90 |\n|---|---:|---:|---:|")?;
        for Start { name, ready, answered } in &self.starts {
            let [ready, answered, late] = [ready.p50, answered.p50, answered.p90].map(millis);
            writeln!(text, "| {name} | {ready} | {answered} | {late} |")?;
        }
        writeln!(
            text,
            "\n## Redis is down\n\n{processes} processes each: the request that finds out, and the 50 after it, while Redis is left alone.\n"
        )?;
        writeln!(
            text,
            "| Redis | the function had a connection | first request, p50 | longest | after that, p50 | p99 |\n|---|---|---:|---:|---:|---:|"
        )?;
        for Down { how, connected, first, open } in &self.down {
            let connected = if *connected { "yes" } else { "no" };
            let [p50, max, open50, open99] = [first.p50, first.max, open.p50, open.p99].map(millis);
            writeln!(text, "| {how} | {connected} | {p50} | {max} | {open50} | {open99} |")?;
        }
        Self::write_costs(text)
    }

    fn write_costs(text: &mut String) -> std::fmt::Result {
        writeln!(text, "\n## What it saves\n\nBy {PRICES}.\n")?;
        writeln!(
            text,
            "A read of a product costs half a unit, $0.0625 a million; a miss costs a whole one, because what is kept is read \
             consistently. In US dollars a month, without what a network costs that functions need to reach Redis:\n"
        )?;
        writeln!(
            text,
            "| reads a second, all month | without a cache | saved at 50 % hits | 80 % | 95 % | 99 % |\n|---:|---:|---:|---:|---:|---:|"
        )?;
        for rate in [10.0, 100.0, 1000.0, 5000.0, 20_000.0] {
            let without = rate * SECONDS_A_MONTH / 1e6 * MILLION_READS;
            write!(text, "| {rate} | {without:.0} |")?;
            for hits in [0.5, 0.8, 0.95, 0.99] {
                write!(text, " {:.0} |", without * saved_share(hits))?;
            }
            writeln!(text)?;
        }
        writeln!(
            text,
            "\n| two nodes | a month | pay for themselves in reads at 80 % hits from | at 95 % from |\n|---|---:|---:|---:|"
        )?;
        for (node, price) in NODES {
            let rate = |hits| price / (SECONDS_A_MONTH / 1e6 * MILLION_READS * saved_share(hits));
            writeln!(
                text,
                "| `{node}` | {price:.2} | {:.0} reads a second | {:.0} |",
                rate(0.8),
                rate(0.95)
            )?;
        }
        writeln!(
            text,
            "\nSo money is no reason for a cache in a shop of ordinary size. Reasons are: reads that take a fraction of the time, a \
             product that is read more than some 6,000 times a second (3,000 units are what one partition of DynamoDB gives), \
             and a table that a peak of reads does not reach. Without one of these, leave it off."
        )
    }
}

/// What of the price of all reads is saved. A miss costs twice as much as a read without a cache.
fn saved_share(hits: f64) -> f64 {
    1.0 - 2.0 * (1.0 - hits)
}

fn millis(micros: f64) -> String {
    format!("{:.2}", micros / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_follows_from_hits() {
        assert_eq!([0.5, 1.0].map(saved_share), [0.0, 1.0]);
        let mut text = String::new();
        Report::write_costs(&mut text).unwrap();
        assert!(
            text.contains("| 1000 | 164 | 0 | 99 |") && text.contains("| `cache.t4g.small` | 46.72 |"),
            "{text}"
        );
    }
}
