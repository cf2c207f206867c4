//! Functions, what calls them, and calling them.

use std::fmt;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::aws::{Aws, LAMBDA, escaped};

/// A function as it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The alias that is called.
    pub qualifier: Option<String>,
}

/// What calls a function when something is in a queue or stream.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Mapping {
    #[serde(rename = "UUID")]
    pub(crate) id: String,
    /// `Enabled`, or else it does not work now.
    pub(crate) state: String,
    last_processing_result: Option<String>,
    event_source_arn: Option<String>,
    function_arn: String,
    #[serde(default)]
    destination_config: DestinationConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DestinationConfig {
    on_failure: Option<Destination>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Destination {
    destination: Option<String>,
}

/// What a function says of an event that it could not handle.
#[derive(Debug)]
pub(crate) struct FunctionFailed {
    function: String,
    says: String,
}

impl FunctionFailed {
    pub(crate) fn new(function: impl Into<String>, says: impl Into<String>) -> Self {
        Self { function: function.into(), says: says.into() }
    }

    /// Whether this is among what it says.
    pub(crate) fn says(&self, text: &str) -> bool {
        self.says.contains(text)
    }
}

impl fmt::Display for FunctionFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.function, self.says)
    }
}

impl std::error::Error for FunctionFailed {}

impl Mapping {
    /// The name of the queue or of the stream's table.
    pub(crate) fn source(&self) -> &str {
        self.event_source_arn.as_deref().map(source_name).unwrap_or_default()
    }

    /// Whether what it reads is a queue.
    pub(crate) fn is_of_queue(&self) -> bool {
        self.event_source_arn.as_deref().is_some_and(|arn| arn.contains(":sqs:"))
    }

    /// What it calls.
    pub(crate) fn function(&self) -> Function {
        Function::of(&self.function_arn)
    }

    /// The name of the queue to which it gives what it gives up.
    pub(crate) fn queue_for_failures(&self) -> Option<&str> {
        let destination = self.destination_config.on_failure.as_ref()?.destination.as_deref()?;
        destination.contains(":sqs:").then(|| source_name(destination))
    }

    /// Whether Lambda could not get the last batch done.
    pub(crate) fn is_failing(&self) -> bool {
        let result = self.last_processing_result.as_deref().unwrap_or_default();
        result.contains("PROBLEM") || result.contains("FAILED")
    }
}

/// The mappings of an environment's functions: those whose source and function both bear its name.
pub(crate) async fn mappings(aws: &Aws, environment: &str) -> Result<Vec<Mapping>> {
    let prefix = format!("{environment}-");
    let (mut found, mut marker) = (Vec::new(), None::<String>);
    loop {
        let query =
            marker.as_deref().map(|marker| format!("?Marker={}", escaped(marker))).unwrap_or_default();
        let path = format!("/2015-03-31/event-source-mappings/{query}");
        let page = aws.rest(LAMBDA, "GET", &path, String::new()).await?.json()?;
        for mapping in page["EventSourceMappings"].as_array().into_iter().flatten() {
            let mapping = Mapping::deserialize(mapping).context("a mapping of another shape")?;
            if mapping.source().starts_with(&prefix) && mapping.function().name.starts_with(&prefix) {
                found.push(mapping);
            }
        }
        marker = page["NextMarker"].as_str().filter(|marker| !marker.is_empty()).map(str::to_owned);
        if marker.is_none() {
            return Ok(found);
        }
    }
}

impl Function {
    /// The function of an ARN, which may name an alias.
    fn of(arn: &str) -> Self {
        let mut parts = arn.split(':').skip(6).map(str::to_owned);
        Self { name: parts.next().unwrap_or_default(), qualifier: parts.next() }
    }

    /// Has the function handle an event; what it answers. An error is a [`FunctionFailed`] if it is the function's.
    pub(crate) async fn invoke(&self, aws: &Aws, event: &Value) -> Result<Value> {
        let qualifier = self.qualifier.as_deref().map(|alias| format!("?Qualifier={}", escaped(alias)));
        let path = format!(
            "/2015-03-31/functions/{}/invocations{}",
            escaped(&self.name),
            qualifier.unwrap_or_default()
        );
        let answer = aws.rest(LAMBDA, "POST", &path, event.to_string()).await?;
        if answer.headers.contains_key("x-amz-function-error") {
            let error = answer.json().unwrap_or_default();
            let says = error["errorMessage"].as_str().unwrap_or("it does not say why");
            bail!(FunctionFailed::new(&self.name, says));
        }
        answer.json()
    }
}

/// The name of a queue, or of the table that a stream is of, out of its ARN.
pub(crate) fn source_name(arn: &str) -> &str {
    let resource = arn.rsplit(':').next().unwrap_or_default();
    // A stream's label is a time, with colons.
    match arn.split_once(":table/") {
        Some((_, table)) => table.split('/').next().unwrap_or_default(),
        None => resource,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_out_of_arns() {
        assert_eq!(
            source_name("arn:aws:sqs:us-west-2:123456789012:dev-stock-requests"),
            "dev-stock-requests"
        );
        let stream =
            "arn:aws:dynamodb:us-west-2:123456789012:table/dev-orders/stream/2026-01-02T03:04:05.678";
        assert_eq!(source_name(stream), "dev-orders");
        let name = "dev-order-service-lambda".to_owned();
        let alias =
            Function::of("arn:aws:lambda:us-west-2:123456789012:function:dev-order-service-lambda:live");
        assert_eq!(alias, Function { name: name.clone(), qualifier: Some("live".to_owned()) });
        let itself = Function::of("arn:aws:lambda:us-west-2:123456789012:function:dev-order-service-lambda");
        assert_eq!(itself, Function { name, qualifier: None });
    }
}
