//! Reports on a million order lines: report-service as Lambda runs it, before a PostgreSQL on the same machine.

/// What is printed and written.
mod report;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use local_servers::Postgres;

pub use self::report::Report;
use self::report::{Figure, Format};
use crate::{
    clock::Nanos,
    function::{Function, Launch},
    progress::Progress,
    report::{Machine, commit},
    stats::{micros, percentile},
    store::{Store, Transport},
    targets::{Program, parsed},
    workload::Workload,
};

/// The orders that the test of indexes reads, too.
const LINES: &str = include_str!("../../../functions/report-service/tests/a-million-lines.sql");
/// The database, and the user that it belongs to.
const NAME: &str = "reports";
/// Calls of each kind before any is counted.
const WARM_UP: usize = 3;

/// What is measured.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Folder with the built services, each as in user-service/bootstrap; if it is named, they are not built first
    #[arg(long, value_name = "FOLDER", default_value = "target/lambda")]
    pub services: PathBuf,
    /// Calls for each figure
    #[arg(long, value_name = "NUMBER", default_value_t = 60, value_parser = clap::value_parser!(u16).range(20..))]
    pub calls: u16,
    /// Folder for reports.md
    #[arg(long, value_name = "FOLDER", default_value = "target/bench/results")]
    pub out: PathBuf,
}

/// One request, again and again.
struct Case {
    report: &'static str,
    range: &'static str,
    format: Format,
    request: String,
    took: Vec<Nanos>,
    rows: usize,
    bytes: usize,
}

/// Measures, in a folder that is for this run alone.
pub fn run(root: &Path, work: &Path, options: &Options) -> Result<Report> {
    let folder = work.join("reports");
    fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    let postgres = Postgres::start()?;
    postgres.set_password(NAME, NAME)?;
    postgres.create_database(NAME, NAME)?;
    let roots = folder.join("postgres.pem");
    fs::write(&roots, postgres.roots()).with_context(|| format!("can't write {}", roots.display()))?;

    let mut store = Store::start(&root.join("template.yaml"), &folder, Some(&roots))?;
    let services = root.join(&options.services);
    let launch = |program: Program, store: &Store| Launch {
        bootstrap: services.join(program.name()).join("bootstrap"),
        environment: program.environment(store, Transport::Http),
        log: folder.join(format!("{}.log", program.name())),
    };
    let mut workload = Workload::new(&root.join("events"), &mut store, &launch)?;
    let (host, port) = postgres.host_and_port();
    store.add_to_secrets(&[
        ("host", &host),
        ("port", &port.to_string()),
        ("dbname", NAME),
        ("password_secret_arn", "the-login"),
        ("username", NAME),
        ("password", NAME),
    ])?;
    let (mut function, _) = Function::start(&launch(Program::ReportService, &store))?;
    fill(&postgres, &mut function)?;

    let mut cases = cases(&mut workload)?;
    // Nobody always comes after the same neighbour, and the order is the same in each run.
    let mut order = fastrand::Rng::with_seed(1);
    let mut turns: Vec<usize> = (0..cases.len()).collect();
    let calls = usize::from(options.calls);
    let mut progress = Progress::new("reports", calls);
    for round in 0..WARM_UP + calls {
        order.shuffle(&mut turns);
        for &turn in &turns {
            cases[turn].call(&mut function, round >= WARM_UP)?;
        }
        if round >= WARM_UP {
            progress.advance();
        }
    }
    Ok(Report {
        date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        commit: commit(root),
        machine: Machine::this(root),
        server: postgres.psql(NAME, "SHOW server_version")?,
        calls,
        figures: cases.into_iter().map(Case::figure).collect(),
    })
}

fn fill(postgres: &Postgres, function: &mut Function) -> Result<()> {
    let migrated = function.invoke(r#"{"task":"migrate","input":{}}"#)?;
    migrated.body.map_err(anyhow::Error::msg).context("the schema was not made")?;
    let mut progress = Progress::new("a million order lines", 2);
    postgres.psql(NAME, LINES)?;
    progress.advance();
    postgres.psql(NAME, "VACUUM (ANALYZE)")?;
    progress.advance();
    let lines = postgres.psql(NAME, "SELECT count(*) FROM report.order_lines")?;
    ensure!(lines == "1000000", "there should be a million order lines, and are {lines}");
    Ok(())
}

fn cases(workload: &mut Workload) -> Result<Vec<Case>> {
    let ranges = [("366 days", "2026-01-01", "2027-01-02"), ("a month", "2026-03-01", "2026-04-01")];
    let mut cases = Vec::new();
    for (range, from, to) in ranges {
        let in_range = [("from", from), ("to", to)];
        for (report, path, more) in [
            ("sales by day", "sales", vec![("by", "day"), ("limit", "1000")]),
            ("sales by week", "sales", vec![("by", "week"), ("limit", "1000")]),
            ("sales by month", "sales", vec![("by", "month")]),
            ("sales by product, 100 rows", "sales", vec![("by", "product")]),
            ("sales by product, 1000 rows", "sales", vec![("by", "product"), ("limit", "1000")]),
            ("sales by category", "sales", vec![("by", "category")]),
            ("top products by units", "top-products", vec![("by", "units")]),
            ("top products by revenue", "top-products", vec![("by", "revenue"), ("currency", "EUR")]),
            ("funnel", "funnel", vec![]),
        ] {
            let query = [in_range.as_slice(), &more].concat();
            for format in [Format::Json, Format::Csv] {
                cases.push(Case::new(workload, report, range, format, path, &query)?);
            }
        }
    }
    let customer = "customers/00000003-0000-7000-8000-000000000001";
    for format in [Format::Json, Format::Csv] {
        cases.push(Case::new(workload, "a customer", "all", format, customer, &[])?);
    }
    Ok(cases)
}

impl Case {
    fn new(
        workload: &mut Workload,
        report: &'static str,
        range: &'static str,
        format: Format,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Self> {
        // The samples differ in what they accept.
        let sample = match format {
            Format::Json => "sales",
            Format::Csv => "sales-csv",
        };
        let request = workload.read("report-service", sample, &format!("/api/reports/{path}"), query)?;
        Ok(Self { report, range, format, request, took: Vec::new(), rows: 0, bytes: 0 })
    }

    fn call(&mut self, function: &mut Function, counts: bool) -> Result<()> {
        if crate::interrupted() {
            bail!("interrupted");
        }
        let answer = function.invoke(&self.request)?;
        let text = answer.body.unwrap_or_else(|error| format!("a failed invocation: {error}"));
        let value = parsed(&text);
        let what = format!("{}, {}, {}", self.report, self.range, self.format.name());
        ensure!(
            value["statusCode"] == 200,
            "{what}: expected status 200, got {text}{}",
            function.last_words()
        );
        let body = value["body"].as_str().unwrap_or_default();
        self.rows = match self.format {
            Format::Json => parsed(body)["items"].as_array().map_or(1, Vec::len),
            Format::Csv => body.lines().count().saturating_sub(1),
        };
        ensure!(self.rows > 0, "{what}: there is nothing in it");
        self.bytes = body.len();
        if counts {
            self.took.push(answer.took);
        }
        Ok(())
    }

    fn figure(mut self) -> Figure {
        self.took.sort_unstable();
        let millis = |percent| micros(percentile(&self.took, percent)) / 1000.0;
        Figure {
            report: self.report,
            range: self.range,
            format: self.format,
            rows: self.rows,
            bytes: self.bytes,
            p50: millis(50.0),
            p95: millis(95.0),
        }
    }
}
