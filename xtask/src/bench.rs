use std::{ffi::OsString, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::{
    processes::{self, Group, command, execute},
    progress::step,
    tools,
};

/// Where cargo puts what it builds with the profile `bench`.
pub(crate) const RUNNER: &str = "target/release/bench";
/// The workspaces of the references, each with its own profile, and the functions in them.
const REFERENCES: [(&str, &[&str]); 2] =
    [("bench/references/Cargo.toml", &["no-op", "lean"]), ("bench/references/naive/Cargo.toml", &["naive"])];
/// Where the built references are.
const REFERENCES_FOLDER: &str = "target/bench-references";

/// What the runner is told; it knows its options itself.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Options of the measurement; `--help` shows them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

impl Arguments {
    /// Whether the runner is to explain itself.
    pub(crate) fn ask_for_help(&self) -> bool {
        self.has("--help") || self.has("-h")
    }

    /// Whether services are compared with themselves alone: at different numbers of rows,
    /// with a cache and without, or not compared at all.
    fn needs_no_references(&self) -> bool {
        self.arguments
            .first()
            .is_some_and(|argument| ["growth", "cache", "reports"].contains(&&*argument.to_string_lossy()))
    }

    /// Whether an option is among them, with or without a value.
    pub(crate) fn has(&self, option: &str) -> bool {
        self.arguments.iter().any(|argument| argument.to_string_lossy().split('=').next() == Some(option))
    }
}

/// Builds the services as they are deployed, what they are compared with, and what measures them, and measures.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.ask_for_help() {
        build_runner()?;
        return measure(command(RUNNER).args(&arguments.arguments));
    }
    build(arguments)?;
    if !arguments.needs_no_references() {
        step("build the references", build_references)?;
    }
    measure(command(RUNNER).args(&arguments.arguments))
}

/// Builds what measures, and the services.
pub(crate) fn build(arguments: &Arguments) -> Result<()> {
    tools::install()?;
    step("build what measures", build_runner)?;
    // Who names a folder of services has built them.
    if arguments.has("--services") || arguments.has("--no-build") {
        return Ok(());
    }
    step("build the services", || {
        tools::build().context("the services don't build: correct the error above, then run this again")
    })
}

/// Builds what measures.
pub(crate) fn build_runner() -> Result<()> {
    execute(command("cargo").args(["build", "--profile", "bench", "--package", "bench", "--locked"]), "bench")
}

fn build_references() -> Result<()> {
    for (manifest, functions) in REFERENCES {
        let mut build = command("cargo");
        build.args(["lambda", "build", "--release", "--locked"]);
        build.args(["--manifest-path", manifest, "--lambda-dir", REFERENCES_FOLDER]);
        if cfg!(target_arch = "aarch64") {
            build.arg("--arm64");
        }
        execute(&mut build, "bench-references")?;
        for function in functions {
            let binary = Path::new(REFERENCES_FOLDER).join(function).join("bootstrap");
            ensure!(binary.exists(), "the build left no {}", binary.display());
        }
    }
    Ok(())
}

/// The runner shows by itself how far it is, and what it found.
pub(crate) fn measure(runner: &mut Command) -> Result<()> {
    let status = Group::start(runner)?.wait()?;
    if processes::interrupted() {
        bail!("interrupted");
    }
    ensure!(status.success(), "the measurement failed, for the reason above");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_found_with_and_without_a_value() {
        let arguments = ["--quick", "--services=folder"].map(OsString::from).to_vec();
        let arguments = Arguments { arguments };
        assert_eq!(["--quick", "--services", "--help"].map(|name| arguments.has(name)), [true, true, false]);
    }
}
