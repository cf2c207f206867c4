use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use dynamodb_store::{Consistency, Key, Reason, StoreError, Table, Transaction, TransactionError};
use test_support::sdk_config;

use crate::{Row, row};

/// Answers each call with the next of its answers; the last one goes on for ever.
struct Script {
    table: Table,
    played: Arc<Mutex<Played>>,
}

struct Played {
    calls: usize,
    /// The token of each call that has one.
    tokens: Vec<String>,
    answers: VecDeque<Answer>,
}

type Answer = (u16, String);

impl Script {
    async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let played = Arc::new(Mutex::new(Played {
            calls: 0,
            tokens: Vec::new(),
            answers: answers.into_iter().collect(),
        }));
        let router = Router::new().fallback(Self::answer).with_state(played.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { table: Table::new(&sdk_config(&endpoint), "scripted"), played }
    }

    async fn answer(State(played): State<Arc<Mutex<Played>>>, body: String) -> (StatusCode, String) {
        let call: serde_json::Value = serde_json::from_str(&body).unwrap();
        let mut played = played.lock().unwrap();
        played.calls += 1;
        played.tokens.extend(call["ClientRequestToken"].as_str().map(str::to_owned));
        let (status, body) = played.answers[0].clone();
        if played.answers.len() > 1 {
            played.answers.pop_front();
        }
        (StatusCode::from_u16(status).unwrap(), body)
    }

    fn calls(&self) -> usize {
        self.played.lock().unwrap().calls
    }

    async fn get(&self) -> Result<Option<Row>, StoreError> {
        self.table.get(&Key::new("order_id", "1"), Consistency::Strong).await
    }

    async fn commit(&self) -> Result<(), TransactionError> {
        Transaction::new(&self.table)
            .create("order_id", &row("1"))
            .create("order_id", &row("2"))
            .commit()
            .await
    }
}

fn failure(status: u16, code: &str) -> Answer {
    (status, format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"scripted"}}"#))
}

