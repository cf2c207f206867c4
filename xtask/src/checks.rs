use std::{fs, process::Command, time::Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::{
    chaos, end_to_end, fuzz,
    processes::{self, CommandFailed, command, execute, log_path},
    progress::{self, DONE, FAILED, SKIPPED, marked_step},
    tools,
};

/// Which checks to run; all of them, if nothing is said.
#[derive(Args)]
pub(crate) struct Selection {
    /// Leave out what needs more than Rust: no tools, no local cloud
    #[arg(long)]
    fast: bool,
    /// Run these alone
    #[arg(long, value_delimiter = ',', value_parser = CHECKS.map(|check| check.name))]
    only: Vec<String>,
}

impl Selection {
    /// The chosen checks; an error if there are none, which would pass for a success.
    fn checks(&self) -> Result<Vec<&'static Check>> {
        let chosen: Vec<_> = CHECKS
            .iter()
            .filter(|check| !self.fast || check.needs == Needs::Rust)
            .filter(|check| self.only.is_empty() || self.only.iter().any(|name| name == check.name))
            .collect();
        ensure!(
            !chosen.is_empty(),
            "nothing to run, because --fast leaves out {}: run `cargo xtask test --only {}`",
            self.only.join(", "),
            self.only.join(",")
        );
        Ok(chosen)
    }
}

struct Check {
    name: &'static str,
    needs: Needs,
    run: fn() -> Result<Outcome>,
}

#[derive(PartialEq)]
enum Needs {
    Rust,
    Tools,
    /// The tools, and checkov.
    Checkov,
}

enum Outcome {
    /// What held, if there is more to say than that it did.
    Passed(String),
    /// What could not be checked on this machine.
    Skipped(String),
}

const CHECKS: [Check; 12] = [
    Check { name: "format", needs: Needs::Rust, run: format },
    Check { name: "lints", needs: Needs::Rust, run: lints },
    Check { name: "docs", needs: Needs::Rust, run: docs },
    Check { name: "tests", needs: Needs::Rust, run: tests },
    Check { name: "fuzz", needs: Needs::Rust, run: fuzz },
    Check { name: "dependencies", needs: Needs::Tools, run: dependencies },
    Check { name: "advisories", needs: Needs::Tools, run: advisories },
    Check { name: "template", needs: Needs::Checkov, run: template },
    Check { name: "local-cloud", needs: Needs::Tools, run: local_cloud },
    Check { name: "build", needs: Needs::Tools, run: build },
    Check { name: "end-to-end", needs: Needs::Tools, run: end_to_end },
    Check { name: "chaos", needs: Needs::Tools, run: chaos },
];

/// Runs the checks, all of them even if some fail, and says at the end how each of them went.
pub(crate) fn run(selection: &Selection) -> Result<()> {
    let chosen = selection.checks()?;
    if chosen.iter().any(|check| check.needs != Needs::Rust) {
        tools::install()?;
    }
    if chosen.iter().any(|check| check.needs == Needs::Checkov) {
        tools::install_checkov()?;
    }

    let mut summary = String::new();
    let mut failed = Vec::new();
    for check in chosen {
        let start = Instant::now();
        let outcome = marked_step(check.name, mark_of, check.run);
        if processes::interrupted() {
            bail!("interrupted");
        }
        let mark = mark_of(&outcome);
        let remark = match outcome {
            Ok(Outcome::Passed(remark)) => remark,
            Ok(Outcome::Skipped(why)) => format!("skipped: {why}"),
            Err(error) => {
                show(&error);
                failed.push(check.name);
                format!("{error:#}")
            }
        };
        summary += &format!("{}  {remark}\n", progress::line(mark, check.name, start.elapsed()));
    }

    println!("\nSummary\n{summary}");
    if failed.is_empty() {
        return Ok(());
    }
    bail!("failed: {0}; once corrected: `cargo xtask test --only {1}`", failed.join(", "), failed.join(","))
}

fn mark_of(outcome: &Result<Outcome>) -> &'static str {
    match outcome {
        Ok(Outcome::Passed(_)) => DONE,
        Ok(Outcome::Skipped(_)) => SKIPPED,
        Err(_) => FAILED,
    }
}

fn show(error: &anyhow::Error) {
    if let Some(failed) = error.downcast_ref::<CommandFailed>() {
        println!("{}\n", failed.tail());
    }
    println!("{error:#}\n");
}

fn cargo(arguments: &[&str], log: &str) -> Result<()> {
    execute(command("cargo").args(arguments), log)
}

fn passed() -> Outcome {
    Outcome::Passed(String::new())
}

fn format() -> Result<Outcome> {
    cargo(&["fmt", "--all", "--check"], "format").context("run `cargo fmt --all`")?;
    // What the services are compared with is not part of their workspace.
    for manifest in ["bench/references/Cargo.toml", "bench/references/naive/Cargo.toml"] {
        cargo(&["fmt", "--all", "--check", "--manifest-path", manifest], "format")
            .with_context(|| format!("run `cargo fmt --all --manifest-path {manifest}`"))?;
    }
    Ok(passed())
}

fn lints() -> Result<Outcome> {
    cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"], "lints")?;
    Ok(passed())
}

fn docs() -> Result<Outcome> {
    let mut doc = command("cargo");
    doc.args(["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"]);
    execute(doc.env("RUSTDOCFLAGS", "-D warnings"), "docs")?;
    Ok(passed())
}

