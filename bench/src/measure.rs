//! The order of all measurements: everything takes turns, so that whatever else the machine does hits all alike.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    clock::Nanos,
    function::{Function, Launch},
    package,
    progress::Progress,
    quota::Quota,
    stats::{self, Summary, micros, summary},
    store::{PUBLISHED, Store, Transport},
    targets::{Program, Target},
    workload::Workload,
};

/// The build of the services that goals are held against.
pub const THIS_BUILD: &str = "this";

/// Of functions whose share of a processor is measured, in MB: the least, and what the services have.
const MEMORIES: [u64; 2] = [128, 512];

/// The variable that a service looks at last: without it, it is configured and can't go on.
const NEEDED: &str = "SECRET_ID";

/// What is measured, and how often.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The repository.
    pub root: PathBuf,
    /// Builds of the services: a label, and the folder with `<service>/bootstrap`. The first one fills the tables.
    pub builds: Vec<(String, PathBuf)>,
    /// The folder with the references.
    pub references: PathBuf,
    /// What to measure.
    pub targets: Vec<&'static Target>,
    /// Over which transports.
    pub transports: Vec<Transport>,
    /// Fresh processes for each cold start.
    pub cold: usize,
    /// Warm calls of each target.
    pub warm: usize,
    /// Warm calls in a row, before it is another target's turn.
    pub slice: usize,
    /// Calls that a fresh process gets before its warm calls count.
    pub warm_up: usize,
    /// More roots for functions to read at their start.
    pub more_roots: Option<PathBuf>,
    /// How much later every answer of AWS comes when batches are measured a second time.
    pub store_latency: Duration,
    /// Where logs and the like go: a folder that exists, and that is for this run alone.
    pub work: PathBuf,
}

/// All that was found out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Results {
    /// Each target in each build over each transport.
    pub rows: Vec<Row>,
    /// First calls at a share of a processor.
    pub shares: Vec<Share>,
    /// Why there are none.
    pub no_shares_because: Option<String>,
}

/// What was found out about one target in one build over one transport.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The target's name.
    pub target: String,
    /// The function.
    pub program: Program,
    /// The build's label; none for references.
    pub build: Option<String>,
    /// The transport.
    pub transport: Transport,
    /// Its start.
    pub cold: Option<Cold>,
    /// Its calls.
    pub warm: Warm,
    /// Its calls while AWS takes its time, if they are batches.
    pub slow_store: Option<Warm>,
    /// The most memory that its process had at once, in KiB.
    pub peak_memory_kib: u64,
    /// Its executable file, in bytes.
    pub size: u64,
    /// The same as a package, zipped.
    pub zipped_size: u64,
}

/// Cold starts, in microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cold {
    /// From the start of the process until it has its configuration and its clients, and would turn to AWS. Of services
    /// alone: a start of its own, which ends there.
    pub configured: Option<Summary>,
    /// From the start of the process until it first turns to AWS, or is ready if it never does.
    pub before_warm_up: Summary,
    /// From the start of the process until it is ready.
    pub init: Summary,
    /// From the first event until its answer.
    pub first_call: Summary,
    /// Each start, in nanoseconds.
    pub samples: Vec<ColdSample>,
}

/// One cold start, in nanoseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ColdSample {
    /// See [`Cold`].
    pub configured: Option<Nanos>,
    /// See [`Cold`].
    pub before_warm_up: Nanos,
    /// See [`Cold`].
    pub init: Nanos,
    /// See [`Cold`].
    pub first_call: Nanos,
}

/// First calls of fresh processes that have a share of a processor from the moment when they are ready.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Share {
    /// The target's name.
    pub target: String,
    /// The build's label; none for references.
    pub build: Option<String>,
    /// The transport.
    pub transport: Transport,
    /// The function's memory in MB, with which the share comes.
    pub memory: u64,
    /// From the first event until its answer, in microseconds.
    pub first_call: Summary,
}

/// Warm calls.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Warm {
    /// From event to answer, in microseconds.
    pub latency: Summary,
    /// The same: 1st to 99th percentile.
    pub percentiles: Vec<f64>,
    /// Processor time of all its threads for one call, in microseconds.
    pub cpu_per_call: f64,
    /// Calls to AWS for one call, by operation.
    pub aws_calls_per_call: BTreeMap<String, f64>,
}

