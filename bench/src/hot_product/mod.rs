//! Everybody orders the same product at once: product-service as Lambda would run it on the queue of orders, against a
//! store that refuses rival transactions and hot rows as DynamoDB does.

/// The queue of orders.
mod queue;
/// What is printed and written.
mod report;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde_json::Value;

use self::queue::{Message, Queue};
pub use self::report::Report;
use crate::{
    function::{Function, Launch},
    stats::summary,
    store::{PRODUCTS, Store, Transport},
    targets::{Program, parsed},
    workload::Workload,
};

/// What is simulated.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Folder with the built services, each as in user-service/bootstrap; if it is named, they are not built first
    #[arg(long, value_name = "FOLDER", default_value = "target/lambda")]
    pub services: PathBuf,
    /// Orders of one unit each that wait in the queue at the start
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    pub orders: usize,
    /// Units in stock; what is ordered beyond them is rejected
    #[arg(long, value_name = "NUMBER", default_value_t = 8_000)]
    pub stock: usize,
    /// Environments of the function at once, as MaximumConcurrency of the queue's mapping bounds them
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub environments: u16,
    /// Messages of a batch, as BatchSize of the mapping
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=10))]
    pub batch: u16,
    /// Milliseconds until the store answers
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 4)]
    pub store_latency: u64,
    /// Milliseconds more for which a transaction takes, and keeps its rows
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..))]
    pub transaction: u64,
    /// Folder for hot-product.json
    #[arg(long, value_name = "FOLDER", default_value = "target/bench/results")]
    pub out: PathBuf,
}

/// What one environment did.
#[derive(Default)]
struct Work {
    batches: Vec<u64>,
    failed: usize,
}

/// Simulates it, in a folder for logs that is for this run alone.
pub fn run(root: &Path, work: &Path, options: &Options) -> Result<Report> {
    let mut store = Store::start(&root.join("template.yaml"), work, None)?;
    let services = root.join(&options.services);
    let launch = |program: Program, store: &Store, log: &str| Launch {
        bootstrap: services.join(program.name()).join("bootstrap"),
        environment: program.environment(store, Transport::Http),
        log: work.join(format!("hot-product-{log}.log")),
    };
    let mut workload =
        Workload::new(&root.join("events"), &mut store, &|program, store| launch(program, store, "set-up"))?;
    let product = workload.products()[0].clone();
    stock_up(&mut store, &product, options.stock)?;
    let (orders, messages) = messages(&mut workload, &product, options.orders)?;
    let functions = (0..options.environments)
        .map(|number| Ok(Function::start(&launch(Program::ProductService, &store, &number.to_string()))?.0))
        .collect::<Result<Vec<_>>>()?;
    store.set_latency(Duration::from_millis(options.store_latency))?;
    store.set_contention(Duration::from_millis(options.transaction))?;

    let calls_before = store.calls()?;
    let queue = Queue::new(messages);
    let store = Mutex::new(store);
    let start = Instant::now();
    let works = serve(functions, &queue, &store, options.batch.into())?;
    let took = start.elapsed();

    let mut store = store.into_inner().map_err(|_| anyhow!("a thread panicked"))?;
    store.set_latency(Duration::ZERO)?;
    let outcome = queue.outcome();
    let mut calls = store.calls()?;
    for (name, before) in calls_before {
        calls.entry(name).and_modify(|count| *count -= before);
    }
    let (reserved, rejected) = decisions(&mut store, &orders);
    let left = stock(&store.row(PRODUCTS, "product_id", &product)?)?;
    let batches: Vec<u64> = works.iter().flat_map(|work| work.batches.iter().copied()).collect();
    let count = |name: &str| calls.get(name).copied().unwrap_or_default();
    Ok(Report {
        orders: options.orders,
        stock: options.stock,
        environments: options.environments,
        batch: options.batch,
        store_latency_ms: options.store_latency,
        transaction_ms: options.transaction,
        reserved,
        rejected,
        stock_left: left,
        seconds: took.as_secs_f64(),
        waited_seconds: outcome.skipped.as_secs_f64(),
        deliveries: outcome.deliveries,
        failed: works.iter().map(|work| work.failed).sum(),
        dead: outcome.dead,
        transactions: count("TransactWriteItems"),
        conflicts: count("TransactionConflict"),
        throttled: count("ThrottlingError"),
        reads: count("BatchGetItem") + count("GetItem"),
        batch_latency: summary(&batches).context("no batch was delivered")?,
    })
}

