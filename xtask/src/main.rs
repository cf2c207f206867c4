//! Every task that a person or CI runs: `cargo xtask up`, `demo`, `fuzz`, `logs`, `test`, `openapi`, `bench`, `load`,
//! `chaos`, `dlq`, `doctor`, `report`.
//!
//! What the tasks install and write lives in `.local/`, which git ignores: the tools, the logs of every child
//! process, and where the running local cloud is found.

// A task's output is its purpose.
#![allow(clippy::print_stdout)]

use std::{env, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Parser;

use crate::processes::CommandFailed;

/// `bench`: how fast the functions are.
mod bench;
/// `chaos`: the shop while everything fails that can fail, and whether anything was lost.
mod chaos;
/// `test`: everything that has to hold before a change is merged.
mod checks;
/// `demo`: the story of one order, told against the running shop.
mod demo;
/// `fuzz`: inputs that nobody thought of.
mod fuzz;
/// `load`: what the shop, its services and one product can take.
mod load;
/// `logs`: what the functions wrote.
mod logs;
/// `openapi`: the committed API descriptions, out of the code.
mod openapi;
/// `dlq`, `doctor`, `report`: what an operator needs when something is stuck.
mod operations;
/// `up`: the whole shop on this machine.
mod up;

/// The few AWS calls that tasks make, all of them to the local cloud.
mod aws;
/// The local AWS cloud: start it, find it, deploy to it.
mod cloud;
/// The check `end-to-end`: the deployed shop, through everything that its stack can become.
mod end_to_end;
/// What the listener of `demo` hears: the events behind each request.
mod listener;
/// What a new shop starts with: an admin and some products.
mod seed;
/// The real Redis and PostgreSQL behind a local cloud.
mod servers;
/// A client of the shop's HTTP API.
mod shop;
/// The Python tools and the build of the functions.
mod tools;

/// The step that a deployment with reports has besides.
mod report;

/// Child processes that never outlive the task.
mod processes;
/// A line per step, with the time it takes.
mod progress;

/// The tasks of this repository.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Run the whole shop on this machine until Ctrl-C
    ///
    /// Installs the tools that are missing into .local/, builds the services, starts the local AWS cloud,
    /// deploys template.yaml to it and fills in an admin and a few products. Run again meanwhile, in a second
    /// terminal, it builds and deploys your changes to the same cloud.
    Up {
        /// Port on 127.0.0.1 that the local cloud listens on
        #[arg(long, default_value_t = 4566)]
        port: u16,
        /// What the shop is to have beside the rest, on a real Redis and PostgreSQL: --with cache,reporting
        #[arg(long, value_enum, value_delimiter = ',')]
        with: Vec<servers::Extra>,
    },
    /// Tell the story of an order against the running shop: request, answer, events
    Demo,
    /// Print what a function logged in the running shop
    Logs {
        /// user-service, product-service, order-service, report-service or secret-rotation
        #[arg(value_parser = tools::FUNCTIONS)]
        function: String,
        /// Go on with what it logs from now on, until Ctrl-C
        #[arg(long, short)]
        follow: bool,
    },
    /// Check everything: format, lints, tests, template, dependencies, end to end
    Test(checks::Selection),
    /// Look for inputs that a service can't take: none may panic, hang, be answered by 5xx or spoil another
    Fuzz(fuzz::Arguments),
    /// Write the openapi.json of each service and of docs/ out of the code
    Openapi,
    /// Measure cold starts, warm calls, memory and package sizes of the services
    ///
    /// Builds the services, and references to compare them with, and starts them behind a stand-in for Lambda, with a
    /// DynamoDB emulator behind them.
    Bench(bench::Arguments),
    /// Use the deployed shop while faults are injected, and check that nothing was lost
    ///
    /// Builds the services, deploys them to a local cloud of their own, lets shoppers use them while calls fail,
    /// functions are killed, messages come twice and the cloud restarts; then waits until nothing moves any more and
    /// checks what the shop promises from the data alone. docs/CHAOS.md says what is injected and how to read a violation.
    Chaos(chaos::Arguments),
    /// Put the shop under load: steadily, then all at once; `load soak`, `load hot-product`
    ///
    /// Deploys the shop to a local cloud of its own, and ends that again. `load soak` calls the services for ten minutes
    /// without a cloud, and shows whether they grow; `load hot-product` simulates that 10,000 order one product at once.
    Load(bench::Arguments),
    /// List, show, redrive or drop what could not be handled
    ///
    /// Of the shop that `up` runs; or, with --environment, --profile or --region, of a deployed stack, with ordinary AWS
    /// credentials. docs/RUNBOOK.md says when to do what.
    Dlq(operations::Arguments),
    /// Tell in some ten lines whether a stack is healthy, and what to do if not
    ///
    /// Of the shop that `up` runs; or, with --environment, --profile or --region, of a deployed stack. It ends with 1 if
    /// somebody has to do something.
    Doctor(operations::Arguments),
    /// Migrate, rebuild or verify the reports' database
    ///
    /// Of the shop that `up` runs; or, with --environment, --profile or --region, of a deployed stack. docs/RUNBOOK.md
    /// says when to do what.
    Report(operations::Arguments),
}

fn main() -> ExitCode {
    let task = Task::parse();
    let outcome = prepare().and_then(|()| match task {
        Task::Up { port, with } => up::run(port, &with),
        Task::Demo => demo::run(),
        Task::Logs { function, follow } => logs::run(&function, follow),
        Task::Test(selection) => checks::run(&selection),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Openapi => openapi::run(),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Chaos(arguments) => chaos::run(&arguments),
        Task::Load(arguments) => load::run(&arguments),
        Task::Dlq(arguments) => operations::run("dlq", &arguments),
        Task::Doctor(arguments) => operations::run("doctor", &arguments),
        Task::Report(arguments) => operations::run("report", &arguments),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if processes::interrupted() => {
            eprintln!("stopped");
            ExitCode::from(130)
        }
        Err(error) if error.is::<operations::HasSaidSo>() => ExitCode::FAILURE,
        Err(error) => {
            if let Some(failed) = error.downcast_ref::<CommandFailed>() {
                eprint!("\n{}\n", failed.tail());
            }
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Works from the root of the repository from here on, whatever folder the task was called in.
fn prepare() -> Result<()> {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask`")?;
    env::set_current_dir(PathBuf::from(manifest).join("..")).context("can't enter the repository")?;
    processes::stop_on_signals()
}
