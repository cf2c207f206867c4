//! `cargo xtask bench` builds what this measures, and starts it.

// A task's output is its purpose.
#![allow(clippy::print_stdout)]

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bench::{
    cache, growth, hot_product, load,
    measure::{Bench, Plan, THIS_BUILD},
    report::Report,
    reports, soak,
    store::{self, Transport},
    targets::{TARGETS, Target},
};
use clap::{Args, Parser, Subcommand};

/// Measure cold starts, warm calls, memory and package sizes of the services
///
/// Everything takes turns with everything, in one run, beside three references: `no-op`, the least that a function can
/// do; `lean`, the leanest handler with the AWS SDK; `naive`, all defaults. A wrong answer ends the run.
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum Command {
    /// Measure reads and pages of lists with a thousand rows and with a million
    Growth(GrowthOptions),
    /// Measure reads of products through a cache, without one, and while it is down
    Cache(cache::Options),
    /// Put a deployed shop under load
    #[command(hide = true)]
    Load(load::Options),
    /// Call the services for minutes, and see whether their memory, descriptors or threads grow
    Soak(soak::Options),
    /// Measure reports on a million order lines
    Reports(reports::Options),
    /// Simulate that thousands order one product at once
    HotProduct(hot_product::Options),
    /// The process that stands for AWS, and talks to the one that measures
    #[command(hide = true)]
    Store {
        /// The file that defines the tables
        template: PathBuf,
    },
}

#[derive(Args)]
struct Options {
    /// Few rounds, for a first impression: 5 cold starts, 300 warm calls
    #[arg(long)]
    quick: bool,
    /// Measure these targets alone: names, or beginnings of names, with commas between
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Use these transports to the store alone
    #[arg(long, value_delimiter = ',', value_enum, default_values = ["http", "https"])]
    transport: Vec<Transport>,
    /// Folder with the built services, as in <service>/bootstrap; if it is named, they are not built first
    #[arg(long, value_name = "FOLDER", default_value = "target/lambda")]
    services: PathBuf,
    /// Another build of the services, measured in the same run; may be repeated
    #[arg(long, value_name = "LABEL=FOLDER")]
    compare: Vec<String>,
    /// Folder with the built references
    #[arg(long, value_name = "FOLDER", default_value = "target/bench-references")]
    references: PathBuf,
    /// Fresh processes for each cold start [default: 30]
    #[arg(long, value_name = "NUMBER")]
    cold: Option<usize>,
    /// Warm calls of each target; of those that take long, a part [default: 2000]
    #[arg(long, value_name = "NUMBER")]
    warm: Option<usize>,
    /// How much later the store answers when batches are measured a second time; 0 leaves that out
    #[arg(long, value_name = "MILLISECONDS", default_value = "3ms", value_parser = latency)]
    store_latency: Duration,
    /// Folder for results.json and the plots
    #[arg(long, value_name = "FOLDER", default_value = "target/bench/results")]
    out: PathBuf,
    /// Roots that functions read at their start, besides the one that they need
    #[arg(long, value_name = "FILE")]
    more_roots: Option<PathBuf>,
}