/// One target in one build over one transport.
struct Case {
    target: &'static Target,
    build: Option<String>,
    transport: Transport,
    launch: Launch,
}

/// A case with its living process.
struct Living<'a> {
    case: &'a Case,
    function: Function,
    latencies: Vec<Nanos>,
    cpu: Nanos,
    aws_calls: BTreeMap<String, u64>,
}

/// A bench: the store is running and filled.
pub struct Bench {
    plan: Plan,
    store: Store,
    workload: Workload,
    cases: Vec<Case>,
    /// Nobody always comes after the same neighbour, and the order is the same in each run.
    order: fastrand::Rng,
}

impl Bench {
    /// Starts the store and fills it.
    pub fn set_up(plan: Plan) -> Result<Self> {
        let template = plan.root.join("template.yaml");
        let mut store = Store::start(&template, &plan.work, plan.more_roots.as_deref())?;
        let services = &plan.builds.first().context("no build to measure")?.1;
        let launch = |program: Program, store: &Store| {
            launch(&plan, program, services, store, Transport::Http, "set-up")
        };
        let workload = Workload::new(&plan.root.join("events"), &mut store, &launch)
            .context("the shop can't be filled through its own services")?;
        let cases = cases(&plan, &store)?;
        Ok(Self { plan, store, workload, cases, order: fastrand::Rng::with_seed(1) })
    }

    /// Measures all.
    pub fn run(&mut self) -> Result<Results> {
        let mut cold = self.cold()?;
        let (shares, no_shares_because) = match Quota::find() {
            Ok(quota) => (self.shares(&quota)?, None),
            Err(obstacle) => (Vec::new(), Some(format!("{obstacle:#}"))),
        };
        let all: Vec<usize> = (0..self.cases.len()).collect();
        let warm = self.warm("warm calls", &all, self.plan.warm)?;
        let mut slow = self.slow_store()?;
        let rows = warm.into_iter().map(|(index, (warm, peak_memory_kib))| {
            let case = &self.cases[index];
            let bytes = fs::read(&case.launch.bootstrap)?;
            Ok(Row {
                target: case.target.name.to_owned(),
                program: case.target.program,
                build: case.build.clone(),
                transport: case.transport,
                cold: cold.remove(&index),
                warm,
                slow_store: slow.remove(&index).map(|(warm, _)| warm),
                peak_memory_kib,
                size: bytes.len().try_into()?,
                zipped_size: package::zipped_size(&bytes)?,
            })
        });
        Ok(Results { rows: rows.collect::<Result<_>>()?, shares, no_shares_because })
    }

    /// Fresh processes, one after the other.
    fn cold(&mut self) -> Result<BTreeMap<usize, Cold>> {
        let rounds = self.plan.cold;
        let mut samples: BTreeMap<usize, Vec<ColdSample>> = BTreeMap::new();
        let mut started = self.started_cold();
        if started.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut progress = Progress::new("cold starts", rounds);
        for _ in 0..rounds {
            self.order.shuffle(&mut started);
            for &index in &started {
                let sample = self.cold_sample(index)?;
                samples.entry(index).or_default().push(sample);
            }
            progress.advance();
        }
        let cold = samples.into_iter().filter_map(|(index, samples)| {
            let of =
                |value: fn(&ColdSample) -> Nanos| summary(&samples.iter().map(value).collect::<Vec<_>>());
            let configured: Vec<Nanos> = samples.iter().filter_map(|sample| sample.configured).collect();
            let cold = Cold {
                configured: summary(&configured),
                before_warm_up: of(|sample| sample.before_warm_up)?,
                init: of(|sample| sample.init)?,
                first_call: of(|sample| sample.first_call)?,
                samples,
            };
            Some((index, cold))
        });
        Ok(cold.collect())
    }

