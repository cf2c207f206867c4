use std::{fmt::Write, fs, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;

use super::{PAGE, Plan, SLICE};
use crate::{
    report::{self, Machine},
    stats::{Summary, percentile},
};

/// Everything about one run.
#[derive(Debug, Serialize)]
pub struct Report {
    date: String,
    commit: String,
    machine: Machine,
    /// Most rows of a table.
    rows: u64,
    /// Rows of a page.
    page: usize,
    /// Calls in a row, before it is another's turn.
    slice: usize,
    figures: Vec<Figure>,
    verdicts: Vec<Verdict>,
}

/// What was found out about one call at one number of rows.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What is called.
    pub call: &'static str,
    /// Rows of the table.
    pub rows: u64,
    /// Rows of the list, if it is one.
    pub list: Option<u64>,
    /// Which page.
    pub page: Option<u64>,
    /// From event to answer, in microseconds.
    pub latency: Summary,
    /// Median of each slice's latencies, in nanoseconds.
    pub slices: Vec<u64>,
    /// What of a call is not the store, as the mean of each slice, in nanoseconds.
    pub outside_store: Vec<u64>,
    /// Processor time of the function for one call, in microseconds.
    pub cpu_per_call: f64,
    /// For one call.
    pub aws_calls_per_call: f64,
    /// How long the store works for one call, in microseconds.
    pub store_per_call: f64,
}

/// How a call at one number of rows compares with the same at the least.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    call: &'static str,
    rows: u64,
    /// Of both medians.
    ratio: f64,
    /// Where the ratio of slices of one round is, with a certainty of 99 %: from here to there.
    likely: [f64; 2],
    /// Of what is not the store.
    ratio_outside_store: f64,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    /// It takes as long.
    Flat,
    /// It takes longer, but not without the store's part: DynamoDB is another store.
    StoreGrows,
    /// It takes longer, also without the store's part.
    Grows,
}

impl Report {
    pub(super) fn new(plan: &Plan, figures: Vec<Figure>) -> Self {
        let mut verdicts = Vec::new();
        for figure in &figures {
            let Some(least) = figures.iter().find(|other| other.call == figure.call) else { continue };
            if least.rows < figure.rows {
                verdicts.push(Verdict::of(least, figure));
            }
        }
        Self {
            date: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            commit: report::commit(&plan.root),
            machine: Machine::this(&plan.root),
            rows: plan.rows,
            page: PAGE,
            slice: SLICE,
            figures,
            verdicts,
        }
    }

    /// All of it, for a terminal.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = self.write_text(&mut text);
        text
    }

    /// Writes `growth.json`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
        let path = folder.join("growth.json");
        let json = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&path, json).with_context(|| format!("can't write {}", path.display()))
    }

    fn write_text(&self, text: &mut String) -> std::fmt::Result {
        let machine = &self.machine;
        writeln!(text, "{}, {} cores, {}, {}", machine.cpu, machine.cores, machine.kernel, machine.rustc)?;
        writeln!(
            text,
            "commit {}, pages of {}, turns of {}; times in us, ratios to the least number of rows\n",
            self.commit, self.page, self.slice
        )?;
        writeln!(
            text,
            "{:<24} {:>9} {:>9} {:>5} {:>7} {:>7} {:>6} {:>6} {:>9} {:>7} {:>7} {:>7} {:>6}  verdict",
            "call",
            "rows",
            "in list",
            "page",
            "p50",
            "p90",
            "noise",
            "ratio",
            "likely",
            "CPU",
            "store",
            "without",
            "calls"
        )?;
        for figure in &self.figures {
            let Figure { call, rows, latency, cpu_per_call, aws_calls_per_call, store_per_call, .. } = figure;
            let optional = |value: Option<u64>| value.map_or(String::new(), |value| value.to_string());
            let verdict = self.verdicts.iter().find(|verdict| (verdict.call, verdict.rows) == (*call, *rows));
            let ratio = verdict.map_or(String::new(), |verdict| format!("{:.2}", verdict.ratio));
            let likely = verdict.map_or(String::new(), |verdict| {
                let [from, to] = verdict.likely;
                format!("{from:.2}-{to:.2}")
            });
            let noise = 100.0 * spread(&figure.slices) as f64 / median(&figure.slices) as f64;
            let outcome = verdict.map_or("", |verdict| verdict.outcome.text());
            let without = micros(median(&figure.outside_store));
            writeln!(
                text,
                "{call:<24} {rows:>9} {:>9} {:>5} {:>7.0} {:>7.0} {noise:>4.0} % {ratio:>6} {likely:>9} {cpu_per_call:>7.0} \
                 {store_per_call:>7.0} {without:>7.0} {aws_calls_per_call:>6.2}  {outcome}",
                optional(figure.list),
                optional(figure.page),
                latency.p50,
                latency.p90,
            )?;
        }
        writeln!(
            text,
            "\nNoise: how much nine in ten slices of one size differ. Likely: where the ratio is, with a certainty of \
             99 %, from slices of the same round.\nFlat: 1 is likely, or less. Without: what is not the store's."
        )
    }
}

