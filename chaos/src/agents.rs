//! Faults that are not tied to a call: each kind of them has a task of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use http::Method;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::TcpStream, task::JoinSet, time::timeout};

use crate::{operator::Operator, plan::Kind, schedule::Schedule, stores::Stores, world::World};

/// Redis and PostgreSQL fail.
mod outages;
/// Messages that nobody can read.
mod poison;
/// What the queues are set to for a run.
mod queues;
/// The reports are made anew.
mod rebuild;

use outages::{CacheFault, DatabaseFault, cause};

pub(crate) use queues::hurry;

/// How many of the kills are of functions that are at work, if there are any.
const KILLED_AT_WORK: f64 = 0.75;

/// How many messages come twice, how many late, and how late; how many stream batches come again.
const DUPLICATES: f64 = 0.15;
const DELAYS: f64 = 0.25;
const DELAY_SECONDS: f64 = 3.0;
const REPEATED_BATCHES: f64 = 0.15;

/// How long the cloud may take to end for a restart.
const RESTART: Duration = Duration::from_secs(60);

/// The agents at work.
pub(crate) struct Agents {
    world: Arc<World>,
    schedule: Arc<Schedule>,
    operator: Operator,
    tasks: JoinSet<Result<Vec<String>>>,
}

impl Agents {
    /// Starts all that the plan has.
    pub(crate) async fn start(
        world: &Arc<World>,
        stores: &Arc<Stores>,
        schedule: &Arc<Schedule>,
    ) -> Result<Self> {
        let operator = Operator::new(&world.cloud);
        let (world, schedule, tasks) = (Arc::clone(world), Arc::clone(schedule), JoinSet::new());
        let mut agents = Self { world, schedule, operator, tasks };
        agents.set_instruments(true).await?;
        agents.tasks.spawn(kill_functions(agents.operator.clone(), Arc::clone(&agents.schedule)));
        agents.tasks.spawn(restart_the_cloud(Arc::clone(&agents.world), Arc::clone(&agents.schedule)));
        agents.tasks.spawn(poison::send(Arc::clone(&agents.world), Arc::clone(&agents.schedule)));
        agents.tasks.spawn(rebuild::rebuild(Arc::clone(&agents.world), Arc::clone(&agents.schedule)));
        agents.tasks.spawn(cause::<CacheFault>(Arc::clone(stores), Arc::clone(&agents.schedule)));
        agents.tasks.spawn(cause::<DatabaseFault>(Arc::clone(stores), Arc::clone(&agents.schedule)));
        Ok(agents)
    }

    /// Lets the plan run its time, ends all faults, also those of the proxy, and gives the ids of the poison that was sent.
    pub(crate) async fn end_with_the_plan(mut self) -> Result<Vec<String>> {
        self.schedule.reaches(self.schedule.plan.duration).await;
        self.schedule.end();
        let mut poison = Vec::new();
        while let Some(ended) = self.tasks.join_next().await {
            poison.extend(ended.context("an agent is gone")??);
        }
        self.set_instruments(false).await?;
        let counts = self.operator.admin(Method::GET, "/_local_cloud/faults", None).await?;
        for (kind, name, what) in [
            (Kind::Duplicates, "duplicated", "messages"),
            (Kind::Disorder, "delayed", "messages"),
            (Kind::RepeatedBatches, "repeated", "stream batches"),
        ] {
            self.schedule.ledger.injected_times(kind, what, counts[name].as_u64().unwrap_or_default());
        }
        Ok(poison)
    }

    async fn set_instruments(&self, are_on: bool) -> Result<()> {
        let plan = &self.schedule.plan;
        let share = |kind, share| if are_on && plan.has(kind) { share } else { 0.0 };
        let faults = json!({
            "seed": plan.seed,
            "duplicate": share(Kind::Duplicates, DUPLICATES),
            "delay": share(Kind::Disorder, DELAYS),
            "delay_seconds": DELAY_SECONDS,
            "repeat_batch": share(Kind::RepeatedBatches, REPEATED_BATCHES),
        });
        self.operator.admin(Method::PUT, "/_local_cloud/faults", Some(&faults)).await?;
        Ok(())
    }
}

/// Kills function processes, mostly while they are at work, so in the middle of a request or a batch.
async fn kill_functions(operator: Operator, schedule: Arc<Schedule>) -> Result<Vec<String>> {
    for moment in schedule.plan.moments(Kind::Kill) {
        if !schedule.reaches(moment).await {
            break;
        }
        let running = operator.admin(Method::GET, "/_local_cloud/functions", None).await?;
        let running: Vec<&Value> = running.as_array().into_iter().flatten().collect();
        let busy: Vec<&Value> = running.iter().copied().filter(|function| function["busy"] == true).collect();
        let wants_busy = schedule.draw(Kind::Kill, "at work") < KILLED_AT_WORK;
        let candidates = if wants_busy && !busy.is_empty() { &busy } else { &running };
        let place = (schedule.draw(Kind::Kill, "which") * candidates.len() as f64) as usize;
        let Some(victim) = candidates.get(place) else { continue };
        let pid = victim["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.filter(|pid| *pid > 1).context("a function without a process")?;
        // It may have ended by itself.
        if kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok() {
            let name = victim["function"].as_str().unwrap_or("a function");
            let state = match (victim["busy"].as_bool(), victim["trigger"].as_str()) {
                (Some(true), Some(trigger)) => format!("at work ({trigger})"),
                (Some(true), None) => "at work".to_owned(),
                _ => "idle".to_owned(),
            };
            schedule.ledger.injected(Kind::Kill, &format!("{name}, {state}"));
        }
    }
    Ok(Vec::new())
}

/// Restarts the cloud; what it has, it keeps, and all functions end.
async fn restart_the_cloud(world: Arc<World>, schedule: Arc<Schedule>) -> Result<Vec<String>> {
    let operator = Operator::new(&world.cloud);
    let authority = world.cloud.trim_start_matches("http://");
    for moment in schedule.plan.moments(Kind::Restart) {
        if !schedule.reaches(moment).await {
            break;
        }
        let asked = Instant::now();
        // The old process is gone when it has closed what it accepted.
        let mut witness =
            TcpStream::connect(authority).await.context("the cloud is gone before its restart")?;
        kill(Pid::from_raw(world.cloud_pid), Signal::SIGHUP).context("the cloud can't be restarted")?;
        // Closed in order or not, it is closed.
        if timeout(RESTART, witness.read(&mut [0])).await.is_err() {
            bail!("the cloud did not restart");
        }
        operator
            .admin(Method::GET, "/_ministack/health", None)
            .await
            .context("the cloud did not come back")?;
        schedule.ledger.injected(Kind::Restart, "the cloud");
        schedule.ledger.write(&format!("the cloud was back after {:.1} s", asked.elapsed().as_secs_f64()));
    }
    Ok(Vec::new())
}
