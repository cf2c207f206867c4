use std::{
    env, fs,
    num::NonZero,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::{
    processes::{command, execute, log_path},
    progress::step,
};

/// Every target in `fuzz/fuzz_targets`, and the folder whose samples are inputs of it.
const TARGETS: [(&str, Option<&str>); 8] = [
    ("user_service", Some("events/user-service")),
    ("product_service", Some("events/product-service")),
    ("order_service", Some("events/order-service")),
    ("order_bodies", None),
    ("events", None),
    ("pictures", None),
    ("cursors", None),
    ("tokens", None),
];

/// What the fuzzer finds out stays here, so that the next run goes on from there.
const FOLDER: &str = ".local/fuzz";
/// How long the check of `cargo xtask test` looks.
const BRIEFLY: Duration = Duration::from_secs(120);
/// An input that takes longer hangs.
const PATIENCE: &str = "-timeout=20";
/// More than the largest body that a service reads takes long and reaches nothing new.
const LONGEST_INPUT: &str = "-max_len=16384";

/// How long to look, and where.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Look at these alone
    #[arg(value_parser = TARGETS.map(|(name, _)| name))]
    targets: Vec<String>,
    /// For how long in all; targets run side by side, one on each core
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Add what has been found to reach further to fuzz/corpus
    #[arg(long)]
    keep: bool,
}

/// What a target went through.
struct Run {
    target: &'static str,
    executions: u64,
    /// Branches that were reached.
    coverage: u64,
}

/// Looks for inputs that break what a target promises.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let chosen: Vec<_> = TARGETS
        .into_iter()
        .filter(|(name, _)| arguments.targets.is_empty() || arguments.targets.iter().any(|of| of == name))
        .collect();
    let guide = Guide::of_this_machine();
    step("build", || guide.build())?;
    let runs = step("fuzz", || fuzz(guide, &chosen, Duration::from_secs(60 * arguments.minutes)))?;
    for Run { target, executions, coverage } in runs {
        println!("  {target:<16} {executions:>9} inputs, {coverage:>6} branches");
    }
    match guide {
        Guide::Coverage if arguments.keep => {
            step("keep", || chosen.iter().try_for_each(|(target, _)| keep(target)))
        }
        Guide::Coverage => Ok(()),
        Guide::Nothing => {
            println!("{UNGUIDED}");
            Ok(())
        }
    }
}

/// The check: every target for a moment. Answers what was tried.
pub(crate) fn briefly() -> Result<String> {
    let guide = Guide::of_this_machine();
    guide.build()?;
    let runs = fuzz(guide, &TARGETS, BRIEFLY)?;
    let executions: u64 = runs.iter().map(|run| run.executions).sum();
    let remark = if guide == Guide::Nothing { UNGUIDED } else { "" };
    Ok(format!("{executions} inputs, {} targets {remark}", runs.len()).trim_end().to_owned())
}

const UNGUIDED: &str = "(by chance alone: with a C++ compiler, as g++, they are guided by what they reach)";

/// What inputs are chosen by.
#[derive(Clone, Copy, PartialEq)]
enum Guide {
    /// libFuzzer, by the branches that they reach.
    Coverage,
    /// libFuzzer can't be built without a C++ compiler.
    Nothing,
}

impl Guide {
    fn of_this_machine() -> Self {
        let compiler = env::var_os("CXX").unwrap_or_else(|| "c++".into());
        let found = Command::new(compiler).arg("--version").output().is_ok_and(|said| said.status.success());
        if found { Self::Coverage } else { Self::Nothing }
    }

    /// Builds the targets, and in them the services with what guides the fuzzer. Other crates are as they are for tests.
    fn build(self) -> Result<()> {
        let mut build = command("cargo");
        build.args(["build", "--package", "fuzz", "--bins", "--locked"]);
        if self == Self::Coverage {
            build.args(["--features", "libfuzzer"]);
            build.env("RUSTC_WORKSPACE_WRAPPER", fs::canonicalize("fuzz/instrument.sh")?);
        }
        execute(&mut build, "fuzz-build")
    }
}

/// Runs targets for a time in all, as many at once as there are cores.
fn fuzz(guide: Guide, targets: &[(&'static str, Option<&'static str>)], time: Duration) -> Result<Vec<Run>> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(targets.len());
    let each = time / targets.len().div_ceil(cores).try_into().unwrap_or(u32::MAX);
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut runs = Vec::new();
        while let Some((target, samples)) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            runs.push(look(guide, target, *samples, each)?);
        }
        Ok::<_, anyhow::Error>(runs)
    };
    let mut runs = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        let mut runs = Vec::new();
        for worker in workers {
            let done = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            runs.extend(done?);
        }
        Ok::<_, anyhow::Error>(runs)
    })?;
    runs.sort_by_key(|run| targets.iter().position(|(target, _)| *target == run.target));
    Ok(runs)
}

/// Runs one target.
fn look(guide: Guide, target: &'static str, samples: Option<&str>, time: Duration) -> Result<Run> {
    let folder = Path::new(FOLDER).join(target);
    let known = folder.join("corpus");
    fs::create_dir_all(&known).with_context(|| format!("can't create {}", known.display()))?;
    let (log, seconds) = (format!("fuzz-{target}"), time.as_secs());
    let mut fuzzer = program(target);
    match guide {
        Guide::Coverage => fuzzer
            .args([PATIENCE, LONGEST_INPUT, "-print_final_stats=1", &format!("-max_total_time={seconds}")])
            .arg(format!("-artifact_prefix={}/", folder.display())),
        Guide::Nothing => fuzzer.args(["--seconds", &seconds.to_string()]),
    };
    fuzzer.arg(&known).arg(committed(target)).args(samples);
    let outcome = execute(&mut fuzzer, &log);
    let said = fs::read(log_path(&log)).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    if let Err(error) = outcome {
        let Some(input) = said.lines().find_map(|line| line.split("Test unit written to ").nth(1)) else {
            return Err(error);
        };
        bail!("{target} is broken by {input}; see that again with `target/debug/{target} {input}`");
    }
    let numbers = said.lines().rev();
    let executions = numbers.clone().find_map(|line| {
        line.strip_prefix("stat::number_of_executed_units:")
            .or_else(|| line.strip_suffix(" inputs"))?
            .trim()
            .parse()
            .ok()
    });
    let executions = executions.unwrap_or_default();
    ensure!(executions > 0, "{target} was given nothing: see {}", log_path(&log).display());
    let coverage =
        numbers.clone().find_map(|line| line.split(" cov: ").nth(1)?.split(' ').next()?.parse().ok());
    Ok(Run { target, executions, coverage: coverage.unwrap_or_default() })
}

/// Adds to what is committed the least that reaches what only the fuzzer has reached so far.
fn keep(target: &str) -> Result<()> {
    let known = Path::new(FOLDER).join(target).join("corpus");
    let mut merge = program(target);
    merge.args(["-set_cover_merge=1", "-use_counters=0", LONGEST_INPUT]).arg(committed(target)).arg(known);
    execute(&mut merge, &format!("fuzz-keep-{target}"))
}

fn committed(target: &str) -> PathBuf {
    Path::new("fuzz/corpus").join(target)
}

fn program(target: &str) -> Command {
    command(&format!("target/debug/{target}"))
}
