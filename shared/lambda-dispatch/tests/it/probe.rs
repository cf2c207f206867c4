//! A service that does what the test's input says.

use std::sync::{Arc, Mutex};

use axum::{Router, extract::State, http::StatusCode};
use domain_events::{Event, Payload, Timestamp, payload};
use lambda_dispatch::{Change, ClientAddress, Content, Fact, HandlerError, Message, Service, Task};
use problem_details::Problem;
use serde_json::{Value, json};
use test_support::door::Door;
use tokio::sync::{Barrier, Notify};
use utoipa::openapi::OpenApi;
use uuid::Uuid;

/// Obeys the subject of an event, the id of a row, the path of a request or the name of a task.
#[derive(Clone)]
pub(crate) struct Probe {
    /// Subjects of the messages that were handled to their end, with the queue.
    pub(crate) handled: Arc<Mutex<Vec<(String, String)>>>,
    /// Lets messages with the subject `wait` finish.
    pub(crate) released: Arc<Notify>,
    /// Where requests meet.
    meeting: Arc<Barrier>,
    /// Messages with the subject `count` under way now, and the most that ever were.
    pub(crate) under_way: Arc<Mutex<(usize, usize)>>,
    /// Rows whose changes it heard of.
    pub(crate) heard: Arc<Mutex<Vec<String>>>,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            handled: Arc::default(),
            released: Arc::default(),
            meeting: Arc::new(Barrier::new(MEETING)),
            under_way: Arc::default(),
            heard: Arc::default(),
        }
    }
}

impl Probe {
    pub(crate) fn door() -> (Self, Door<Self>) {
        let probe = Self::default();
        (probe.clone(), Door::new(probe))
    }

    /// Is under way for as long as others could begin.
    async fn count(&self) {
        {
            let mut under_way = self.under_way.lock().unwrap();
            under_way.0 += 1;
            under_way.1 = under_way.1.max(under_way.0);
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        self.under_way.lock().unwrap().0 -= 1;
    }

    pub(crate) fn handled(&self) -> Vec<String> {
        let mut handled: Vec<_> =
            self.handled.lock().unwrap().iter().map(|(_, subject)| subject.clone()).collect();
        handled.sort();
        handled
    }
}

/// An error with a cause.
#[derive(Debug)]
struct ToldToFail(HandlerError);

impl std::fmt::Display for ToldToFail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("told to fail")
    }
}

impl std::error::Error for ToldToFail {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

#[derive(serde::Deserialize)]
struct ProbeRow {
    probe_id: String,
    version: u64,
}

lambda_dispatch::routes! {
    Probe: read, write, address, panic, forever, meet
}

impl Service for Probe {
    const NAME: &'static str = "probe-service";
    const COLLECTION: &'static str = "probes";
    const OPENAPI: &'static str = r#"{"openapi":"3.1.0"}"#;

    fn routes() -> Router<Self> {
        routes()
    }

    fn documentation() -> OpenApi {
        documentation()
    }

    async fn ready(&self) -> Result<(), HandlerError> {
        if self.handled.lock().unwrap().is_empty() { Ok(()) } else { Err("the store is out of reach".into()) }
    }

    async fn on_message(&self, message: Message) -> Result<(), HandlerError> {
        let subject = match message.content {
            Content::Event(event) => event.subject,
            Content::Objects(objects) => objects.records[0].s3.object.key.clone().unwrap_or_default(),
        };
        match subject.as_str() {
            "fail" => return Err("told to fail".into()),
            "panic" => panic!("told to panic"),
            "forever" => std::future::pending().await,
            "wait" => self.released.notified().await,
            "release" => self.released.notify_waiters(),
            "count" => self.count().await,
            _ => {}
        }
        self.handled.lock().unwrap().push((message.queue, subject));
        Ok(())
    }

