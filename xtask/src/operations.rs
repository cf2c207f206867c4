use std::{ffi::OsString, fmt};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::{
    cloud::Cloud,
    processes::{self, Group, command, execute},
};

/// Where cargo puts the tools.
pub(crate) const TOOLS: &str = "target/debug/operations";
/// What says that another stack is meant than that of `up`.
const ELSEWHERE: [&str; 3] = ["--environment", "--profile", "--region"];

/// What the tools are told; they know their options themselves.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// `--help` shows them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Arguments {
    fn has(&self, options: &[&str]) -> bool {
        let name =
            |argument: &OsString| argument.to_string_lossy().split('=').next().unwrap_or_default().to_owned();
        self.arguments.iter().any(|argument| options.contains(&name(argument).as_str()))
    }
}

/// The tool has said what is wrong.
#[derive(Debug)]
pub(crate) struct HasSaidSo;

impl fmt::Display for HasSaidSo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reasons are above")
    }
}

impl std::error::Error for HasSaidSo {}

/// Runs one of an operator's tools: against the shop that `up` runs, or with the caller's own AWS settings against the
/// stack that they name.
pub(crate) fn run(tool: &str, arguments: &Arguments) -> Result<()> {
    let asks_for_help =
        arguments.arguments.is_empty() && tool != "doctor" || arguments.has(&["--help", "-h", "help"]);
    let mut tools = if asks_for_help || arguments.has(&ELSEWHERE) {
        command(TOOLS)
    } else {
        let cloud = Cloud::running().context(
            "the shop is not running on this machine: start it with `cargo xtask up`, or name a stack with \
             --environment, --profile and --region",
        )?;
        cloud.client(TOOLS)
    };
    build()?;
    let status = Group::start(tools.arg(tool).args(&arguments.arguments))?.wait()?;
    if processes::interrupted() {
        bail!("interrupted");
    }
    ensure!(status.success(), HasSaidSo);
    Ok(())
}

/// Builds the tools.
pub(crate) fn build() -> Result<()> {
    execute(command("cargo").args(["build", "--package", "operations", "--locked"]), "operations")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_elsewhere_is_named_by_an_option_with_or_without_a_space() {
        let has = |arguments: &[&str]| {
            let arguments = arguments.iter().map(OsString::from).collect();
            Arguments { arguments }.has(&ELSEWHERE)
        };
        assert!(has(&["list", "--profile", "shop"]) && has(&["--region=eu-central-1", "list"]));
        assert!(!has(&["redrive", "stock-requests", "--all"]));
    }
}
