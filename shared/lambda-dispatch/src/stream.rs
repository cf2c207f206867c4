//! A batch of changes of a table: in order, each becomes an event on the service's topic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use aws_lambda_events::dynamodb::EventRecord;
use domain_events::Event;
use lambda_runtime::Context;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::{error, info};

use crate::{
    Change, Dispatcher, HandlerError, Service,
    batch::{BatchAnswer, Panicked, isolated, time_left},
    outbox::{EntryFailure, Outgoing},
};

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<&'a RawValue>,
}

/// The one member without which a failure can't be reported.
#[derive(Deserialize)]
struct Position {
    dynamodb: SequenceNumber,
}

#[derive(Deserialize)]
struct SequenceNumber {
    #[serde(rename = "SequenceNumber")]
    sequence_number: String,
}

impl<S: Service> Dispatcher<S> {
    /// Publishes what the changes mean. The stream repeats everything from the sequence number that is
    /// answered; what had been published after it comes again with the same event id.
    pub(crate) async fn stream(
        &self,
        event: &RawValue,
        context: &Context,
    ) -> Result<BatchAnswer, HandlerError> {
        let batch: Batch<'_> = serde_json::from_str(event.get())?;
        let deadline = Instant::now() + time_left(context);
        let received = batch.records.len();
        let mut published = 0;
        let failed = self.publish_changes(batch.records, deadline, &mut published).await?.err();
        info!(trigger = "stream", received, published, failed = failed.is_some(), "batch handled");
        Ok(failed.into_iter().collect())
    }

    /// Goes through the records in order; the inner `Err` is the sequence number to resume at. The outer one says that
    /// there is a record without a sequence number, so that no such answer can be given.
    async fn publish_changes(
        &self,
        records: Vec<&RawValue>,
        deadline: Instant,
        published: &mut usize,
    ) -> Result<Result<(), String>, HandlerError> {
        let mut pending = Vec::with_capacity(records.len());
        for record in records {
            let Position { dynamodb } = serde_json::from_str(record.get())?;
            let sequence_number = dynamodb.sequence_number;
            match self.event_of(record) {
                Ok(None) => {}
                Ok(Some(event)) => pending.push(Outgoing { sequence_number, record, event }),
                Err(cause) => {
                    // First what comes before it: if that fails, this record comes again and is set aside once.
                    if let Err(failed) = self.publish(&pending, deadline, published).await {
                        return Ok(Err(failed));
                    }
                    pending.clear();
                    let reason = telemetry::chain(&*cause).to_string();
                    if let Err(failed) = self.set_aside(record, &sequence_number, reason, deadline).await {
                        return Ok(Err(failed));
                    }
                }
            }
        }
        Ok(self.publish(&pending, deadline, published).await)
    }

    /// The event that a record means. A record that can't be read never will be: it is told apart from a
    /// failure to publish, so that it does not hold up what follows it in the stream.
    fn event_of(&self, record: &RawValue) -> Result<Option<Event>, HandlerError> {
        let record: EventRecord = serde_json::from_str(record.get())?;
        let id = record.event_id.clone();
        let change = Change(record);
        let fact =
            catch_unwind(AssertUnwindSafe(|| self.service.event_of(&change))).map_err(Panicked::from)??;
        Ok(fact.map(|fact| Event {
            id,
            source: format!("/{}", S::NAME),
            subject: fact.subject,
            time: fact.time,
            traceparent: fact.traceparent,
            payload: fact.payload,
        }))
    }

    /// Publishes in order, ten at a time; `Err` is the lowest sequence number that was not published.
    async fn publish(
        &self,
        pending: &[Outgoing<'_>],
        deadline: Instant,
        published: &mut usize,
    ) -> Result<(), String> {
        for chunk in pending.chunks(Outgoing::BATCH) {
            let time = deadline.saturating_duration_since(Instant::now());
            let failures = isolated(time, self.outbox.publish(chunk)).await.map_err(|cause| {
                error!(trigger = "stream", error = %telemetry::chain(&*cause), "publishing failed");
                chunk[0].sequence_number.clone()
            })?;
            *published += chunk.len() - failures.len();
            self.settle(chunk, failures, deadline).await?;
        }
        Ok(())
    }

    /// Decides about entries that the topic did not take: what is wrong with the entry itself is set aside,
    /// everything else is repeated.
    async fn settle(
        &self,
        chunk: &[Outgoing<'_>],
        failures: Vec<EntryFailure>,
        deadline: Instant,
    ) -> Result<(), String> {
        for failure in failures {
            // A failure of an entry that was not sent is a fault of the topic: it counts against the first one.
            let entry = chunk.get(failure.index).unwrap_or(&chunk[0]);
            if failure.permanent {
                let reason = format!("the topic refuses the event: {}", failure.reason);
                self.set_aside(entry.record, &entry.sequence_number, reason, deadline).await?;
            } else {
                let sequence_number = &entry.sequence_number;
                error!(
                    trigger = "stream",
                    sequence_number,
                    error = failure.reason,
                    "publishing an event failed"
                );
                return Err(sequence_number.clone());
            }
        }
        Ok(())
    }

    /// Puts a record whole into the stream's dead-letter queue; `Err` is its sequence number if even that
    /// failed and the record has to come again.
    async fn set_aside(
        &self,
        record: &RawValue,
        sequence_number: &str,
        reason: String,
        deadline: Instant,
    ) -> Result<(), String> {
        error!(trigger = "stream", sequence_number, error = reason, "record set aside");
        let time = deadline.saturating_duration_since(Instant::now());
        isolated(time, self.outbox.set_aside(record, &reason)).await.map_err(|error| {
            error!(trigger = "stream", sequence_number, error = %telemetry::chain(&*error), "setting aside failed");
            sequence_number.to_owned()
        })
    }
}
