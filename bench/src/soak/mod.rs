//! The services under a steady load for minutes, each one process as on Lambda: what they hold must not grow with what
//! they have done.

/// What they are called with.
mod mix;
/// The figures, and what is right.
mod report;
/// What a process has.
mod watch;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;

use self::{mix::calls, watch::Watch};
pub use self::{
    report::{Report, Soaked},
    watch::Sample,
};
use crate::{
    function::{Function, Launch},
    stats::summary,
    store::{Store, Transport},
    targets::Program,
    workload::Workload,
};

const SERVICES: [Program; 3] = [Program::UserService, Program::ProductService, Program::OrderService];
/// Wrong answers whose text is kept.
const KEPT_ERRORS: usize = 5;

/// How long, and how much.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Folder with the built services, each as in user-service/bootstrap; if it is named, they are not built first
    #[arg(long, value_name = "FOLDER", default_value = "target/lambda")]
    pub services: PathBuf,
    /// How long
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub minutes: u64,
    /// Invocations of each service in a second
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rate: u32,
    /// How the services reach their store
    #[arg(long, value_enum, default_value = "https")]
    pub transport: Transport,
    /// Folder for soak.json
    #[arg(long, value_name = "FOLDER", default_value = "target/bench/results")]
    pub out: PathBuf,
}

/// What all share: events are made by one at a time.
struct Shop {
    workload: Workload,
    store: Store,
}

/// What one service did.
#[derive(Default)]
struct Work {
    calls: BTreeMap<&'static str, u64>,
    published: u64,
    latencies: Vec<u64>,
    errors: u64,
    first_errors: Vec<String>,
}

/// Calls the services, and watches them.
pub fn run(root: &Path, work: &Path, options: &Options) -> Result<Report> {
    let mut store = Store::start(&root.join("template.yaml"), work, None)?;
    let services = root.join(&options.services);
    let launch = |program: Program, store: &Store, log: &str| Launch {
        bootstrap: services.join(program.name()).join("bootstrap"),
        environment: program.environment(store, options.transport),
        log: work.join(format!("soak-{log}.log")),
    };
    let fill = |program: Program, store: &Store| launch(program, store, "set-up");
    let workload = Workload::new(&root.join("events"), &mut store, &fill)?;
    let functions = SERVICES
        .iter()
        .map(|program| Ok(Function::start(&launch(*program, &store, program.name()))?.0))
        .collect::<Result<Vec<_>>>()?;
    let processes: Vec<u32> = functions.iter().map(Function::id).collect();
    let published_before = mix::published(&mut store)?;
    let shop = Mutex::new(Shop { workload, store });
    let (watch, duration) = (Watch::new(SERVICES.len()), Duration::from_secs(options.minutes * 60));

    let works: Vec<Work> = thread::scope(|scope| {
        let watching = scope.spawn(|| watch.run(&processes));
        let serving: Vec<_> = SERVICES
            .into_iter()
            .zip(functions)
            .map(|(program, function)| {
                let shop = &shop;
                scope.spawn(move || serve(program, function, shop, options.rate, duration))
            })
            .collect();
        // All of them, before the watch ends, whatever one of them comes to.
        let works: Vec<_> = serving.into_iter().map(thread::ScopedJoinHandle::join).collect();
        watch.end();
        watching.join().map_err(|_| anyhow!("the watch panicked"))?.context("a service is gone")?;
        works.into_iter().map(|work| work.map_err(|_| anyhow!("a thread panicked"))?).collect::<Result<_>>()
    })?;

    let mut shop = shop.into_inner().unwrap_or_else(PoisonError::into_inner);
    let published = mix::published(&mut shop.store)? - published_before;
    let expected: u64 = works.iter().map(|work| work.published).sum();
    ensure!(published == expected, "{expected} events should have been published, {published} were");
    let soaked = SERVICES.iter().zip(works).zip(watch.samples()).map(|((program, work), samples)| {
        Ok(Soaked {
            service: program.name().to_owned(),
            calls: work.calls.iter().map(|(way, count)| ((*way).to_owned(), *count)).collect(),
            errors: work.errors,
            first_errors: work.first_errors,
            latency: summary(&work.latencies).context("no call was made")?,
            samples,
        })
    });
    let soaked = soaked.collect::<Result<_>>()?;
    Report::new(root, options, soaked)
}

/// Calls a service at a steady rate until the time is over. Wrong answers are counted.
fn serve(
    program: Program,
    mut function: Function,
    shop: &Mutex<Shop>,
    rate: u32,
    duration: Duration,
) -> Result<Work> {
    let mut work = Work::default();
    let start = Instant::now();
    let every = Duration::from_secs(1) / rate;
    let mut next = start;
    for call in calls(program).iter().cycle() {
        if start.elapsed() >= duration {
            break;
        }
        let event = {
            let mut shop = shop.lock().unwrap_or_else(PoisonError::into_inner);
            let Shop { workload, store } = &mut *shop;
            call.event(program, workload, store)?
        };
        let answer = function.invoke(&event).with_context(|| program.name())?;
        *work.calls.entry(call.way()).or_default() += 1;
        work.published += call.published();
        work.latencies.push(answer.took);
        let checked = match answer.body {
            Ok(body) => call.check(&body),
            Err(error) => Err(anyhow!("a failed invocation: {error}")),
        };
        if let Err(error) = checked {
            work.errors += 1;
            if work.first_errors.len() < KEPT_ERRORS {
                work.first_errors.push(format!("{call:?}: {error}"));
            }
        }
        next += every;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(work)
}