/// Unit tests, repositories on their emulator, events through the door, freshness of the openapi.json files.
fn tests() -> Result<Outcome> {
    cargo(&["test", "--workspace", "--locked", "--no-fail-fast"], "tests")?;
    Ok(Outcome::Passed(format!("{} passed", passed_tests("tests")?)))
}

/// Inputs that nobody thought of, for two minutes.
fn fuzz() -> Result<Outcome> {
    Ok(Outcome::Passed(fuzz::briefly()?))
}

/// Licences, sources, and crates that are not wanted.
fn dependencies() -> Result<Outcome> {
    with_cargo_deny(|deny| {
        execute(deny.args(["--offline", "check", "licenses", "bans", "sources"]), "dependencies")?;
        Ok(passed())
    })
}

/// Known vulnerabilities. Their list is on GitHub and nowhere else.
fn advisories() -> Result<Outcome> {
    with_cargo_deny(|deny| match execute(deny.args(["check", "advisories"]), "advisories") {
        Ok(()) => Ok(passed()),
        Err(error) => {
            let log = fs::read_to_string(log_path("advisories")).unwrap_or_default();
            if log.contains("failed to fetch advisory database") {
                return Ok(Outcome::Skipped(
                    "no connection to the RustSec database on github.com".to_owned(),
                ));
            }
            Err(error)
        }
    })
}

fn with_cargo_deny(check: impl FnOnce(&mut Command) -> Result<Outcome>) -> Result<Outcome> {
    match tools::cargo_deny()? {
        Some(mut deny) => check(&mut deny),
        None => Ok(Outcome::Skipped("cargo-deny can't be installed: no connection to crates.io".to_owned())),
    }
}

/// The template as it stands, and as it would be deployed with each set of parameters.
fn template() -> Result<Outcome> {
    execute(
        command("sam").args(["validate", "--lint", "--config-env", "local"]).env("SAM_CLI_TELEMETRY", "0"),
        "sam-validate",
    )?;
    let mut checks = command(tools::PYTHON);
    checks.args(["-m", "unittest", "discover", "--start-directory", "template-checks", "--verbose"]);
    execute(&mut checks, "template-checks")?;
    Ok(Outcome::Passed(format!("{} passed", passed_tests("template-checks")?)))
}

/// The corrections of the local cloud, each with it and without it, and what tests do to it.
fn local_cloud() -> Result<Outcome> {
    execute(command(tools::PYTHON).args(["-m", "unittest", "discover", "-s", "local-cloud"]), "local-cloud")?;
    Ok(Outcome::Passed(format!("{} passed", passed_tests("local-cloud")?)))
}

fn build() -> Result<Outcome> {
    tools::build()?;
    Ok(passed())
}

/// The template and the binaries as they are, on a local cloud that enforces access.
fn end_to_end() -> Result<Outcome> {
    tools::build()?;
    Ok(Outcome::Passed(format!("{} passed", end_to_end::run()?)))
}

/// The same under faults: nothing is lost, and nothing happens twice.
fn chaos() -> Result<Outcome> {
    Ok(Outcome::Passed(chaos::check()?))
}

/// How many tests the log of a `cargo test` or of Python's unittest counts; an error if there are none, which both call
/// ok.
pub(crate) fn passed_tests(log: &str) -> Result<u32> {
    let path = log_path(log);
    let passed: u32 = fs::read_to_string(&path)?.lines().filter_map(passed_in).sum();
    ensure!(passed > 0, "no test was run: see {}", path.display());
    Ok(passed)
}

/// Reads `test result: ok. 12 passed; 0 failed; …`, and `Ran 12 tests in …` of a run that succeeded.
fn passed_in(line: &str) -> Option<u32> {
    let counts = [("test result: ok. ", " passed"), ("Ran ", " test")];
    let count = |(before, after)| line.strip_prefix(before)?.split_once(after)?.0.parse().ok();
    counts.into_iter().find_map(count)
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn a_selection_of_nothing_is_an_error() {
        let selected = |fast, only: &[&str]| {
            let only = only.iter().map(|&name| name.to_owned()).collect();
            let chosen = Selection { fast, only }.checks().map_err(|error| error.to_string())?;
            Ok::<_, String>(chosen.iter().map(|check| check.name).collect::<Vec<_>>())
        };
        assert_eq!(selected(false, &[]).unwrap().len(), CHECKS.len());
        assert_eq!(selected(true, &[]).unwrap(), ["format", "lints", "docs", "tests", "fuzz"]);
        assert_eq!(selected(true, &["lints", "template"]).unwrap(), ["lints"]);
        let error = selected(true, &["template", "build"]).unwrap_err();
        assert!(error.contains("leaves out template, build"), "{error}");
        assert!(error.contains("`cargo xtask test --only template,build`"), "{error}");
    }

    #[test]
    fn passed_tests_are_counted() {
        assert_eq!(passed_in("test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured"), Some(12));
        assert_eq!(passed_in("test result: FAILED. 1 passed; 1 failed"), None);
        assert_eq!(passed_in("running 3 tests"), None);
        assert_eq!(passed_in("Ran 19 tests in 14.012s"), Some(19));
        assert_eq!(passed_in("Ran 1 test in 0.001s"), Some(1));
    }
}
