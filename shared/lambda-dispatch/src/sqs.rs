//! A batch of queue messages: each decoded and handled on its own, several at a time.

use std::time::Duration;

use aws_lambda_events::{s3::S3Event, sqs::SqsMessage};
use domain_events::{Event, Received};
use futures_util::{StreamExt, stream};
use lambda_runtime::Context;
use serde::Deserialize;
use serde_json::value::RawValue;
use telemetry::Trace;
use tokio::time::Instant;
use tracing::{error, info};

use crate::{
    Content, Dispatcher, HandlerError, Message, Service,
    batch::{BatchAnswer, MARGIN, OutOfTime, isolated, time_left},
    patience::time_away,
};

/// Messages of one batch under way at the same time. They mostly wait for the network.
const CONCURRENCY: usize = 10;

#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct MessageId {
    #[serde(rename = "messageId")]
    message_id: String,
}

impl<S: Service> Dispatcher<S> {
    pub(crate) async fn sqs(&self, event: &RawValue, context: &Context) -> Result<BatchAnswer, HandlerError> {
        let batch: Batch = serde_json::from_str(event.get())?;
        let deadline = Instant::now() + time_left(context);
        let received = batch.records.len();
        let failed: Vec<String> = stream::iter(batch.records)
            .map(|record| self.sqs_record(record, deadline))
            .buffer_unordered(CONCURRENCY)
            .filter_map(async |failed| failed.transpose())
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .collect::<Result<_, _>>()?;
        info!(trigger = "sqs", received, failed = failed.len(), "batch handled");
        Ok(failed.into_iter().collect())
    }

    /// The message's id if it failed. An error only if not even the id can be read, so that nothing but
    /// failing the invocation keeps the message.
    async fn sqs_record(
        &self,
        record: Box<RawValue>,
        deadline: Instant,
    ) -> Result<Option<String>, HandlerError> {
        let MessageId { message_id } = serde_json::from_str(record.get())?;
        let result = match serde_json::from_str::<SqsMessage>(record.get()) {
            Ok(message) => self.isolated_message(message, &message_id, deadline).await,
            Err(error) => Err(error.into()),
        };
        let Err(cause) = result else { return Ok(None) };
        error!(trigger = "sqs", message_id, error = %telemetry::chain(&*cause), "message failed");
        Ok(Some(message_id))
    }

    /// Handles one message within its time, and after a failure sets the time of its next delivery.
    async fn isolated_message(
        &self,
        message: SqsMessage,
        message_id: &str,
        deadline: Instant,
    ) -> Result<(), HandlerError> {
        let queue_arn = message.event_source_arn.clone().unwrap_or_default();
        let queue = queue_arn.rsplit(':').next().unwrap_or_default().to_owned();
        let receive_count = receive_count(&message);
        let time = deadline.saturating_duration_since(Instant::now());
        let result = isolated(time, self.message(&queue, message.body.unwrap_or_default())).await;
        if let Err(cause) = &result
            && let Some(delay) = next_try(&**cause, receive_count)
            && let Some(receipt_handle) = message.receipt_handle
        {
            let retry = self.outbox.retry_after(&queue, receipt_handle, delay);
            // Out of the margin, if nothing else is left: the answer to the batch must not wait for it.
            let time = deadline.saturating_duration_since(Instant::now()).max(MARGIN / 4);
            if let Err(error) = isolated(time, retry).await {
                // Harmless: the message comes back when its visibility timeout is over.
                info!(message_id, error = %telemetry::chain(&*error), "the time of the retry could not be set");
            }
        }
        result
    }

    async fn message(&self, queue: &str, body: String) -> Result<(), HandlerError> {
        let Some(content) = Content::read(&body).map_err(Unreadable)? else {
            telemetry::count("ignored_messages", ("service", S::NAME));
            return Ok(());
        };
        let trace = match &content {
            Content::Event(event) => event.traceparent.as_deref().and_then(Trace::from_traceparent),
            Content::Objects(_) => None,
        };
        let queue = queue.strip_prefix(&*self.queue_prefix).unwrap_or(queue).to_owned();
        let handling = self.service.on_message(Message { queue, content });
        match trace {
            Some(trace) => trace.scope(handling).await,
            None => handling.await,
        }
    }
}

/// The members that tell the kinds of message bodies apart.
#[derive(Deserialize)]
struct BodyMarks {
    specversion: Option<serde::de::IgnoredAny>,
    #[serde(rename = "Records")]
    records: Option<serde::de::IgnoredAny>,
    /// `s3:TestEvent`, which S3 sends once when a notification is configured.
    #[serde(rename = "Event")]
    event: Option<String>,
}

impl Content {
    /// Reads a message's body; `None` if it is well-formed but not meant for us.
    fn read(body: &str) -> Result<Option<Self>, HandlerError> {
        let marks: BodyMarks = serde_json::from_str(body)?;
        if marks.specversion.is_some() {
            return Ok(match Event::parse(body)? {
                Received::Known(event) => Some(Self::Event(event)),
                Received::Unknown { .. } => None,
            });
        }
        if marks.records.is_some() {
            return Ok(Some(Self::Objects(serde_json::from_str::<S3Event>(body)?)));
        }
        if marks.event.as_deref() == Some("s3:TestEvent") {
            return Ok(None);
        }
        Err("the message is neither a CloudEvent nor an S3 notification".into())
    }
}

/// A message that can't be understood, and never will be: it gets to its dead-letter queue without the waits of those that
/// may succeed later. Answered by a service, it says so of what only the service can tell.
#[derive(Debug, thiserror::Error)]
#[error("unreadable message")]
pub struct Unreadable(#[source] HandlerError);

impl Unreadable {
    /// For this reason.
    pub fn new(cause: impl Into<HandlerError>) -> Self {
        Self(cause.into())
    }
}

/// How long a failed message stays away, if its visibility timeout is not the right time.
///
/// What can't be read is on its way to the dead-letter queue and need not linger. Any other failure is tried again after
/// some seconds, and then after some minutes, so that an outage does not empty the queues into their dead-letter queues.
/// What ran out of time gets that of the queue, and makes no call in the last moments of an invocation.
fn next_try(cause: &(dyn std::error::Error + 'static), receive_count: u32) -> Option<Duration> {
    if cause.is::<Unreadable>() {
        Some(Duration::from_secs(1))
    } else if cause.is::<OutOfTime>() {
        None
    } else {
        Some(time_away(receive_count))
    }
}

fn receive_count(message: &SqsMessage) -> u32 {
    let count = message.attributes.get("ApproximateReceiveCount");
    count.and_then(|count| count.parse().ok()).unwrap_or(1)
}
