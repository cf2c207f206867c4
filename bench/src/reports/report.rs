use std::{fmt::Write, fs, path::Path};

use anyhow::{Context, Result, ensure};

use crate::report::Machine;

/// What no report may exceed in 95 of 100 calls, in milliseconds.
const LIMIT: f64 = 300.0;

/// What came of it.
#[derive(Debug)]
pub struct Report {
    pub(super) date: String,
    pub(super) commit: String,
    pub(super) machine: Machine,
    /// The database's version.
    pub(super) server: String,
    /// For each figure.
    pub(super) calls: usize,
    pub(super) figures: Vec<Figure>,
}

/// How long one request takes, in milliseconds.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) report: &'static str,
    pub(super) range: &'static str,
    pub(super) format: Format,
    pub(super) rows: usize,
    pub(super) bytes: usize,
    pub(super) p50: f64,
    pub(super) p95: f64,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Csv,
}

impl Format {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Csv => "CSV",
        }
    }
}

impl Report {
    /// All of it, as Markdown.
    pub fn text(&self) -> String {
        let Self { date, commit, machine, server, calls, figures } = self;
        let Machine { cpu, cores, kernel, rustc } = machine;
        let mut text = format!(
            "# Reports on a million order lines\n\n\
             Written by `cargo xtask bench reports --out docs/performance`: {date}, commit {commit}; {cpu}, {cores} cores, \
             {kernel}; {rustc}; PostgreSQL {server}.\n\n\
             400,000 orders with 1,000,000 lines in one year, 20,000 products in 40 categories, 50,000 customers, two \
             currencies. The function's release build answers as Lambda calls it; the database is on the same machine, \
             reached over TLS, with the settings that PostgreSQL comes with. {calls} calls for each figure, all kinds in \
             turn; milliseconds from event to answer.\n\n\
             | report | range | format | rows | KB | p50 | p95 |\n\
             |---|---|---|---:|---:|---:|---:|\n"
        );
        for Figure { report, range, format, rows, bytes, p50, p95 } in figures {
            let (format, size) = (format.name(), *bytes as f64 / 1000.0);
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "| {report} | {range} | {format} | {rows} | {size:.1} | {p50:.1} | {p95:.1} |"
            );
        }
        let worst = figures.iter().map(|figure| figure.p95).fold(0.0, f64::max);
        let _ = writeln!(text, "\nThe slowest has a p95 of {worst:.0} ms; the limit is {LIMIT:.0} ms.");
        text
    }

    /// Writes `reports.md`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
        let path = folder.join("reports.md");
        fs::write(&path, self.text()).with_context(|| format!("can't write {}", path.display()))
    }

    /// An error that names what takes too long.
    pub fn check(&self) -> Result<()> {
        let slow = self.figures.iter().filter(|figure| figure.p95 > LIMIT);
        let slow: Vec<String> = slow
            .map(|Figure { report, range, format, p95, .. }| {
                format!("{report}, {range}, {}: {p95:.0} ms", format.name())
            })
            .collect();
        ensure!(slow.is_empty(), "more than {LIMIT:.0} ms in 5 of 100 calls: {}", slow.join("; "));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_named() {
        let figure = |report, p95| Figure {
            report,
            range: "a month",
            format: Format::Csv,
            rows: 1,
            bytes: 100,
            p50: 1.0,
            p95,
        };
        let machine = Machine::this(Path::new("."));
        let text = || String::from("x");
        let figures = vec![figure("funnel", 299.0), figure("a customer", 301.0)];
        let report = Report { date: text(), commit: text(), machine, server: text(), calls: 1, figures };
        let error = report.check().unwrap_err().to_string();
        assert!(error.contains("a customer, a month, CSV: 301 ms") && !error.contains("funnel"), "{error}");
        assert!(
            report.text().contains("| funnel | a month | CSV | 1 | 0.1 | 1.0 | 299.0 |"),
            "{}",
            report.text()
        );
    }
}
