//! A service that publishes nothing, because it has no table.

use std::process::{ExitCode, Stdio};

use axum::Router;
use lambda_dispatch::{Change, Dispatcher, Fact, HandlerError, Message, Outbox, Service};
use lambda_runtime::Context;
use serde_json::value::RawValue;
use test_support::{RuntimeApi, TopicStub, door};
use utoipa::openapi::{OpenApi, OpenApiBuilder};

use crate::{function::command, probe::event};

#[derive(Clone)]
struct Silent;

impl Service for Silent {
    const NAME: &'static str = "silent-service";
    const COLLECTION: &'static str = "silences";
    const PUBLISHES: bool = false;
    const OPENAPI: &'static str = "{}";

    fn routes() -> Router<Self> {
        Router::new()
    }

    fn documentation() -> OpenApi {
        OpenApiBuilder::new().build()
    }

    async fn ready(&self) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn on_message(&self, _: Message) -> Result<(), HandlerError> {
        Err("it has nothing to say".into())
    }

    fn event_of(&self, _: &Change) -> Result<Option<Fact>, HandlerError> {
        Ok(None)
    }
}

/// The function itself, only ever run in a process of its own.
#[test]
#[ignore = "is the function that the other tests start"]
fn bootstrap() {
    let ended = lambda_dispatch::run(async |_| Ok(Silent));
    assert_eq!(ended, ExitCode::SUCCESS);
}

#[tokio::test]
async fn it_starts_without_a_topic_and_has_no_tasks_unless_it_says_so() {
    let api = RuntimeApi::start();
    let mut process = command(&api, "silent::bootstrap")
        .env_remove("EVENTS_TOPIC_ARN")
        .env_remove("STREAM_DLQ_URL")
        .env("QUEUE_URL", "http://127.0.0.1:9/000000000000/test-silences")
        .spawn()
        .unwrap();
    let error = api.invoke(r#"{"task":"migrate"}"#).await.unwrap_err();
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(error.contains(r#"silent-service has no task \"migrate\""#), "{error}");
}

#[test]
fn without_its_queue_it_does_not_start_and_says_so() {
    let output = command(&RuntimeApi::start(), "silent::bootstrap").stdout(Stdio::piped()).output().unwrap();
    assert!(!output.status.success());
    let log = String::from_utf8(output.stdout).unwrap();
    assert!(log.contains("can't start") && log.contains("QUEUE_URL"), "{log}");
}

#[tokio::test]
async fn what_it_could_not_handle_stays_away_for_some_time() {
    let queues = TopicStub::start();
    let queue_url = format!("{}/000000000000/test-anything", queues.endpoint());
    let outbox = Outbox::without_topic(&queues.sdk_config(), queue_url);
    let batch = RawValue::from_string(door::sqs("test-silences", [event("a")])).unwrap();
    let answer = Dispatcher::new(Silent, outbox, "test").handle(batch, Context::default()).await.unwrap();
    assert_eq!(door::failures(answer.get()), [door::message_id(0)]);
    let retried = queues.retried();
    assert!(retried.len() == 1 && retried[0].queue_url.ends_with("/test-silences"), "{retried:?}");
}
