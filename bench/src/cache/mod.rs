//! What a cache changes for a read: product-service beside itself with Redis, without, and with one that is down, in one
//! run.

/// The tables of results, and what the cache saves.
mod report;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use local_servers::Redis;
use serde_json::Value;

pub use self::report::Report;
use self::report::{Down, Figure, Start};
use crate::{
    clock::Nanos,
    function::{Function, Launch},
    progress::Progress,
    stats::{micros, summary},
    store::{CACHE_TOKEN, Store, Transport},
    targets::Program,
    workload::Workload,
};

/// Calls in a row.
const SLICE: usize = 50;
/// Slices that don't count.
const WARM_UP: usize = 3;
/// Calls while Redis is left alone, after the one that has found out; less than it is left alone for.
const WHILE_DOWN: usize = 50;

/// What is measured, and how often.
#[derive(Debug, Args)]
pub struct Options {
    /// Folder with the built services, each as in user-service/bootstrap; if it is named, they are not built first
    #[arg(long, value_name = "FOLDER", default_value = "target/lambda")]
    services: PathBuf,
    /// Another build of the services, which knows nothing of a cache
    #[arg(long, value_name = "FOLDER")]
    before: Option<PathBuf>,
    /// Slices of 50 calls for each figure
    #[arg(long, value_name = "NUMBER", default_value_t = 40)]
    slices: usize,
    /// Fresh processes for each start, and for each way to be down
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    starts: usize,
    /// Folder for cache.json and cache.md
    #[arg(long, value_name = "FOLDER", default_value = "target/bench/results")]
    pub out: PathBuf,
}

/// A store with a shop in it, and a Redis.
struct Scene<'a> {
    store: Store,
    redis: Redis,
    workload: Workload,
    folder: PathBuf,
    options: &'a Options,
    root: &'a Path,
}

/// A process of product-service that is called again and again for the same.
struct Case {
    name: &'static str,
    call: &'static str,
    function: Function,
    request: String,
    latencies: Vec<Nanos>,
    cpu: Nanos,
    store_calls: u64,
}

/// How a function is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Build {
    Before,
    WithoutCache,
    WithCache,
}

/// Measures all.
pub fn run(root: &Path, work: &Path, options: &Options) -> Result<Report> {
    let mut scene = Scene::set(root, work, options)?;
    let figures = scene.warm()?;
    let starts = scene.starts()?;
    let down = [scene.down("refuses connections", false)?, scene.down("hangs", true)?];
    Ok(Report::new(root, options.slices * SLICE, options.starts, figures, starts, down.concat()))
}

impl<'a> Scene<'a> {
    fn set(root: &'a Path, work: &Path, options: &'a Options) -> Result<Self> {
        let folder = work.join("cache");
        fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
        let redis = Redis::start()?;
        redis.set_auth_token(CACHE_TOKEN)?;
        let roots = folder.join("redis.pem");
        fs::write(&roots, redis.roots())?;
        let mut store = Store::start(&root.join("template.yaml"), &folder, Some(&roots))?;
        let services = root.join(&options.services);
        let launch = |program: Program, store: &Store| Launch {
            bootstrap: services.join(program.name()).join("bootstrap"),
            environment: program.environment(store, Transport::Http),
            log: folder.join(format!("{}.log", program.name())),
        };
        let workload = Workload::new(&root.join("events"), &mut store, &launch)?;
        Ok(Self { store, redis, workload, folder: folder.clone(), options, root })
    }

    fn launch(&self, build: Build, name: &str) -> Launch {
        let folder = match (build, &self.options.before) {
            (Build::Before, Some(before)) => before,
            _ => &self.options.services,
        };
        // As with AWS: Redis has TLS, too.
        let mut environment = Program::ProductService.environment(&self.store, Transport::Https);
        if build == Build::WithCache {
            environment.push(("CACHE_URL".to_owned(), self.redis.url()));
            environment.push(("CACHE_SECRET_ID".to_owned(), "dev/microservices/redis".to_owned()));
        }
        Launch {
            bootstrap: self.root.join(folder).join(Program::ProductService.name()).join("bootstrap"),
            environment,
            log: self.folder.join(format!("{name}.log")),
        }
    }

    fn product(&mut self) -> Result<String> {
        let id = self.workload.products().first().context("a shop without a product")?;
        let path = format!("/api/products/{id}");
        self.workload.read(Program::ProductService.name(), "get-product", &path, &[])
    }

    fn page(&mut self) -> Result<String> {
        let query = [("limit", "20")];
        self.workload.read(Program::ProductService.name(), "list-products", "/api/products", &query)
    }

    fn builds(&self) -> Vec<(Build, &'static str)> {
        let before = self.options.before.as_ref().map(|_| (Build::Before, "before there was a cache"));
        before.into_iter().chain([(Build::WithoutCache, "off"), (Build::WithCache, "on")]).collect()
    }