/// Lets each environment take batch after batch, until no message is left.
fn serve(functions: Vec<Function>, queue: &Queue, store: &Mutex<Store>, batch: usize) -> Result<Vec<Work>> {
    thread::scope(|scope| {
        let environments: Vec<_> = functions
            .into_iter()
            .map(|mut function| {
                scope.spawn(move || {
                    let work = environment(&mut function, queue, store, batch);
                    if work.is_err() {
                        queue.give_up();
                    }
                    work
                })
            })
            .collect();
        let joined = environments.into_iter().map(|environment| {
            environment.join().map_err(|_| anyhow!("the thread of an environment panicked"))?
        });
        joined.collect()
    })
}

fn environment(
    function: &mut Function,
    queue: &Queue,
    store: &Mutex<Store>,
    batch_size: usize,
) -> Result<Work> {
    let mut work = Work::default();
    while let Some((batch, event)) = queue.receive(batch_size) {
        let answer = function.invoke(&event)?;
        work.batches.push(answer.took);
        let body =
            answer.body.map_err(|error| anyhow!("a failed invocation: {error}{}", function.last_words()))?;
        let failures = parsed(&body)["batchItemFailures"].as_array().cloned();
        let failures = failures.with_context(|| format!("no answer to a batch: {body}"))?;
        let id = |failure: &Value| failure["itemIdentifier"].as_str().map(str::to_owned);
        let failed: Vec<String> = failures.iter().filter_map(id).collect();
        let postponed = match failed.len() {
            0 => std::collections::BTreeMap::new(),
            _ => store.lock().map_err(|_| anyhow!("a thread panicked"))?.postponed()?,
        };
        work.failed += failed.len();
        queue.settle(batch, &failed, &postponed);
    }
    Ok(work)
}

/// Messages that ask for a unit each, and the ids of their orders.
fn messages(workload: &mut Workload, product: &str, count: usize) -> Result<(Vec<String>, Vec<Message>)> {
    let mut orders = Vec::new();
    let event = workload.batch("product-service", "order-placed", count, |_, event, order_id| {
        event["data"]["order_id"] = order_id.into();
        event["data"]["items"] = serde_json::json!([{ "product_id": product, "quantity": 1 }]);
        orders.push(order_id.to_owned());
    })?;
    let records = event["Records"].as_array().context("a batch without records")?;
    Ok((orders, records.iter().cloned().map(Message::new).collect()))
}

fn stock_up(store: &mut Store, product: &str, units: usize) -> Result<()> {
    let mut row = store.row(PRODUCTS, "product_id", product)?;
    row["stock"]["N"] = units.to_string().into();
    store.write_rows(PRODUCTS, &[row])
}

fn stock(row: &Value) -> Result<usize> {
    Ok(row["stock"]["N"].as_str().context("a product without stock")?.parse()?)
}

/// How many orders have their units, and how many don't. The message of one that was never decided is dead.
fn decisions(store: &mut Store, orders: &[String]) -> (usize, usize) {
    let states: Vec<Value> = orders
        .iter()
        .filter_map(|order| store.row(PRODUCTS, "product_id", &format!("reservation#{order}")).ok())
        .map(|row| row["state"]["S"].clone())
        .collect();
    let count = |state: &str| states.iter().filter(|known| *known == state).count();
    (count("RESERVED"), count("REJECTED"))
}

impl Report {
    /// Writes `hot-product.json`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
        let path = folder.join("hot-product.json");
        let json = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&path, json).with_context(|| format!("can't write {}", path.display()))
    }
}