    async fn on_changes(&self, changes: &[&Change]) {
        for row in changes.iter().filter_map(|change| change.after()?.read::<ProbeRow>().ok()) {
            match row.probe_id.as_str() {
                "deaf" => panic!("told to panic"),
                "slow" => std::future::pending().await,
                _ => self.heard.lock().unwrap().push(row.probe_id),
            }
        }
    }

    fn event_of(&self, change: &Change) -> Result<Option<Fact>, HandlerError> {
        let row: ProbeRow = change.after().ok_or("no row")?.read()?;
        match row.probe_id.as_str() {
            "private" => return Ok(None),
            "panic" => panic!("told to panic"),
            _ => {}
        }
        let user = payload::User {
            user_id: Uuid::nil(),
            role: "customer".to_owned(),
            version: row.version,
            created_at: Timestamp::from_millis(0),
        };
        let (time, payload) = (change.time(), Payload::UserUpdated(user));
        Ok(Some(Fact { subject: row.probe_id, traceparent: None, time, payload }))
    }

    async fn on_task(&self, task: Task) -> Result<Value, HandlerError> {
        match task.name.as_str() {
            "fail" => return Err(ToldToFail("for a reason".into()).into()),
            "panic" => panic!("told to panic"),
            "forever" => std::future::pending().await,
            _ => {}
        }
        Ok(task.input)
    }
}

#[utoipa::path(get, path = "/api/probes", responses((status = 200, description = "Fine")))]
async fn read() -> &'static str {
    "fine"
}

#[utoipa::path(post, path = "/api/probes", responses((status = 201, description = "Fine")))]
async fn write(body: String) -> (StatusCode, String) {
    (StatusCode::CREATED, body.len().to_string())
}

#[utoipa::path(get, path = "/api/probes/address", responses((status = 200, description = "Whose request it is")))]
async fn address(client: Option<ClientAddress>) -> String {
    client.map_or("nobody knows".to_owned(), |ClientAddress(address)| address.to_string())
}

#[utoipa::path(get, path = "/api/probes/panic", responses((status = 200, description = "Never")))]
async fn panic() -> Result<(), Problem> {
    panic!("told to panic, with a secret in it")
}

#[utoipa::path(get, path = "/api/probes/forever", responses((status = 200, description = "Never")))]
async fn forever() {
    std::future::pending().await
}

/// Answers only once [`MEETING`] requests are under way in one process.
#[utoipa::path(get, path = "/api/probes/meet", responses((status = 200, description = "All are here")))]
async fn meet(State(probe): State<Probe>) -> &'static str {
    probe.meeting.wait().await;
    "met"
}

/// How many requests it takes for [`meet`] to answer.
pub(crate) const MEETING: usize = 4;

/// A message as another service sends it.
pub(crate) fn event(subject: &str) -> String {
    let user = payload::User {
        user_id: Uuid::nil(),
        role: "customer".to_owned(),
        version: 1,
        created_at: Timestamp::from_millis(0),
    };
    let event = Event {
        id: format!("id of {subject}"),
        source: "/user-service".to_owned(),
        subject: subject.to_owned(),
        time: Timestamp::from_millis(0),
        traceparent: None,
        payload: Payload::UserUpdated(user),
    };
    event.to_json().unwrap()
}

/// The stream record of a row; its sequence number follows from its position.
pub(crate) fn record(position: usize, row: Value) -> Value {
    json!({
        "eventID": format!("record-{position}"),
        "eventName": "MODIFY",
        "eventSource": "aws:dynamodb",
        "eventVersion": "1.1",
        "awsRegion": "us-east-1",
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:000000000000:table/test-probes/stream/2026",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_795_000_000,
            "Keys": { "probe_id": row["probe_id"] },
            "NewImage": row,
            "SequenceNumber": sequence_number(position),
            "SizeBytes": 100,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    })
}

pub(crate) fn sequence_number(position: usize) -> String {
    format!("{:020}", 100 + position)
}

pub(crate) fn row(probe_id: &str) -> Value {
    json!({ "probe_id": { "S": probe_id }, "version": { "N": "1" } })
}
