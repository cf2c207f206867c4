use std::collections::BTreeSet;

use serde_json::{Value, json};
use test_support::{
    door::{self, HttpAnswer},
    samples,
};

use crate::harness::Reports;

/// How a sample is answered.
enum Answer {
    /// A request, with this status.
    Status(u16),
    /// A batch that is done as a whole.
    Done,
    /// A task, with this answer; or with any.
    Says(Option<Value>),
}

/// The samples in the sequence of what they tell.
fn story() -> Vec<(&'static str, Answer)> {
    let order = json!({
        "order_id": "0198b2c6-0e42-7d15-8a70-3c1b9f6e2d01", "version": 4, "status": "DELIVERED", "user_id": null,
        "currency": "EUR", "total": 4448, "units": 3, "lines": 2, "revenue": 4448,
    });
    let unsold = |id: &str, status: &str| {
        json!({
            "order_id": id, "version": 2, "status": status, "user_id": null, "currency": null, "total": null,
            "units": 3, "lines": 2, "revenue": null,
        })
    };
    let orders = [
        order,
        unsold("0198b2c6-0e42-7d15-8a70-3c1b9f6e2d02", "CANCELLED"),
        unsold("0198b2c6-0e42-7d15-8a70-3c1b9f6e2d03", "REJECTED"),
    ];
    vec![
        ("migrate", Answer::Says(None)),
        ("health-ready", Answer::Status(200)),
        // Facts before their dimensions, and the confirmation before the placement.
        ("orders", Answer::Done),
        ("products", Answer::Done),
        ("order-cancelled", Answer::Done),
        ("order-rejected", Answer::Done),
        ("sales", Answer::Status(200)),
        ("sales-csv", Answer::Status(200)),
        ("top-products", Answer::Status(200)),
        ("funnel", Answer::Status(200)),
        ("customer", Answer::Status(200)),
        ("user-deleted", Answer::Done),
        ("read-orders", Answer::Says(Some(json!({ "orders": orders, "next": null })))),
        ("read-products", Answer::Says(None)),
        ("status", Answer::Says(None)),
    ]
}

#[test]
fn every_sample_has_its_place_in_the_story() {
    let told: BTreeSet<&str> = story().iter().map(|(name, _)| *name).collect();
    assert!(samples("report-service").keys().map(String::as_str).eq(told));
}

#[tokio::test]
async fn every_sample_event_is_handled() {
    let reports = Reports::empty();
    let samples = samples("report-service");
    for (name, expected) in story() {
        let mut event: Value = serde_json::from_str(&samples[name]).unwrap();
        if let Some(authorization) = event["headers"].get_mut("authorization") {
            *authorization = format!("Bearer {}", reports.admin()).into();
        }
        let answer = reports.handle(event.to_string()).await;
        match expected {
            Answer::Status(status) => {
                assert_eq!(HttpAnswer::parse(&answer).status, status, "{name}: {answer}")
            }
            Answer::Done => assert!(door::failures(&answer).is_empty(), "{name}: {answer}"),
            Answer::Says(None) => {}
            Answer::Says(Some(says)) => {
                assert_eq!(serde_json::from_str::<Value>(&answer).unwrap(), says, "{name}");
            }
        }
    }
}
