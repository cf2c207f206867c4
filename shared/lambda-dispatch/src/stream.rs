//! A batch of changes of a table: in order, each becomes an event on the service's topic.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use aws_lambda_events::dynamodb::EventRecord;
use domain_events::Event;
use lambda_runtime::Context;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::{
    Change, Dispatcher, HandlerError, Service,
    batch::{BatchAnswer, Panicked, isolated, time_left},
    outbox::{EntryFailure, Outgoing},
    patience::Patience,
};

/// How long a service may take to hear of the changes of a batch. Whatever it does with them is worth no more delay of
/// their events.
const HEARING_TIME: Duration = Duration::from_millis(250);

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
        let records = records.into_iter().map(Record::read).collect::<Result<Vec<_>, _>>()?;
        self.tell(&records, deadline).await;
        let mut pending = Vec::with_capacity(records.len());
        for Record { raw: record, sequence_number, change } in records {
            match change.and_then(|change| self.event_of(change)) {
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

    /// Tells the service of the changes before anybody else hears of them. Nothing that comes of it holds up the events.
    async fn tell(&self, records: &[Record<'_>], deadline: Instant) {
        let changes: Vec<&Change> = records
            .iter()
            .filter_map(|record| record.change.as_ref().ok().map(|(_, change)| change))
            .collect();
        let time = HEARING_TIME.min(deadline.saturating_duration_since(Instant::now()));
        let hearing = async {
            self.service.on_changes(&changes).await;
            Ok(())
        };
        if let Err(cause) = isolated(time, hearing).await {
            warn!(trigger = "stream", error = %telemetry::chain(&*cause), "the service did not hear of the changes");
        }
    }

    /// The event that a change means. A change that can't be read never will be: it is told apart from a
    /// failure to publish, so that it does not hold up what follows it in the stream.
    fn event_of(&self, (id, change): (String, Change)) -> Result<Option<Event>, HandlerError> {
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
    ///
    /// What the topic does not take is tried again here for some seconds, together with all that follows it: an event never
    /// comes after a later one for the last time.
    async fn publish(
        &self,
        pending: &[Outgoing<'_>],
        deadline: Instant,
        published: &mut usize,
    ) -> Result<(), String> {
        let mut rest = pending;
        let mut patience = Patience::until(deadline);
        while !rest.is_empty() {
            let chunk = &rest[..rest.len().min(Outgoing::BATCH)];
            let Progress { done, set_aside, failure } = self.publish_chunk(chunk, deadline).await?;
            *published += done.saturating_sub(set_aside);
            rest = &rest[done..];
            if done > 0 {
                patience.renew();
            }
            let (Some(failure), [next, ..]) = (failure, rest) else { continue };
            let sequence_number = &next.sequence_number;
            warn!(trigger = "stream", sequence_number, error = failure, "publishing did not succeed");
            if !patience.another_try().await {
                error!(trigger = "stream", sequence_number, error = failure, "publishing failed");
                return Err(sequence_number.clone());
            }
        }
        Ok(())
    }

    /// Publishes up to ten events in one call. What is wrong with an entry itself is set aside, everything else that the
    /// topic did not take has to be repeated. `Err` as in [`publish`](Self::publish).
    async fn publish_chunk(&self, chunk: &[Outgoing<'_>], deadline: Instant) -> Result<Progress, String> {
        let time = deadline.saturating_duration_since(Instant::now());
        let failures = match isolated(time, self.outbox.publish(chunk)).await {
            Ok(failures) => failures,
            Err(cause) => {
                let failure = Some(telemetry::chain(&*cause).to_string());
                return Ok(Progress { done: 0, set_aside: 0, failure });
            }
        };
        let mut set_aside = 0;
        for EntryFailure { index, permanent, reason } in failures {
            // A failure of an entry that was not sent is a fault of the topic: it counts against the first one.
            let index = if index < chunk.len() { index } else { 0 };
            if !permanent {
                return Ok(Progress { done: index, set_aside, failure: Some(reason) });
            }
            let Outgoing { record, sequence_number, .. } = &chunk[index];
            let reason = format!("the topic refuses the event: {reason}");
            self.set_aside(record, sequence_number, reason, deadline).await?;
            set_aside += 1;
        }
        Ok(Progress { done: chunk.len(), set_aside, failure: None })
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
        let mut patience = Patience::until(deadline);
        loop {
            let time = deadline.saturating_duration_since(Instant::now());
            let Err(cause) = isolated(time, self.outbox.set_aside(record, &reason)).await else {
                return Ok(());
            };
            if !patience.another_try().await {
                let error = telemetry::chain(&*cause);
                error!(trigger = "stream", sequence_number, %error, "setting aside failed");
                return Err(sequence_number.to_owned());
            }
        }
    }
}

/// A record of a batch.
struct Record<'a> {
    raw: &'a RawValue,
    sequence_number: String,
    /// Its id and what it says, if that can be read.
    change: Result<(String, Change), HandlerError>,
}

impl<'a> Record<'a> {
    fn read(raw: &'a RawValue) -> Result<Self, HandlerError> {
        let Position { dynamodb } = serde_json::from_str(raw.get())?;
        let change = serde_json::from_str(raw.get())
            .map(|record: EventRecord| (record.event_id.clone(), Change(record)))
            .map_err(HandlerError::from);
        Ok(Self { raw, sequence_number: dynamodb.sequence_number, change })
    }
}

/// What became of the events of one call.
struct Progress {
    /// Events at its beginning with which nothing is left to do.
    done: usize,
    /// How many of these were set aside.
    set_aside: usize,
    /// Why the next one has to be repeated.
    failure: Option<String>,
}