    fn cold_sample(&mut self, index: usize) -> Result<ColdSample> {
        let Self { store, workload, cases, .. } = self;
        let case = &cases[index];
        let event = workload.events(case.target.job, 1, store)?;
        let is_service = case.target.program.is_service();
        let configured = is_service.then(|| case.launch.time_to_refusal(NEEDED)).transpose()?;
        let (mut function, start) = Function::start(&case.launch).with_context(|| case.name())?;
        let contact = store.first_contact_since(start.at)?.filter(|contact| *contact < start.ready);
        let first_call = call(case, &mut function, &event[0])?;
        Ok(ColdSample {
            configured,
            before_warm_up: contact.unwrap_or(start.ready) - start.at,
            init: start.ready - start.at,
            first_call,
        })
    }

    fn started_cold(&self) -> Vec<usize> {
        (0..self.cases.len()).filter(|index| self.cases[*index].target.cold).collect()
    }

    /// Fresh processes again, each under a quota as soon as it is ready: until then Lambda gives it a whole processor.
    fn shares(&mut self, quota: &Quota) -> Result<Vec<Share>> {
        let rounds = self.plan.cold.div_ceil(2);
        let mut started = self.started_cold();
        // As it is with AWS; without TLS there is hardly anything to see.
        started.retain(|index| self.cases[*index].transport == Transport::Https);
        if started.is_empty() {
            return Ok(Vec::new());
        }
        let mut calls: BTreeMap<(usize, u64), Vec<Nanos>> = BTreeMap::new();
        let mut progress = Progress::new("shares of a processor", rounds);
        for _ in 0..rounds {
            self.order.shuffle(&mut started);
            for &index in &started {
                for memory in MEMORIES {
                    let Self { store, workload, cases, .. } = self;
                    let case = &cases[index];
                    let event = workload.events(case.target.job, 1, store)?;
                    let group = quota.group(memory)?;
                    let (mut function, _) = Function::start(&case.launch).with_context(|| case.name())?;
                    group.take(function.id())?;
                    let first_call = call(case, &mut function, &event[0])?;
                    calls.entry((index, memory)).or_default().push(first_call);
                    drop(function);
                }
            }
            progress.advance();
        }
        let shares = calls.into_iter().filter_map(|((index, memory), calls)| {
            let case = &self.cases[index];
            Some(Share {
                target: case.target.name.to_owned(),
                build: case.build.clone(),
                transport: case.transport,
                memory,
                first_call: summary(&calls)?,
            })
        });
        Ok(shares.collect())
    }

    /// Batches against a store that answers as late as DynamoDB does: with one on the same machine they are nothing but
    /// work for the processor.
    fn slow_store(&mut self) -> Result<BTreeMap<usize, (Warm, u64)>> {
        if self.plan.store_latency.is_zero() {
            return Ok(BTreeMap::new());
        }
        let batches: Vec<usize> =
            (0..self.cases.len()).filter(|index| self.cases[*index].target.job.is_batch()).collect();
        self.store.set_latency(self.plan.store_latency)?;
        let slow = self.warm("batches, slower store", &batches, self.plan.warm.div_ceil(10));
        self.store.set_latency(Duration::ZERO)?;
        slow
    }

    /// Living processes, which take turns of some calls each.
    fn warm(
        &mut self,
        phase: &'static str,
        indices: &[usize],
        calls: usize,
    ) -> Result<BTreeMap<usize, (Warm, u64)>> {
        let Self { plan, store, workload, cases, order } = self;
        let rounds = calls.div_ceil(plan.slice);
        if indices.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut progress = Progress::new(phase, rounds);
        let mut living = Vec::new();
        for &index in indices {
            let case = &cases[index];
            let (mut function, _) = Function::start(&case.launch).with_context(|| case.name())?;
            for event in workload.events(case.target.job, case.target.part_of(plan.warm_up), store)? {
                call(case, &mut function, &event)?;
            }
            living.push(Living { case, function, latencies: Vec::new(), cpu: 0, aws_calls: BTreeMap::new() });
        }
        let mut turns: Vec<usize> = (0..living.len()).collect();
        for _ in 0..rounds {
            order.shuffle(&mut turns);
            for &turn in &turns {
                living[turn].take_turn(plan.slice, workload, store)?;
            }
            progress.advance();
        }
        let finished = living.into_iter().map(Living::finish);
        indices.iter().zip(finished).map(|(index, finished)| Ok((*index, finished?))).collect()
    }
}