fn cancelled(codes: [&str; 2]) -> Answer {
    let [first, second] = codes.map(|code| format!(r#"{{"Code":"{code}"}}"#));
    let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    let body =
        format!(r#"{{"__type":"{kind}","Message":"scripted","CancellationReasons":[{first},{second}]}}"#);
    (400, body)
}

fn done() -> Answer {
    (200, "{}".to_owned())
}

#[tokio::test]
async fn every_answer_of_the_service_has_its_kind() {
    type Kind = fn(&StoreError) -> bool;
    let throttled: Kind = |error| matches!(error, StoreError::Throttled(_)) && error.is_retryable();
    let unavailable: Kind = |error| matches!(error, StoreError::Unavailable(_)) && error.is_retryable();
    let rejected: Kind = |error| matches!(error, StoreError::Rejected(_)) && !error.is_retryable();
    let cases = [
        (400, "ProvisionedThroughputExceededException", throttled),
        (400, "ThrottlingException", throttled),
        (400, "RequestLimitExceeded", throttled),
        (500, "InternalServerError", unavailable),
        (503, "ServiceUnavailable", unavailable),
        (400, "ValidationException", rejected),
        (400, "AccessDeniedException", rejected),
        (400, "ResourceNotFoundException", rejected),
    ];
    for (status, code, is_kind) in cases {
        let error = Script::start([failure(status, code)]).await.get().await.unwrap_err();
        assert!(is_kind(&error), "{code}: {error:?}");
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(source.contains(code), "{code}: {source}");
    }
}

#[tokio::test]
async fn an_unreachable_store_is_unavailable_and_a_silent_one_times_out() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let key = Key::new("order_id", "1");
    let table = Table::new(&sdk_config(&format!("http://{closed}")), "unreachable");
    let error = table.get::<Row>(&key, Consistency::Strong).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");

    // Accepts connections (the system does) and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = sdk_config(&format!("http://{}", silent.local_addr().unwrap()));
    let patience = config.timeout_config().unwrap().to_builder();
    let patience = patience.operation_timeout(Duration::from_millis(200)).build();
    let table = Table::new(&config.into_builder().timeout_config(patience).build(), "silent");
    let error = table.get::<Row>(&key, Consistency::Strong).await.unwrap_err();
    assert!(matches!(error, StoreError::Timeout(_)), "{error:?}");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_transaction_tries_again_when_only_rivals_or_throttling_stood_in_its_way() {
    let script = Script::start([
        cancelled(["TransactionConflict", "None"]),
        cancelled(["None", "ThrottlingError"]),
        cancelled(["TransactionConflict", "TransactionConflict"]),
        done(),
    ])
    .await;
    script.commit().await.unwrap();
    assert_eq!(script.calls(), 4);
}

#[tokio::test]
async fn a_transaction_keeps_its_token_until_it_is_known_that_nothing_was_written() {
    // The SDK itself makes three tries, all of which may have met the first one, still under way.
    let unknown = || failure(400, "TransactionInProgressException");
    let nothing_written = cancelled(["TransactionConflict", "None"]);
    let script = Script::start([unknown(), unknown(), unknown(), nothing_written, done()]).await;
    script.commit().await.unwrap();
    let tokens = script.played.lock().unwrap().tokens.clone();
    assert_eq!(tokens.len(), 5);
    assert!(tokens[..4].iter().all(|token| *token == tokens[0]), "{tokens:?}");
    assert_ne!(tokens[4], tokens[0]);
}

#[tokio::test]
async fn a_transaction_gives_up_after_a_bounded_number_of_tries_with_a_retryable_error() {
    let script = Script::start([cancelled(["TransactionConflict", "None"])]).await;
    let error = script.commit().await.unwrap_err();
    assert!(matches!(&error, TransactionError::Store(StoreError::Conflict(_))), "{error:?}");
    assert_eq!(script.calls(), 8);
}

#[tokio::test]
async fn a_failed_condition_is_final_even_beside_a_conflict() {
    let script = Script::start([cancelled(["TransactionConflict", "ConditionalCheckFailed"])]).await;
    let error = script.commit().await.unwrap_err();
    let TransactionError::Cancelled(reasons) = &error else { panic!("{error:?}") };
    assert_eq!(reasons, &[Reason::Conflict, Reason::ConditionFailed(None)]);
    assert_eq!(script.calls(), 1);
}

#[tokio::test]
async fn any_other_reason_is_final_and_named() {
    let script = Script::start([cancelled(["None", "ValidationError"])]).await;
    let error = script.commit().await.unwrap_err();
    assert_eq!(error.to_string(), "the transaction was cancelled: [None, ValidationError]");
    assert_eq!(script.calls(), 1);
}

#[tokio::test]
async fn a_single_write_outlasts_a_transaction_on_its_row() {
    let conflict = || failure(400, "TransactionConflictException");
    let script = Script::start([conflict(), conflict(), done()]).await;
    script.table.create("order_id", &row("1")).await.unwrap();
    assert_eq!(script.calls(), 3);

    let script = Script::start([conflict(), done()]).await;
    script.table.delete(Key::new("order_id", "1")).send().await.unwrap();
    assert_eq!(script.calls(), 2);
}

#[tokio::test]
async fn keys_left_unprocessed_are_asked_for_again_a_bounded_number_of_times() {
    let keys = ["1", "2"].map(|id| Key::new("order_id", id));
    let item = |id: &str| {
        let r = row(id);
        format!(
            r#"{{"order_id":{{"S":"{id}"}},"user_id":{{"S":"{}"}},"status":{{"S":"{}"}},"stock":{{"N":"{}"}},
                "history":{{"L":[]}},"version":{{"N":"{}"}},"created_at":{{"S":"{}"}}}}"#,
            r.user_id, r.status, r.stock, r.version, r.created_at
        )
    };
    let part = format!(
        r#"{{"Responses":{{"scripted":[{}]}},
            "UnprocessedKeys":{{"scripted":{{"Keys":[{{"order_id":{{"S":"2"}}}}]}}}}}}"#,
        item("1")
    );
    let rest = format!(r#"{{"Responses":{{"scripted":[{}]}},"UnprocessedKeys":{{}}}}"#, item("2"));
    let script = Script::start([(200, part.clone()), (200, rest)]).await;
    let rows: Vec<Row> = script.table.get_many(&keys, Consistency::Strong).await.unwrap();
    assert_eq!(rows, [row("1"), row("2")]);

    let none = part.replace(&item("1"), "");
    let script = Script::start([(200, none)]).await;
    let error = script.table.get_many::<Row>(&keys, Consistency::Strong).await.unwrap_err();
    assert!(matches!(error, StoreError::Throttled(_)), "{error:?}");
    assert_eq!(script.calls(), 8);
}
