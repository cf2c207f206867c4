//! The database behind the reports, which only report-service reaches.
//!
//! What is to be done there are tasks of that service: it is invoked with them. Rows of other services' tables are read
//! here, with the operator's permissions, and handed over: report-service itself never reads them.

use std::time::Duration;

use anyhow::{Context, Result};
use aws_types::SdkConfig;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    aws::{Aws, Refused},
    functions::{Function, FunctionFailed, mappings},
};

/// What agrees and what does not.
mod comparison;
/// Making the reports anew.
mod rebuild;
/// The tables of the other services.
mod tables;
/// Comparing the reports with the tables.
mod verification;

pub use comparison::{Difference, Sum, Totals};
pub use rebuild::{Rebuild, Rebuilt};
pub use verification::{Verification, Verify};

/// The queue that feeds the reports, by which their function is found.
const QUEUE: &str = "report-events";
/// How often something is tried that fails, with waits that grow in between. A database that fails over is back by then.
const TRIES: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// What report-service says of a rebuild that was abandoned, or that another one has taken the place of.
const TAKEN_OVER: &str = "is not under way";

/// The reports of an environment.
#[derive(Debug)]
pub struct Reports {
    aws: Aws,
    environment: String,
    function: Function,
}

/// What became of the schema.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Migration {
    /// Its version before; 0 if there was nothing.
    pub from: u64,
    /// Its version now.
    pub to: u64,
    /// What was applied, in this order.
    pub applied: Vec<String>,
}

/// What there is in the database.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// The schema's version; 0 if there is nothing.
    pub schema: u64,
    /// The version that the deployed code knows.
    pub expected: u64,
    /// The rebuild that is under way.
    pub rebuild: Option<UnderWay>,
    /// How many orders there are, if the schema is the expected one.
    pub orders: Option<u64>,
}

/// A rebuild that somebody has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct UnderWay {
    /// Who has.
    pub by: String,
    /// When.
    pub started_at: String,
}

/// How far something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is done now.
    pub step: &'static str,
    /// Rows that this was done with.
    pub done: u64,
    /// How many there are about, if that is known.
    pub of: Option<u64>,
}

impl Reports {
    /// Finds the function of an environment's reports. An error if its stack has none.
    pub async fn find(config: &SdkConfig, environment: &str) -> Result<Self> {
        Self::found(Aws::new(config)?, environment).await
    }

    pub(crate) async fn found(aws: Aws, environment: &str) -> Result<Self> {
        let queue = format!("{environment}-{QUEUE}");
        let mappings = mappings(&aws, environment).await?;
        let mapping = mappings.iter().find(|mapping| mapping.source() == queue);
        let mapping = mapping.with_context(|| {
            format!(
                "the environment {environment} has no reports here: nothing reads {queue}. Deploy its stack with \
                 Reporting=true"
            )
        })?;
        Ok(Self { function: mapping.function(), environment: environment.to_owned(), aws })
    }

    /// Brings the database's schema to what the deployed code expects. Again, it changes nothing.
    pub async fn migrate(&self) -> Result<Migration> {
        self.task("migrate", &json!({})).await
    }

    /// What there is in the database, whatever its schema.
    pub async fn status(&self) -> Result<Status> {
        self.task("status", &json!({})).await
    }

    fn tables(&self) -> tables::Tables<'_> {
        tables::Tables { aws: &self.aws, environment: &self.environment }
    }

    /// Has report-service do something; what it answers.
    async fn task<T: for<'de> Deserialize<'de>>(&self, task: &str, input: &Value) -> Result<T> {
        let event = json!({ "task": task, "input": input });
        let answer =
            self.function.invoke(&self.aws, &event).await.with_context(|| format!("the task {task}"))?;
        serde_json::from_value(answer).with_context(|| format!("the task {task} answers something else"))
    }
}

/// Does something again that failed and may succeed later.
async fn persistently<T>(attempt: impl AsyncFn() -> Result<T>) -> Result<T> {
    let mut tries = 1;
    loop {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        if tries == TRIES || !may_pass(&error) {
            return Err(error);
        }
        tokio::time::sleep(FIRST_WAIT * 2_u32.pow(tries - 1)).await;
        tries += 1;
    }
}

fn may_pass(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<Refused>();
    refused.is_none_or(Refused::passes) && !is_taken_over(error)
}

fn is_taken_over(error: &anyhow::Error) -> bool {
    error.downcast_ref::<FunctionFailed>().is_some_and(|failed| failed.says(TAKEN_OVER))
}

/// Somebody wants an end of it.
async fn stopped(stop: &watch::Receiver<bool>) {
    let mut stop = stop.clone();
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody can any more.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    async fn tries_of(error: impl Fn() -> anyhow::Error) -> u32 {
        let tries = Cell::new(0);
        let outcome: Result<()> = persistently(async || {
            tries.set(tries.get() + 1);
            Err(error())
        })
        .await;
        outcome.unwrap_err();
        tries.get()
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_tried_a_few_times_unless_it_can_never_succeed() {
        let failed =
            |says: &'static str| move || anyhow::anyhow!(FunctionFailed::new("f", says)).context("a task");
        assert_eq!(tries_of(failed("the server closed the connection")).await, TRIES);
        assert_eq!(tries_of(failed("the rebuild 1 is not under way")).await, 1);
        assert_eq!(tries_of(|| anyhow::anyhow!("no answer")).await, TRIES);
        assert_eq!(tries_of(|| Refused::new(400, "AccessDeniedException").into()).await, 1);
        assert_eq!(tries_of(|| Refused::new(400, "ThrottlingException").into()).await, TRIES);
    }

    #[tokio::test(start_paused = true)]
    async fn what_succeeds_later_succeeds() {
        let tries = Cell::new(0);
        let outcome = persistently(async || {
            tries.set(tries.get() + 1);
            anyhow::ensure!(tries.get() == 3, "not yet");
            Ok(tries.get())
        });
        assert_eq!(outcome.await.unwrap(), 3);
    }
}