impl Target {
    /// Its part of so many calls.
    fn part_of(&self, calls: usize) -> usize {
        calls.div_ceil(self.share)
    }
}

impl Case {
    fn name(&self) -> String {
        let build = self.build.as_ref().map(|build| format!(" of the build {build}")).unwrap_or_default();
        format!("{}{build} over {}", self.target.name, self.transport.name())
    }
}

impl Living<'_> {
    fn take_turn(&mut self, slice: usize, workload: &mut Workload, store: &mut Store) -> Result<()> {
        let job = self.case.target.job;
        let events = workload.events(job, self.case.target.part_of(slice), store)?;
        let (calls_before, cpu_before) = (store.calls()?, self.function.cpu()?);
        for event in &events {
            self.latencies.push(call(self.case, &mut self.function, event)?);
        }
        self.cpu += self.function.cpu()? - cpu_before;
        let mut published = 0;
        for (operation, count) in store.calls()? {
            let new = count - calls_before.get(&operation).copied().unwrap_or_default();
            if operation == PUBLISHED {
                published = new;
            } else if new > 0 {
                *self.aws_calls.entry(operation).or_default() += new;
            }
        }
        let expected = job.published() * events.len();
        ensure!(
            published == u64::try_from(expected)?,
            "{}: expected {expected} published events, got {published}",
            self.case.name()
        );
        Ok(())
    }

    fn finish(self) -> Result<(Warm, u64)> {
        let calls = self.latencies.len() as f64;
        let mut sorted = self.latencies;
        sorted.sort_unstable();
        let warm = Warm {
            latency: summary(&sorted).context("no call was measured")?,
            percentiles: (1..100).map(|p| micros(stats::percentile(&sorted, f64::from(p)))).collect(),
            cpu_per_call: micros(self.cpu) / calls,
            aws_calls_per_call: self
                .aws_calls
                .into_iter()
                .map(|(operation, count)| (operation, count as f64 / calls))
                .collect(),
        };
        Ok((warm, self.function.peak_memory_kib()?))
    }
}

/// One call with the right answer, and how long it took.
fn call(case: &Case, function: &mut Function, event: &str) -> Result<Nanos> {
    if crate::interrupted() {
        bail!("interrupted");
    }
    let answer = function.invoke(event).with_context(|| case.name())?;
    let checked = match &answer.body {
        Ok(body) => case.target.job.check(body),
        Err(error) => Err(anyhow!("expected an answer, got a failed invocation: {error}")),
    };
    match checked {
        Ok(()) => Ok(answer.took),
        Err(error) => Err(anyhow!("{}: {error}{}", case.name(), function.last_words())),
    }
}

fn cases(plan: &Plan, store: &Store) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for target in &plan.targets {
        let builds: Vec<(Option<&String>, &Path)> = if target.program.is_service() {
            plan.builds.iter().map(|(label, folder)| (Some(label), folder.as_path())).collect()
        } else {
            vec![(None, plan.references.as_path())]
        };
        for (build, folder) in builds {
            for &transport in &plan.transports {
                let log = build.map_or(target.name.to_owned(), |build| format!("{}-{build}", target.name));
                let launch = launch(plan, target.program, folder, store, transport, &log);
                ensure!(
                    launch.bootstrap.exists(),
                    "there is no {}: build it, or choose other targets with --only",
                    launch.bootstrap.display()
                );
                cases.push(Case { target, build: build.cloned(), transport, launch });
            }
        }
    }
    ensure!(!cases.is_empty(), "nothing to measure");
    Ok(cases)
}

fn launch(
    plan: &Plan,
    program: Program,
    folder: &Path,
    store: &Store,
    transport: Transport,
    log: &str,
) -> Launch {
    Launch {
        bootstrap: folder.join(program.name()).join("bootstrap"),
        environment: program.environment(store, transport),
        log: plan.work.join(format!("{log}-{}-{}.log", program.name(), transport.name())),
    }
}
