//! The deployed shop on the local cloud while everything fails that can fail, and the proof that nothing was lost.
//!
//! `cargo xtask chaos` deploys the stack and starts this binary beside it. Shoppers use the shop; meanwhile a proxy
//! between the functions and AWS, and agents beside them, inject faults by a plan that follows from a seed. Then the
//! faults end, everything that is under way is drained, and the promises of the shop are checked from the data alone.

// What a run says is its purpose.
#![allow(clippy::print_stdout)]

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Result;
use clap::Parser;
use operations::reports::Reports;

use crate::{
    agents::Agents,
    journal::Journal,
    ledger::Ledger,
    options::Options,
    plan::{Kind, Plan},
    proxy::Proxy,
    recorder::Recorder,
    schedule::Schedule,
    stores::Stores,
    world::World,
};

/// What was injected.
mod ledger;
/// What to inject, for how long, and from which seed.
mod options;
/// Seed to schedule: which calls fail, and when.
mod plan;
/// The plan on its way through a run.
mod schedule;
/// Where everything is, and clients that reach it past the proxy.
mod world;

/// Between the functions and AWS: calls that fail on purpose.
mod proxy;

/// What happens beside the calls: functions are killed, the cloud restarts, messages come twice.
mod agents;

/// What the shoppers wanted and what they were told.
mod journal;
/// The load: people who use the shop and repeat what failed.
mod shoppers;

/// What the SDK clients can't ask of the local cloud.
mod operator;
/// Redis and PostgreSQL.
mod stores;

/// Which event a change of a row has to be announced by.
mod announcements;
/// What was published and every version of every row, recorded during the run.
mod recorder;

/// Waits until nothing moves any more.
mod drain;
/// What the shop shows when everything is over.
mod visit;

/// The promises of the shop, checked from the data alone.
mod checks;
/// All that is known of one entity, in order of time.
mod story;

/// What is printed.
mod report;

/// How long the drain of a short run may take.
const DRAIN: Duration = Duration::from_secs(90);

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every promise was kept.
async fn run(options: &Options) -> Result<bool> {
    let world = Arc::new(World::from_environment()?);
    let plan = Arc::new(Plan::new(options.seed, Duration::from_secs(options.seconds), options.kinds()));
    let ledger = Arc::new(Ledger::open()?);
    report::opening(options, &plan, &ledger);
    let schedule = Arc::new(Schedule::new(Arc::clone(&plan), Arc::clone(&ledger)));
    let proxy = Proxy::start(&world, Arc::clone(&schedule)).await?;
    let stores = Stores::start(&world).await?;
    Reports::find(&world.config, &world.environment).await?.migrate().await?;
    world.wait_until_ready().await?;
    agents::hurry(&world).await?;
    let recorder = Recorder::start(&world).await?;

    let journal = Arc::new(Journal::default());
    schedule.begin();
    let agents = Agents::start(&world, &stores, &schedule).await?;
    let progress = tokio::spawn(report::progress(Arc::clone(&schedule), Arc::clone(&journal), proxy));
    let faults = tokio::spawn(agents.end_with_the_plan());
    shoppers::run(&world, &journal, &plan, options.shoppers).await?;
    let poison = faults.await??;
    progress.abort();
    ledger.injected_times(Kind::TokenSkew, "requests", journal.progress().skewed as u64);
    report::injected(&ledger);

    let drained = drain::drain(&world, &recorder, &poison, DRAIN + plan.duration / 4).await?;
    report::drained(&drained);
    let recording = recorder.finish().await?;
    let findings =
        checks::check(&world, &stores, &journal.deeds(), &ledger, &recording, &drained, &poison).await?;
    report::findings(&findings, &ledger, options.seed);
    Ok(findings.violations.is_empty())
}
