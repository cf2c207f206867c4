use futures_util::future::try_join_all;
use operations::dead_letters::Letter;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    cloud::{all, call, dead_letters, name, of_no_concern, send, turn},
    commands::output,
};

/// What the doctor says, and whether it calls the whole healthy.
async fn diagnosis() -> (String, bool) {
    let (output, said) = output(&["doctor"]).await;
    (said, output.status.success())
}

/// The line about a subject.
fn line<'a>(said: &'a str, subject: &str) -> &'a str {
    said.lines().find(|line| line.contains(&format!(" {subject:<13}"))).unwrap_or_else(|| panic!("{said}"))
}

#[tokio::test]
#[ignore = "needs the local cloud: cargo xtask test"]
async fn a_healthy_stack_is_told_from_one_where_something_waits_for_somebody() {
    let _turn = turn().await;
    let dead_letters = dead_letters().await;
    let task = all(&|_| true);
    try_join_all(dead_letters.queues().iter().map(|queue| dead_letters.drop(queue, &task))).await.unwrap();
    let (said, is_healthy) = diagnosis().await;
    assert!(is_healthy, "{said}");
    for subject in ["stack", "template", "code", "API", "clock", "secret", "dead letters", "orders"] {
        assert!(line(&said, subject).starts_with('✓'), "{said}");
    }

    let mark = Uuid::now_v7().to_string();
    send("user-events-dlq", &of_no_concern(&mark)).await;
    let (said, is_healthy) = diagnosis().await;
    let found = line(&said, "dead letters");
    assert!(found.starts_with('✗') && found.contains("user-events-dlq 1") && !is_healthy, "{said}");
    let has_mark = |letter: &Letter| letter.body().contains(&mark);
    dead_letters.drop(dead_letters.queue("user-events").unwrap(), &all(&has_mark)).await.unwrap();

    // An order that nobody ever answered, and no deadline came for.
    let key = json!({ "order_id": { "S": mark } });
    let row = json!({
        "order_id": { "S": mark }, "user_id": { "S": mark }, "status": { "S": "PENDING" },
        "created_at": { "S": "2026-01-02T03:04:05.000Z" }, "expires_at": { "N": "4102444800" },
    });
    let put = |row: &Value| json!({ "TableName": name("orders"), "Item": row });
    call("DynamoDB_20120810.PutItem", put(&row)).await;
    let (said, is_healthy) = diagnosis().await;
    let found = line(&said, "orders");
    assert!(found.starts_with('✗') && found.contains(&mark) && !is_healthy, "{said}");
    call("DynamoDB_20120810.DeleteItem", json!({ "TableName": name("orders"), "Key": key })).await;
}