    /// The same calls of warm functions, in turns.
    fn warm(&mut self) -> Result<Vec<Figure>> {
        let (product, page) = (self.product()?, self.page()?);
        let mut cases = Vec::new();
        for (build, name) in self.builds() {
            for (call, request) in [("a product", &product), ("newest 20", &page)] {
                let (function, _) = Function::start(&self.launch(build, &format!("{build:?}-{call}")))?;
                cases.push(Case {
                    name,
                    call,
                    function,
                    request: request.clone(),
                    latencies: Vec::new(),
                    cpu: 0,
                    store_calls: 0,
                });
            }
        }
        let mut order = fastrand::Rng::with_seed(1);
        let mut progress = Progress::new("warm calls", self.options.slices);
        for round in 0..WARM_UP + self.options.slices {
            order.shuffle(&mut cases);
            for case in &mut cases {
                case.take_turn(&mut self.store, round >= WARM_UP)?;
            }
            if round >= WARM_UP {
                progress.advance();
            }
        }
        cases.sort_by_key(|case| (case.call, case.name));
        cases.into_iter().map(Case::figure).collect()
    }

    /// From the start of a process to its first answer, in turns.
    fn starts(&mut self) -> Result<Vec<Start>> {
        let request = self.product()?;
        let builds = self.builds();
        let mut figures = vec![(Vec::new(), Vec::new()); builds.len()];
        let mut progress = Progress::new("cold starts", self.options.starts);
        for _ in 0..self.options.starts {
            for ((build, _), (ready, answered)) in builds.iter().zip(&mut figures) {
                let (mut function, start) = Function::start(&self.launch(*build, "start"))?;
                ready.push(start.ready - start.at);
                answered.push(start.ready - start.at + call(&mut function, &request)?);
            }
            progress.advance();
        }
        builds
            .into_iter()
            .zip(figures)
            .map(|((_, name), (ready, answered))| {
                Ok(Start {
                    name,
                    ready: summary(&ready).context("no start was measured")?,
                    answered: summary(&answered).context("no start was measured")?,
                })
            })
            .collect()
    }

    /// A warm function whose Redis goes down: the first request after that, and those that follow at once. If it hangs, once
    /// before the function has connected and once while it is connected.
    fn down(&mut self, how: &'static str, hangs: bool) -> Result<Vec<Down>> {
        let request = self.product()?;
        let mut downs = Vec::new();
        for connected in [false, true] {
            let (mut first, mut open) = (Vec::new(), Vec::new());
            for _ in 0..self.options.starts {
                self.redis.line().pass()?;
                let (mut function, _) = Function::start(&self.launch(Build::WithCache, "down"))?;
                if connected {
                    for _ in 0..20 {
                        call(&mut function, &request)?;
                    }
                } else {
                    self.redis.line().refuse()?;
                }
                if hangs {
                    self.redis.line().hang()?
                } else {
                    self.redis.line().refuse()?
                }
                first.push(call(&mut function, &request)?);
                for _ in 0..WHILE_DOWN {
                    open.push(call(&mut function, &request)?);
                }
            }
            downs.push(Down {
                how,
                connected,
                first: summary(&first).context("no call was measured")?,
                open: summary(&open).context("no call was measured")?,
            });
        }
        self.redis.line().pass()?;
        Ok(downs)
    }
}

impl Case {
    fn take_turn(&mut self, store: &mut Store, counts: bool) -> Result<()> {
        let calls = |store: &mut Store| store.calls().map(|calls| calls.values().sum::<u64>());
        let (calls_before, cpu_before) = (calls(store)?, self.function.cpu()?);
        let mut latencies = Vec::with_capacity(SLICE);
        for _ in 0..SLICE {
            latencies.push(call(&mut self.function, &self.request).with_context(|| self.name)?);
        }
        if counts {
            self.cpu += self.function.cpu()? - cpu_before;
            self.store_calls += calls(store)? - calls_before;
            self.latencies.extend(latencies);
        }
        Ok(())
    }

    fn figure(self) -> Result<Figure> {
        let calls = self.latencies.len() as f64;
        Ok(Figure {
            call: self.call,
            name: self.name,
            latency: summary(&self.latencies).context("no call was measured")?,
            cpu_per_call: micros(self.cpu) / calls,
            store_calls_per_call: self.store_calls as f64 / calls,
        })
    }
}

/// How long a good answer took.
fn call(function: &mut Function, request: &str) -> Result<Nanos> {
    if crate::interrupted() {
        bail!("interrupted");
    }
    let answer = function.invoke(request)?;
    let text = answer.body.unwrap_or_else(|error| format!("a failed invocation: {error}"));
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    ensure!(value["statusCode"] == 200, "expected status 200, got {text}{}", function.last_words());
    Ok(answer.took)
}