#[derive(Args)]
struct GrowthOptions {
    /// Folder with the built services, as in <service>/bootstrap; if it is named, they are not built first
    #[arg(long, value_name = "FOLDER", default_value = "target/lambda")]
    services: PathBuf,
    /// How many rows the largest tables have; the smaller ones follow from it
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10_000..))]
    rows: u64,
    /// Slices of 50 calls for each figure
    #[arg(long, value_name = "NUMBER", default_value_t = 40, value_parser = clap::value_parser!(u64).range(5..))]
    slices: u64,
    /// Folder for growth.json
    #[arg(long, value_name = "FOLDER", default_value = "target/bench/results")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let Cli { command, options } = Cli::parse();
    let outcome = match command {
        None => bench::stop_on_signals().and_then(|()| run(options)),
        Some(Command::Cache(options)) => bench::stop_on_signals().and_then(|()| run_cache(&options)),
        Some(Command::Growth(options)) => bench::stop_on_signals().and_then(|()| run_growth(options)),
        Some(Command::HotProduct(options)) => {
            bench::stop_on_signals().and_then(|()| run_hot_product(&options))
        }
        Some(Command::Reports(options)) => bench::stop_on_signals().and_then(|()| run_reports(&options)),
        Some(Command::Load(options)) => bench::stop_on_signals().and_then(|()| run_load(&options)),
        Some(Command::Soak(options)) => bench::stop_on_signals().and_then(|()| run_soak(&options)),
        Some(Command::Store { template }) => store::serve(&template),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if bench::interrupted() => ExitCode::from(130),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<()> {
    let root = std::env::current_dir()?;
    let mut builds = vec![(THIS_BUILD.to_owned(), root.join(&options.services))];
    for compared in &options.compare {
        let (label, folder) = compared.split_once('=').context("--compare takes LABEL=FOLDER")?;
        builds.push((label.to_owned(), root.join(folder)));
    }
    let plan = Plan {
        builds,
        references: root.join(&options.references),
        targets: selected(&options.only)?,
        transports: options.transport,
        cold: options.cold.unwrap_or(if options.quick { 5 } else { 30 }),
        warm: options.warm.unwrap_or(if options.quick { 300 } else { 2000 }),
        slice: 100,
        warm_up: 100,
        more_roots: options.more_roots,
        store_latency: options.store_latency,
        work: root.join("target/bench"),
        root,
    };
    let _turn = turn(&plan.work)?;
    let results = Bench::set_up(plan.clone())?.run()?;
    let report = Report::new(&plan, results);
    report.write(&options.out)?;
    println!("\n{}", report.text());
    println!("Written: results.json, cold-start.svg, warm-latency.svg in {}", options.out.display());
    Ok(())
}

fn run_growth(options: GrowthOptions) -> Result<()> {
    let root = std::env::current_dir()?;
    let plan = growth::Plan {
        services: root.join(&options.services),
        rows: options.rows,
        slices: options.slices.try_into()?,
        work: root.join("target/bench"),
        root,
    };
    let _turn = turn(&plan.work)?;
    let report = growth::run(&plan)?;
    report.write(&options.out)?;
    println!("\n{}", report.text());
    println!("Written: growth.json in {}", options.out.display());
    Ok(())
}

fn run_cache(options: &cache::Options) -> Result<()> {
    let root = std::env::current_dir()?;
    let work = root.join("target/bench");
    let _turn = turn(&work)?;
    let report = cache::run(&root, &work, options)?;
    report.write(&options.out)?;
    println!("\n{}", report.text());
    println!("Written: cache.json and cache.md in {}", options.out.display());
    Ok(())
}

fn run_reports(options: &reports::Options) -> Result<()> {
    let root = std::env::current_dir()?;
    let work = root.join("target/bench");
    let _turn = turn(&work)?;
    let report = reports::run(&root, &work, options)?;
    report.write(&options.out)?;
    println!("{}", report.text());
    println!("Written: reports.md in {}", options.out.display());
    report.check()
}

fn run_hot_product(options: &hot_product::Options) -> Result<()> {
    let root = std::env::current_dir()?;
    let work = root.join("target/bench");
    let _turn = turn(&work)?;
    let report = hot_product::run(&root, &work, options)?;
    report.write(&options.out)?;
    println!("{}", report.text());
    println!("Written: hot-product.json in {}", options.out.display());
    report.check()
}

fn run_load(options: &load::Options) -> Result<()> {
    let _turn = turn(Path::new("target/bench"))?;
    let report = load::run(options)?;
    report.write(&options.out)?;
    println!("\n{}", report.text());
    println!("Written: load.json in {}", options.out.display());
    report.check()
}

fn run_soak(options: &soak::Options) -> Result<()> {
    let root = std::env::current_dir()?;
    let work = root.join("target/bench");
    let _turn = turn(&work)?;
    let report = soak::run(&root, &work, options)?;
    report.write(&options.out)?;
    println!("\n{}", report.text());
    println!("Written: soak.json in {}", options.out.display());
    report.check()
}

/// Waits until nobody else measures: two at once would measure each other. The turn ends with the file.
fn turn(folder: &Path) -> Result<File> {
    fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("can't write {}", path.display()))?;
    if file.try_lock().is_err() {
        eprintln!("waiting for another measurement to end");
        file.lock().with_context(|| format!("can't lock {}", path.display()))?;
    }
    Ok(file)
}

/// Reads `3`, `3ms` or `0.5ms`.
fn latency(text: &str) -> Result<Duration> {
    let number = text.strip_suffix("ms").unwrap_or(text).trim();
    let milliseconds: f64 = number.parse().with_context(|| format!("{number} is no number"))?;
    Duration::try_from_secs_f64(milliseconds / 1000.0).context("no possible latency")
}

/// The targets that are meant; all, if nothing is said.
fn selected(only: &[String]) -> Result<Vec<&'static Target>> {
    for name in only {
        ensure!(
            TARGETS.iter().any(|target| target.name.starts_with(name.as_str())),
            "no target begins with {name}; there are {}",
            TARGETS.map(|target| target.name).join(", ")
        );
    }
    let is_meant =
        |target: &&Target| only.is_empty() || only.iter().any(|name| target.name.starts_with(name.as_str()));
    Ok(TARGETS.iter().filter(is_meant).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_in_milliseconds() {
        let micros = |text| latency(text).unwrap().as_micros();
        assert_eq!(["3", "3ms", "0.5 ms", "0"].map(micros), [3000, 3000, 500, 0]);
        for wrong in ["", "soon", "-1", "3s"] {
            latency(wrong).unwrap_err();
        }
    }

    #[test]
    fn targets_are_selected_by_the_beginnings_of_their_names() {
        let names = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(|&name| name.to_owned()).collect();
            selected(&only).map(|targets| targets.iter().map(|target| target.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["lean", "product-get"]).unwrap(), ["product-get", "lean-get", "lean-put"]);
        assert_eq!(names(&[]).unwrap().len(), TARGETS.len());
        assert!(names(&["product-got"]).unwrap_err().to_string().contains("product-list"));
    }
}
