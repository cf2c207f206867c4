//! The database behind the reports, which only report-service reaches.
//!
//! What is to be done there are tasks of that service: it is invoked with them. Rows of other services' tables are read
//! here, with the operator's permissions, and handed over: report-service itself never reads them.

use anyhow::{Context, Result};
use aws_types::SdkConfig;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    aws::Aws,
    functions::{Function, mappings},
};

/// The queue that feeds the reports, by which their function is found.
const QUEUE: &str = "report-events";

/// The reports of an environment.
#[derive(Debug)]
pub struct Reports {
    aws: Aws,
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

impl Reports {
    /// Finds the function of an environment's reports. An error if its stack has none.
    pub async fn find(config: &SdkConfig, environment: &str) -> Result<Self> {
        let aws = Aws::new(config)?;
        let queue = format!("{environment}-{QUEUE}");
        let mappings = mappings(&aws, environment).await?;
        let mapping = mappings.iter().find(|mapping| mapping.source() == queue);
        let mapping = mapping.with_context(|| {
            format!(
                "the environment {environment} has no reports here: nothing reads {queue}. Deploy its stack with \
                 Reporting=true"
            )
        })?;
        Ok(Self { function: mapping.function(), aws })
    }

    /// Brings the database's schema to what the deployed code expects. Again, it changes nothing.
    pub async fn migrate(&self) -> Result<Migration> {
        let answer = self.task("migrate", &json!({})).await?;
        serde_json::from_value(answer).context("an answer of another shape")
    }

    /// Has report-service do something; what it answers.
    async fn task(&self, task: &str, input: &Value) -> Result<Value> {
        let event = json!({ "task": task, "input": input });
        self.function.invoke(&self.aws, &event).await.with_context(|| format!("the task {task}"))
    }
}
