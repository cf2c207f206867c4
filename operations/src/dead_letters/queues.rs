use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use aws_sdk_sqs::types::QueueAttributeName;
use serde::Deserialize;

use crate::{
    aws::Aws,
    functions::{Function, mappings, source_name},
};

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

#[derive(Deserialize)]
struct RedrivePolicy {
    #[serde(rename = "deadLetterTargetArn")]
    target: String,
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
        let (name, function) = (mapping.source(), mapping.function());
        if mapping.is_of_queue() {
            let url = url(name)?;
            if let Some(target) = dead_letter_target(sqs, &url).await? {
                let origin = Origin::Queue { name: name.to_owned(), url, function: function.clone() };
                origins.insert(target, origin);
            }
        }
        if let Some(target) = mapping.queue_for_failures() {
            origins.insert(target.to_owned(), Origin::Stream { table: name.to_owned(), function });
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
