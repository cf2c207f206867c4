//! The order of all measurements: everything takes turns, so that whatever else the machine does hits all alike.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    clock::Nanos,
    function::{Function, Launch},
    package,
    progress::Progress,
    stats::{self, Summary, micros, summary},
    store::{PUBLISHED, Store, Transport},
    targets::{Program, Target, Workload},
};

/// The build of the services that goals are held against.
pub const THIS_BUILD: &str = "this";

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
    /// Where logs and the like go.
    pub work: PathBuf,
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
    pub warm: Option<Warm>,
    /// The most memory that its process had at once, in KiB.
    pub peak_memory_kib: Option<u64>,
    /// Its executable file, in bytes.
    pub size: u64,
    /// The same as a package, zipped.
    pub zipped_size: u64,
}

/// Cold starts, in microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cold {
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
    pub before_warm_up: Nanos,
    /// See [`Cold`].
    pub init: Nanos,
    /// See [`Cold`].
    pub first_call: Nanos,
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
}

impl Bench {
    /// Starts the store and fills it.
    pub fn set_up(plan: Plan) -> Result<Self> {
        fs::create_dir_all(&plan.work).with_context(|| format!("can't make {}", plan.work.display()))?;
        let template = plan.root.join("template.yaml");
        let mut store = Store::start(&template, &plan.work, plan.more_roots.as_deref())?;
        let services = &plan.builds.first().context("no build to measure")?.1;
        let launch = |program: Program, store: &Store| {
            launch(&plan, program, services, store, Transport::Http, "set-up")
        };
        let workload = Workload::new(&plan.root.join("events"), &mut store, &launch)
            .context("the shop can't be filled through its own services")?;
        let cases = cases(&plan, &store)?;
        Ok(Self { plan, store, workload, cases })
    }

    /// Measures all.
    pub fn run(&mut self) -> Result<Vec<Row>> {
        let mut cold = self.cold()?;
        let mut rows = Vec::new();
        for (index, (warm, peak_memory_kib)) in self.warm()?.into_iter().enumerate() {
            let case = &self.cases[index];
            let bytes = fs::read(&case.launch.bootstrap)?;
            rows.push(Row {
                target: case.target.name.to_owned(),
                program: case.target.program,
                build: case.build.clone(),
                transport: case.transport,
                cold: cold.remove(&index),
                warm: Some(warm),
                peak_memory_kib: Some(peak_memory_kib),
                size: bytes.len().try_into()?,
                zipped_size: package::zipped_size(&bytes)?,
            });
        }
        Ok(rows)
    }

    /// Fresh processes, one after the other.
    fn cold(&mut self) -> Result<BTreeMap<usize, Cold>> {
        let rounds = self.plan.cold;
        let mut progress = Progress::new("cold starts", rounds);
        let mut samples: BTreeMap<usize, Vec<ColdSample>> = BTreeMap::new();
        let started: Vec<usize> =
            (0..self.cases.len()).filter(|index| self.cases[*index].target.cold).collect();
        for round in 0..rounds {
            // Nobody always comes after the same neighbour.
            for turn in 0..started.len() {
                let index = started[(turn + round) % started.len()];
                let sample = self.cold_sample(index)?;
                samples.entry(index).or_default().push(sample);
            }
            progress.advance();
        }
        let cold = samples.into_iter().filter_map(|(index, samples)| {
            let of =
                |value: fn(&ColdSample) -> Nanos| summary(&samples.iter().map(value).collect::<Vec<_>>());
            let cold = Cold {
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
        let (mut function, start) = Function::start(&case.launch).with_context(|| case.name())?;
        let contact = store.first_contact_since(start.at)?.filter(|contact| *contact < start.ready);
        let first_call = call(case, &mut function, &event[0])?;
        Ok(ColdSample {
            before_warm_up: contact.unwrap_or(start.ready) - start.at,
            init: start.ready - start.at,
            first_call,
        })
    }

    /// Living processes, which take turns of some calls each.
    fn warm(&mut self) -> Result<Vec<(Warm, u64)>> {
        let Self { plan, store, workload, cases } = self;
        let mut living = Vec::new();
        for case in cases.iter() {
            let (mut function, _) = Function::start(&case.launch).with_context(|| case.name())?;
            for event in workload.events(case.target.job, case.target.part_of(plan.warm_up), store)? {
                call(case, &mut function, &event)?;
            }
            living.push(Living { case, function, latencies: Vec::new(), cpu: 0, aws_calls: BTreeMap::new() });
        }
        let rounds = plan.warm.div_ceil(plan.slice);
        let mut progress = Progress::new("warm calls", rounds);
        for round in 0..rounds {
            let count = living.len();
            for turn in 0..count {
                living[(turn + round) % count].take_turn(plan.slice, workload, store)?;
            }
            progress.advance();
        }
        living.into_iter().map(Living::finish).collect()
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
        Err(error) => Err(anyhow!("expected an answer, but the invocation failed: {error}")),
    };
    checked.with_context(|| format!("{}; its last lines:\n{}\n", case.name(), function.log_tail()))?;
    Ok(answer.took)
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