impl Verdict {
    fn of(least: &Figure, figure: &Figure) -> Self {
        let outcome = if is_flat(&least.slices, &figure.slices) {
            Outcome::Flat
        } else if is_flat(&least.outside_store, &figure.outside_store) {
            Outcome::StoreGrows
        } else {
            Outcome::Grows
        };
        let ratio = |of: fn(&Figure) -> &[u64]| median(of(figure)) as f64 / median(of(least)) as f64;
        Self {
            call: figure.call,
            rows: figure.rows,
            ratio: figure.latency.p50 / least.latency.p50,
            likely: likely_ratio(&least.slices, &figure.slices),
            ratio_outside_store: ratio(|figure| &figure.outside_store),
            outcome,
        }
    }
}

impl Outcome {
    fn text(self) -> &'static str {
        match self {
            Self::Flat => "flat within noise",
            Self::StoreGrows => "flat without the store's part",
            Self::Grows => "GROWS",
        }
    }
}

/// Whether there is no growth to be seen in slices that were measured in turn. Medians alone would not show it: the
/// machine is faster in one round than in another by more than what is looked for, but within a round it is the same.
fn is_flat(least: &[u64], other: &[u64]) -> bool {
    likely_ratio(least, other)[0] <= 1.0
}

/// The median ratio of slices that were measured in the same round, as an interval: so many of sorted values are on
/// each side of their median but for one time in a hundred.
fn likely_ratio(least: &[u64], other: &[u64]) -> [f64; 2] {
    let mut ratios: Vec<f64> = least.iter().zip(other).map(|(one, two)| *two as f64 / *one as f64).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let count = ratios.len();
    let outside = ((count as f64 - 2.58 * (count as f64).sqrt()) / 2.0).floor().max(0.0) as usize;
    let at = |index: usize| ratios.get(index).copied().unwrap_or(1.0);
    [at(outside), at(count.saturating_sub(outside + 1))]
}

fn spread(values: &[u64]) -> u64 {
    let sorted = sorted(values);
    percentile(&sorted, 95.0) - percentile(&sorted, 5.0)
}

fn median(values: &[u64]) -> u64 {
    percentile(&sorted(values), 50.0)
}

fn sorted(values: &[u64]) -> Vec<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted
}

fn micros(nanos: u64) -> f64 {
    crate::stats::micros(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_is_what_differs_no_more_than_rounds_do() {
        let around = |middle: u64, spread: u64| (0..=20).map(|i| middle - spread + i * spread / 10).collect();
        let (calm, wild): (Vec<u64>, Vec<u64>) = (around(1000, 20), around(1000, 400));
        let slower: Vec<u64> = around(1100, 20);
        assert!(is_flat(&calm, &calm) && is_flat(&slower, &calm), "faster is no growth");
        assert!(!is_flat(&calm, &slower));
        assert!(is_flat(&wild, &slower));
    }

    #[test]
    fn a_likely_ratio_is_about_the_middle_of_all_rounds() {
        let least = vec![100; 40];
        let mut other: Vec<u64> = (100..140).collect();
        // Whatever happened in one round hardly matters.
        other[7] = 9000;
        let [from, to] = likely_ratio(&least, &other);
        assert!(from > 1.1 && from < 1.2 && to > 1.2 && to < 1.3, "{from} {to}");
        assert_eq!(likely_ratio(&[100; 3], &[90, 100, 120]), [0.9, 1.2]);
    }

    #[test]
    fn growth_of_the_store_is_told_from_ours() {
        let figure = |rows, whole, outside| Figure {
            call: "c",
            rows,
            list: None,
            page: None,
            latency: crate::stats::summary(&[whole]).unwrap(),
            slices: vec![whole; 5],
            outside_store: vec![outside; 5],
            cpu_per_call: 1.0,
            aws_calls_per_call: 1.0,
            store_per_call: 1.0,
        };
        let outcome = |whole, outside| Verdict::of(&figure(1, 1000, 900), &figure(2, whole, outside)).outcome;
        assert_eq!(outcome(1000, 900), Outcome::Flat);
        assert_eq!(outcome(2000, 900), Outcome::StoreGrows);
        assert_eq!(outcome(2000, 1900), Outcome::Grows);
    }
}
