use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::{Duration, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Published, Recording, locked};
use crate::world::World;

/// How the names of the recorder's queues begin. The instruments of the local cloud leave such queues alone.
pub(crate) const PREFIX: &str = "chaos-";

/// A pause after a receive that brought nothing or failed.
const PAUSE: Duration = Duration::from_millis(200);

/// A queue that gets everything that a topic is given.
#[derive(Clone)]
pub(super) struct Tap {
    sns: aws_sdk_sns::Client,
    sqs: aws_sdk_sqs::Client,
    table: &'static str,
    url: String,
    subscription: String,
}

impl Tap {
    /// Makes the queue and subscribes it.
    pub(super) async fn lay(world: &World, table: &'static str, topic: &str) -> Result<Self> {
        let (sns, sqs) = (world.sns.clone(), world.sqs.clone());
        let queue = sqs.create_queue().queue_name(format!("{PREFIX}{topic}")).send().await?;
        let url = queue.queue_url.context("a queue without an address")?;
        let arn = QueueAttributeName::QueueArn;
        let attributes =
            sqs.get_queue_attributes().queue_url(&url).attribute_names(arn.clone()).send().await?;
        let queue_arn = attributes.attributes.and_then(|mut found| found.remove(&arn)).context("no ARN")?;
        let topic_arn = world.topic_arn(topic);
        let policy = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": { "Service": "sns.amazonaws.com" }, "Action": "sqs:SendMessage",
            "Resource": queue_arn, "Condition": { "ArnEquals": { "aws:SourceArn": topic_arn } },
        }] });
        let allow = sqs.set_queue_attributes().queue_url(&url);
        allow.attributes(QueueAttributeName::Policy, policy.to_string()).send().await?;
        let subscribe = sns.subscribe().topic_arn(topic_arn).protocol("sqs").endpoint(queue_arn);
        let subscribed = subscribe.attributes("RawMessageDelivery", "true").return_subscription_arn(true);
        let subscription = subscribed.send().await?.subscription_arn.context("no subscription")?;
        Ok(Self { sns, sqs, table, url, subscription })
    }

    /// Empties the queue until it is told to stop, and then until nothing is left.
    pub(super) async fn run(
        self,
        recording: Arc<Mutex<Recording>>,
        stopped: watch::Receiver<bool>,
    ) -> Result<()> {
        // What could not be deleted comes again: a copy of the queue's own making, not of the topic's.
        let mut known = HashSet::new();
        loop {
            // Read before the queue is: what is there when it is told to stop is still received.
            let last = *stopped.borrow();
            let received = self.sqs.receive_message().queue_url(&self.url).max_number_of_messages(10);
            let received = received.message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
            let messages = match received.send().await {
                Ok(received) => received.messages.unwrap_or_default(),
                Err(error) if last => return Err(error).context("the recorder's queue can't be read"),
                Err(_) => Vec::new(),
            };
            for message in &messages {
                if known.insert(message.message_id().unwrap_or_default().to_owned()) {
                    let sent = message
                        .attributes()
                        .and_then(|known| known.get(&MessageSystemAttributeName::SentTimestamp));
                    let millis = sent.and_then(|millis| millis.parse().ok()).context("no SentTimestamp")?;
                    let text = message.body().unwrap_or_default();
                    let body = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
                    let at = UNIX_EPOCH + Duration::from_millis(millis);
                    locked(&recording).events.push(Published { at, table: self.table, body });
                }
                let delete = self.sqs.delete_message().queue_url(&self.url);
                // It comes again, and is known then.
                drop(delete.set_receipt_handle(message.receipt_handle.clone()).send().await);
            }
            match messages.is_empty() {
                true if last => return Ok(()),
                true => tokio::time::sleep(PAUSE).await,
                false => {}
            }
        }
    }

    pub(super) async fn remove(&self) -> Result<()> {
        self.sns.unsubscribe().subscription_arn(&self.subscription).send().await?;
        self.sqs.delete_queue().queue_url(&self.url).send().await?;
        Ok(())
    }
}
