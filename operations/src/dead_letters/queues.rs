use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use aws_sdk_sqs::types::QueueAttributeName;
use serde::Deserialize;
use serde_json::Value;

use crate::aws::{Aws, LAMBDA, escaped};

/// How dead-letter queues are called that nothing refers to (any more).
const SUFFIX: &str = "-dlq";

/// A dead-letter queue, or the destination of what a stream's mapping gives up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterQueue {
    name: String,
    url: String,
    origin: Origin,
}

/// Where what is in a dead-letter queue came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A queue that a function consumes.
    Queue {
        /// The queue's name.
        name: String,
        /// The queue's address.
        url: String,
        /// Who consumes it.
        function: Function,
    },
    /// The changes of a table, which a function publishes.
    Stream {
        /// The table's name.
        table: String,
        /// Who publishes them.
        function: Function,
    },
    /// Nothing that is deployed refers to it.
    Unknown,
}

/// A function as it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The alias that is called.
    pub qualifier: Option<String>,
}

impl DeadLetterQueue {
    /// Its whole name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where its messages came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl Origin {
    /// The function that could not handle it.
    pub fn function(&self) -> Option<&Function> {
        match self {
            Self::Queue { function, .. } | Self::Stream { function, .. } => Some(function),
            Self::Unknown => None,
        }
    }
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

impl Mapping {
    /// The name of the queue or of the stream's table.
    pub(crate) fn source(&self) -> &str {
        self.event_source_arn.as_deref().map(source_name).unwrap_or_default()
    }

    /// Whether Lambda could not get the last batch done.
    pub(crate) fn is_failing(&self) -> bool {
        let result = self.last_processing_result.as_deref().unwrap_or_default();
        result.contains("PROBLEM") || result.contains("FAILED")
    }
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

#[derive(Deserialize)]
struct RedrivePolicy {
    #[serde(rename = "deadLetterTargetArn")]
    target: String,
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
            if mapping.source().starts_with(&prefix)
                && function(&mapping.function_arn).name.starts_with(&prefix)
            {
                found.push(mapping);
            }
        }
        marker = page["NextMarker"].as_str().filter(|marker| !marker.is_empty()).map(str::to_owned);
        if marker.is_none() {
            return Ok(found);
        }
    }
}

/// What the deployed mappings and queues name as the place for failures, and what is only called like one.
pub(super) async fn find(
    sqs: &aws_sdk_sqs::Client,
    aws: &Aws,
    environment: &str,
) -> Result<Vec<DeadLetterQueue>> {
    let urls = urls(sqs, environment).await?;
    let url = |name: &str| urls.get(name).cloned().with_context(|| format!("there is no queue {name}"));
    let mut origins: BTreeMap<String, Origin> = urls
        .keys()
        .filter(|name| name.ends_with(SUFFIX))
        .map(|name| (name.clone(), Origin::Unknown))
        .collect();
    for mapping in mappings(aws, environment).await? {
        let (name, function) = (mapping.source(), function(&mapping.function_arn));
        if mapping.event_source_arn.as_deref().is_some_and(|arn| arn.contains(":sqs:")) {
            let url = url(name)?;
            if let Some(target) = dead_letter_target(sqs, &url).await? {
                let origin = Origin::Queue { name: name.to_owned(), url, function: function.clone() };
                origins.insert(target, origin);
            }
        }
        if let Some(target) =
            mapping.destination_config.on_failure.as_ref().and_then(|to| to.destination.as_ref())
            && target.contains(":sqs:")
        {
            let origin = Origin::Stream { table: name.to_owned(), function };
            origins.insert(source_name(target).to_owned(), origin);
        }
    }
    origins.into_iter().map(|(name, origin)| Ok(DeadLetterQueue { url: url(&name)?, name, origin })).collect()
}

/// The addresses of an environment's queues by name.
async fn urls(sqs: &aws_sdk_sqs::Client, environment: &str) -> Result<HashMap<String, String>> {
    // Without a size of the page, only a thousand are listed, and nothing says that there are more.
    let pages = sqs.list_queues().queue_name_prefix(format!("{environment}-")).max_results(1000);
    let urls = pages.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
    let urls = urls.context("the queues can't be listed")?;
    Ok(urls.into_iter().map(|url| (url.rsplit('/').next().unwrap_or_default().to_owned(), url)).collect())
}

async fn dead_letter_target(sqs: &aws_sdk_sqs::Client, url: &str) -> Result<Option<String>> {
    let attribute = QueueAttributeName::RedrivePolicy;
    let answer = sqs.get_queue_attributes().queue_url(url).attribute_names(attribute.clone()).send().await;
    let attributes = answer.with_context(|| format!("the attributes of {url} can't be read"))?.attributes;
    let Some(policy) = attributes.and_then(|mut attributes| attributes.remove(&attribute)) else {
        return Ok(None);
    };
    let policy: RedrivePolicy = serde_json::from_str(&policy).context("a redrive policy of another shape")?;
    Ok(Some(source_name(&policy.target).to_owned()))
}

/// The name of a queue, or of the table that a stream is of, out of its ARN.
fn source_name(arn: &str) -> &str {
    let resource = arn.rsplit(':').next().unwrap_or_default();
    // A stream's label is a time, with colons.
    match arn.split_once(":table/") {
        Some((_, table)) => table.split('/').next().unwrap_or_default(),
        None => resource,
    }
}

/// The function out of an ARN, which may name an alias.
fn function(arn: &str) -> Function {
    let mut parts = arn.split(':').skip(6).map(str::to_owned);
    Function { name: parts.next().unwrap_or_default(), qualifier: parts.next() }
}

/// Has a function handle an event; what it answers. An error is what the function says of it.
pub(super) async fn invoke(aws: &Aws, function: &Function, event: &Value) -> Result<Value> {
    let qualifier = function.qualifier.as_deref().map(|alias| format!("?Qualifier={}", escaped(alias)));
    let path = format!(
        "/2015-03-31/functions/{}/invocations{}",
        escaped(&function.name),
        qualifier.unwrap_or_default()
    );
    let answer = aws.rest(LAMBDA, "POST", &path, event.to_string()).await?;
    if answer.headers.contains_key("x-amz-function-error") {
        let error = answer.json().unwrap_or_default();
        anyhow::bail!(
            "{} failed: {}",
            function.name,
            error["errorMessage"].as_str().unwrap_or("without a word")
        );
    }
    answer.json()
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
        let alias = function("arn:aws:lambda:us-west-2:123456789012:function:dev-order-service-lambda:live");
        assert_eq!(alias, Function { name: name.clone(), qualifier: Some("live".to_owned()) });
        let itself = function("arn:aws:lambda:us-west-2:123456789012:function:dev-order-service-lambda");
        assert_eq!(itself, Function { name, qualifier: None });
    }
}
