//! The way out: the service's topic, the stream's dead-letter queue, and the retry time of a message.

use std::{sync::OnceLock, time::Duration};

use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use aws_types::SdkConfig;
use domain_events::Event;
use serde_json::value::RawValue;
use service_config::ConfigError;

use crate::{HandlerError, Service};

/// Where a service's events and its failures go. The clients are made at first use: most requests need
/// neither.
#[derive(Debug)]
pub struct Outbox {
    config: SdkConfig,
    /// The address of any queue of the stack.
    queue_url: String,
    stream: Option<Stream>,
    sns: OnceLock<aws_sdk_sns::Client>,
    sqs: OnceLock<aws_sdk_sqs::Client>,
}

/// Where the changes of a service's table go.
#[derive(Debug)]
struct Stream {
    topic_arn: String,
    dlq_url: String,
}

/// An event about to be published, with the record that it was made of.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) sequence_number: String,
    pub(crate) record: &'a RawValue,
    pub(crate) event: Event,
}

impl Outgoing<'_> {
    /// Entries that one `PublishBatch` takes. The largest event (an order of 50 lines) has about 10 KiB, so that
    /// ten of them stay well below the 256 KiB that a call may have.
    pub(crate) const BATCH: usize = 10;
}

/// An entry of a batch that the topic did not take.
#[derive(Debug)]
pub(crate) struct EntryFailure {
    /// Position in the batch.
    pub(crate) index: usize,
    /// Whether the entry itself is at fault, so that repeating it can't help.
    pub(crate) permanent: bool,
    /// What the topic says about it.
    pub(crate) reason: String,
}

impl Outbox {
    /// Where the environment variables `EVENTS_TOPIC_ARN` and `STREAM_DLQ_URL` say; for a service that publishes
    /// nothing, where `QUEUE_URL` says.
    pub fn from_env<S: Service>(config: &SdkConfig) -> Result<Self, ConfigError> {
        if !S::PUBLISHES {
            return Ok(Self::without_topic(config, service_config::required("QUEUE_URL")?));
        }
        let topic_arn = service_config::required("EVENTS_TOPIC_ARN")?;
        let stream_dlq_url = service_config::required("STREAM_DLQ_URL")?;
        Ok(Self::new(config, topic_arn, stream_dlq_url))
    }

    /// A given topic and dead-letter queue.
    pub fn new(config: &SdkConfig, topic_arn: String, stream_dlq_url: String) -> Self {
        let stream = Stream { topic_arn, dlq_url: stream_dlq_url.clone() };
        Self { stream: Some(stream), ..Self::without_topic(config, stream_dlq_url) }
    }

    /// For a service that publishes nothing: the address of a queue of its stack.
    pub fn without_topic(config: &SdkConfig, queue_url: String) -> Self {
        let (config, sns, sqs) = (config.clone(), OnceLock::new(), OnceLock::new());
        Self { config, queue_url, stream: None, sns, sqs }
    }

    /// Publishes up to [`Outgoing::BATCH`] events in one call; answers which of them were not taken, lowest
    /// first.
    pub(crate) async fn publish(&self, events: &[Outgoing<'_>]) -> Result<Vec<EntryFailure>, HandlerError> {
        let mut entries = Vec::with_capacity(events.len());
        for (index, Outgoing { event, .. }) in events.iter().enumerate() {
            let event_type = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(event.payload.event_type())
                .build()?;
            let entry = PublishBatchRequestEntry::builder()
                .id(index.to_string())
                .message(event.to_json()?)
                .message_attributes("event_type", event_type)
                .build()?;
            entries.push(entry);
        }
        let sns = self.sns.get_or_init(|| aws_sdk_sns::Client::new(&self.config));
        let answer = sns
            .publish_batch()
            .topic_arn(&self.stream()?.topic_arn)
            .set_publish_batch_request_entries(Some(entries))
            .send()
            .await?;
        let mut failures: Vec<EntryFailure> = answer
            .failed()
            .iter()
            .map(|failed| EntryFailure {
                index: failed.id().parse().unwrap_or(0),
                // Throttling, too, is the sender's fault for AWS, and passes.
                permanent: failed.sender_fault() && failed.code().contains("Invalid"),
                reason: format!("{} {}", failed.code(), failed.message().unwrap_or_default()),
            })
            .collect();
        failures.sort_by_key(|failure| failure.index);
        Ok(failures)
    }

    /// Keeps a stream record that can't become an event, whole and with the reason.
    pub(crate) async fn set_aside(&self, record: &RawValue, reason: &str) -> Result<(), HandlerError> {
        // The queue takes no message with other characters. In JSON, control characters are never there as such.
        let reason: String =
            reason.chars().take(1024).map(|sent| if is_sendable(sent) { sent } else { '\u{fffd}' }).collect();
        let body = record.get().replace('\u{fffe}', r"\ufffe").replace('\u{ffff}', r"\uffff");
        let attribute = aws_sdk_sqs::types::MessageAttributeValue::builder()
            .data_type("String")
            .string_value(reason)
            .build()?;
        self.sqs()
            .send_message()
            .queue_url(&self.stream()?.dlq_url)
            .message_body(body)
            .message_attributes("reason", attribute)
            .send()
            .await?;
        Ok(())
    }

    /// Lets a failed message come back after `delay`, whatever its visibility timeout.
    pub(crate) async fn retry_after(
        &self,
        queue: &str,
        receipt_handle: String,
        delay: Duration,
    ) -> Result<(), HandlerError> {
        // Queues of one account and region differ in the last part of their address only.
        let Some((base, _)) = self.queue_url.rsplit_once('/') else {
            return Err(format!("{} is not the address of a queue", self.queue_url).into());
        };
        self.sqs()
            .change_message_visibility()
            .queue_url(format!("{base}/{queue}"))
            .receipt_handle(receipt_handle)
            .visibility_timeout(i32::try_from(delay.as_secs())?)
            .send()
            .await?;
        Ok(())
    }

    fn stream(&self) -> Result<&Stream, HandlerError> {
        self.stream.as_ref().ok_or_else(|| "a service without a table has no stream".into())
    }

    fn sqs(&self) -> &aws_sdk_sqs::Client {
        self.sqs.get_or_init(|| aws_sdk_sqs::Client::new(&self.config))
    }
}

/// Whether SQS takes a character: what XML has.
fn is_sendable(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}
