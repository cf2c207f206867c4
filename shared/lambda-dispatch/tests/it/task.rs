use std::time::Duration;

use serde_json::{Value, json};
use test_support::{Logs, door};

use crate::probe::{Probe, event, record, row};

fn task(name: &str, input: &Value) -> String {
    json!({ "task": name, "input": input }).to_string()
}

#[tokio::test]
async fn a_task_is_answered_with_what_came_of_it() {
    let (_, door) = Probe::door();
    let answer = door.invoke(&task("echo", &json!({ "rows": [1, 2] }))).await.unwrap();
    assert_eq!(answer, r#"{"rows":[1,2]}"#);
    // Nothing has to be said to it.
    assert_eq!(door.invoke(r#"{"task":"echo"}"#).await.unwrap(), "null");
}

#[tokio::test]
async fn a_failed_task_fails_its_invocation_with_all_causes_and_is_logged_once() {
    let (_, door) = Probe::door();
    let logs = Logs::capture();
    let error = door.invoke(&task("fail", &json!("not to be logged"))).await.unwrap_err();
    assert_eq!(error.to_string(), "told to fail: for a reason");
    let logged = logs.take();
    let failures: Vec<_> =
        logged.iter().filter(|line| line.starts_with("ERROR") && line.contains("fail")).collect();
    assert_eq!(failures.len(), 1, "{logged:?}");
    assert!(failures[0].contains("told to fail: for a reason"), "{logged:?}");
    assert!(!logged.concat().contains("not to be logged"), "{logged:?}");
}

#[tokio::test]
async fn a_panic_in_a_task_fails_that_task_alone() {
    let (probe, door) = Probe::door();
    let error = door.invoke(&task("panic", &Value::Null)).await.unwrap_err();
    assert_eq!(error.to_string(), "panicked: told to panic");
    assert!(door.messages("probes", [event("a")]).await.is_empty());
    assert_eq!(probe.handled(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_not_finished_in_time_says_so() {
    let (_, door) = Probe::door();
    let forever = door.invoke_within(&task("forever", &Value::Null), Duration::from_secs(5)).await;
    assert_eq!(forever.unwrap_err().to_string(), "not finished within the time of the invocation");
}

#[tokio::test]
async fn what_is_no_task_or_none_of_the_services_is_refused() {
    let (_, door) = Probe::door();
    let error = door.invoke(r#"{"task":{"name":"echo"}}"#).await.unwrap_err();
    assert!(error.to_string().contains("expected a string"), "{error}");
}

#[tokio::test]
async fn no_client_and_no_message_reaches_a_task() {
    let (_, door) = Probe::door();
    let request = door::http_v2("POST", "/api/probes").body("application/json", task("panic", &Value::Null));
    assert_eq!(door.http(request).await.status, 201);
    let failed = door.messages("probes", [task("echo", &Value::Null)]).await;
    assert_eq!(failed, [door::message_id(0)]);
    let mut record = record(0, row("private"));
    record["task"] = "panic".into();
    assert_eq!(door.changes(vec![record]).await, None);
}
