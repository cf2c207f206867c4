use std::future::Future;

use aws_lambda_events::{dynamodb::EventRecord, s3::S3Event};
use axum::Router;
use domain_events::{Event, Payload, Timestamp};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use utoipa::openapi::OpenApi;

/// Any error that fails one record or one probe; logged with its causes where that is decided.
pub type HandlerError = Box<dyn std::error::Error + Send + Sync>;

/// A microservice, as its Lambda function sees it.
///
/// It is also the state of its routes. `Clone + Send + Sync`, because several requests may be under way at
/// once in one environment (Lambda Managed Instances).
pub trait Service: Clone + Send + Sync + 'static {
    /// Name of the service, as in `order-service`: source of its events, in its logs.
    const NAME: &'static str;

    /// Name of its collection: all its paths begin with `/api/<collection>`.
    const COLLECTION: &'static str;

    /// Whether it has a table whose changes it publishes. If not, it has no stream either.
    const PUBLISHES: bool = true;

    /// Its OpenAPI document as text: what [`openapi`](crate::openapi()) generates, committed beside the code, so that
    /// a function has nothing to build in order to serve it.
    const OPENAPI: &'static str;

    /// Its routes; health and OpenAPI routes are added by the dispatcher.
    fn routes() -> Router<Self>;

    /// What its routes are for. [`routes!`](crate::routes!) makes both out of one list.
    fn documentation() -> OpenApi;

    /// Whether the service can do its work: what `/health/ready` asks.
    fn ready(&self) -> impl Future<Output = Result<(), HandlerError>> + Send;

    /// Handles one message of a queue. Its effect must be the same however often and in whatever order
    /// messages come. An error, a panic or a timeout makes the queue deliver the message again, and in the
    /// end puts it into the dead-letter queue; it affects no other message.
    fn on_message(&self, message: Message) -> impl Future<Output = Result<(), HandlerError>> + Send;

    /// The event that a change of one of its own rows means to others, if any. A decision about data, no
    /// effect: publishing is the dispatcher's. A change that can't be read ends in the stream's dead-letter
    /// queue.
    fn event_of(&self, change: &Change) -> Result<Option<Fact>, HandlerError>;

    /// Hears of the changes of a batch before their events are published, so that whoever learns of a change by its event
    /// finds what was done here done. For what may be missing and must not be needed: a panic or more than a quarter of a
    /// second end it, and the events go out all the same. A batch can come again.
    fn on_changes(&self, changes: &[&Change]) -> impl Future<Output = ()> + Send {
        let _ = changes;
        async {}
    }

    /// Does what an operator asks by invoking the function directly, and answers what came of it. Whoever may invoke
    /// the function is trusted with all its tasks; clients of the API can't reach them. An error, a panic or a timeout
    /// fails the invocation, and the operator sees its text and its causes.
    fn on_task(&self, task: Task) -> impl Future<Output = Result<Value, HandlerError>> + Send {
        async move { Err(format!("{} has no task {:?}", Self::NAME, task.name).into()) }
    }
}

/// What an operator asks of a service: the event `{"task": "<name>", "input": …}`.
#[derive(Debug, Deserialize)]
pub struct Task {
    /// What to do.
    #[serde(rename = "task")]
    pub name: String,
    /// With what; `null` if nothing is said.
    #[serde(default)]
    pub input: Value,
}

/// One message of a queue.
#[derive(Debug)]
pub struct Message {
    /// Name of the queue without the environment's prefix, as in `stock-requests`.
    pub queue: String,
    /// What the message says.
    pub content: Content,
}

/// What a message says.
#[derive(Debug)]
pub enum Content {
    /// Something happened in this or another service.
    Event(Box<Event>),
    /// Objects were written to or removed from a bucket.
    Objects(S3Event),
}

/// What an event says, without the envelope that the dispatcher puts around it.
#[derive(Debug)]
pub struct Fact {
    /// Id of the entity.
    pub subject: String,
    /// W3C trace context of the request that caused the change, as kept in the row.
    pub traceparent: Option<String>,
    /// When the change was written.
    pub time: Timestamp,
    /// What happened.
    pub payload: Payload,
}

/// A change of one row, with the row before and after it.
#[derive(Debug)]
pub struct Change(pub(crate) EventRecord);

/// A row of a table as the stream shows it.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a>(&'a serde_dynamo::Item);

impl Change {
    /// The row before the change; `None` if it is new.
    pub fn before(&self) -> Option<Row<'_>> {
        Some(&self.0.change.old_image).filter(|image| !image.is_empty()).map(Row)
    }

    /// The row after the change; `None` if it is gone.
    pub fn after(&self) -> Option<Row<'_>> {
        Some(&self.0.change.new_image).filter(|image| !image.is_empty()).map(Row)
    }

    /// When the change was written, to the second.
    pub fn time(&self) -> Timestamp {
        Timestamp::from_millis(self.0.change.approximate_creation_date_time.timestamp_millis())
    }
}

impl Row<'_> {
    /// Whether the row has an attribute: what tells the kinds of rows in one table apart.
    pub fn has(&self, attribute: &str) -> bool {
        self.0.contains_key(attribute)
    }

    /// Reads the row as a type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, HandlerError> {
        Ok(serde_dynamo::from_item(self.0.clone())?)
    }
}
