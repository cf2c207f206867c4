use std::time::{Duration, SystemTime};

use lambda_dispatch::{Dispatcher, HandlerError, Outbox, Service};
use lambda_runtime::Context;
use serde_json::{Value, value::RawValue};

use super::{HttpAnswer, HttpEvent, failures, sqs, stream};
use crate::{TestTable, TopicStub};

/// A whole function but for the process: events go in as Lambda hands them over, answers come out as Lambda gets
/// them. Its topic and its dead-letter queue are a [`TopicStub`].
pub struct Door<S> {
    dispatcher: Dispatcher<S>,
    topic: TopicStub,
}

impl<S: Service> Door<S> {
    /// The door to a service in the environment `test`.
    pub fn new(service: S) -> Self {
        let topic = TopicStub::start();
        let queue_url = format!("{}/000000000000/test-{}-stream-dlq", topic.endpoint(), S::COLLECTION);
        let topic_arn = format!("arn:aws:sns:us-east-1:000000000000:test-{}", S::NAME);
        let outbox = Outbox::new(&topic.sdk_config(), topic_arn, queue_url);
        Self { dispatcher: Dispatcher::new(service, outbox, "test"), topic }
    }

    /// What the service has published and set aside, and the faults to come.
    pub fn topic(&self) -> &TopicStub {
        &self.topic
    }

    /// One invocation with 30 seconds to go.
    pub async fn invoke(&self, event: &str) -> Result<String, HandlerError> {
        self.invoke_within(event, Duration::from_secs(30)).await
    }

    /// One invocation with less time.
    pub async fn invoke_within(&self, event: &str, time: Duration) -> Result<String, HandlerError> {
        let deadline = SystemTime::now() + time;
        let deadline = deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut context = Context::default();
        context.request_id = uuid::Uuid::now_v7().to_string();
        context.deadline = deadline.as_millis().try_into().unwrap_or(u64::MAX);
        let event = RawValue::from_string(event.to_owned())?;
        Ok(self.dispatcher.handle(event, context).await?.get().to_owned())
    }

    /// Answers a request. Panics if the invocation as a whole fails, which no request may cause.
    pub async fn http(&self, request: HttpEvent) -> HttpAnswer {
        match self.invoke(&request.build()).await {
            Ok(answer) => HttpAnswer::parse(&answer),
            Err(error) => panic!("the invocation failed: {error}"),
        }
    }

    /// Hands over a batch of messages of the queue `test-<queue>`; answers the ids of those that failed, in
    /// order ([`message_id`](super::message_id) tells which they are).
    pub async fn messages<B: Into<String>>(
        &self,
        queue: &str,
        bodies: impl IntoIterator<Item = B>,
    ) -> Vec<String> {
        let event = sqs(&format!("test-{queue}"), bodies);
        match self.invoke(&event).await {
            Ok(answer) => {
                let mut failed = failures(&answer);
                failed.sort();
                failed
            }
            Err(error) => panic!("the invocation failed: {error}"),
        }
    }

    /// Hands over stream records; answers the sequence number to resume at, if any failed.
    pub async fn changes(&self, records: Vec<Value>) -> Option<String> {
        match self.invoke(&stream(records)).await {
            Ok(answer) => failures(&answer).into_iter().next(),
            Err(error) => panic!("the invocation failed: {error}"),
        }
    }

    /// Hands over everything that is new in the table's stream and answers the events that were published for
    /// it, as they are on the wire. Panics if a record could not be read or published.
    pub async fn publish_changes(&self, table: &TestTable) -> Vec<String> {
        let before = self.topic.published().len();
        let records = table.new_stream_records();
        if !records.is_empty() {
            let set_aside = self.topic.sent().len();
            assert_eq!(self.changes(records).await, None, "a change could not be published");
            assert_eq!(self.topic.sent().len(), set_aside, "a change could not be read");
        }
        self.topic.published().split_off(before).into_iter().map(|published| published.message).collect()
    }
}
