//! `cargo xtask dlq`, `cargo xtask doctor` and `cargo xtask report`, for the local cloud and for AWS.
//!
//! It works with the credentials, the region and the endpoint that the environment or a profile has, as the AWS CLI
//! does.

// What is printed is the purpose.
#![allow(clippy::print_stdout)]

use std::process::ExitCode;

use anyhow::Result;
use aws_config::{BehaviorVersion, Region};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_types::SdkConfig;
use clap::{Args, Parser, Subcommand};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// What could not be handled.
mod dlq;
/// Whether all is well.
mod health;
/// How far a long task is.
mod meter;
/// The reports' database.
mod report;

/// Tools for an operator of the shop
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Options {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    task: Task,
}

/// Which stack; without any of these, that of `cargo xtask up`.
#[derive(Args)]
struct Place {
    /// The environment that the stack was deployed for: dev, staging or prod
    #[arg(long, global = true, default_value = "dev")]
    environment: String,
    /// A profile of the AWS CLI
    #[arg(long, global = true)]
    profile: Option<String>,
    /// The region, if it is not that of the profile or of the environment variables
    #[arg(long, global = true)]
    region: Option<String>,
}

#[derive(Subcommand)]
enum Task {
    /// What could not be handled: list it, look at it, give it back, or give it up
    #[command(subcommand)]
    Dlq(dlq::Command),
    /// Tell whether a stack is healthy, and what to do if not
    Doctor(health::Arguments),
    /// The reports' database: bring its schema up to date, make it anew, or compare it with the tables
    #[command(subcommand)]
    Report(report::Command),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Options { place, task } = Options::parse();
    let config = place.config().await;
    let outcome = match &task {
        Task::Dlq(command) => dlq::run(command, &config, &place.environment).await,
        Task::Doctor(arguments) => health::run(arguments, &config, &place.environment).await,
        Task::Report(command) => report::run(command, &config, &place.environment).await,
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Place {
    /// The one HTTP client, with the machine's own trusted roots, is for finding credentials as well.
    async fn config(&self) -> SdkConfig {
        let client = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(client);
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        loader.load().await
    }
}

/// Whether a result is to be called a success by the exit code.
type Healthy = Result<bool>;

/// Turns true when somebody wants an end of it.
fn stop_on_signals() -> Result<watch::Receiver<bool>> {
    let (stop, stopped) = watch::channel(false);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.send_replace(true);
        // Held, so that it stays true.
        stop.closed().await;
    });
    Ok(stopped)
}
