use std::collections::BTreeSet;

use access_token::Role;
use serde_json::Value;
use test_support::{
    door::{self, HttpAnswer},
    samples,
};
use uuid::Uuid;

use crate::harness::Shop;

/// Whose orders the samples are about.
const CUSTOMER: &str = "0198b2c4-7d1e-7a3b-9c55-0d2f6a1b8e01";

/// The samples in the sequence of one order's life, and how each is answered: a status for a request, `None` for a batch
/// that is done as a whole.
const STORY: [(&str, Option<u16>); 13] = [
    ("health-ready", Some(200)),
    ("load-balancer-health-check", Some(200)),
    ("place-order", Some(201)),
    ("stock-reserved", None),
    ("read-order", Some(200)),
    ("list-orders", Some(200)),
    ("ship-order", Some(200)),
    ("deliver-order", Some(200)),
    ("cancel-order", Some(409)),
    // What comes late is done without an effect.
    ("stock-rejected", None),
    ("order-deadline", None),
    ("user-deleted", None),
    ("order-changes", None),
];

#[test]
fn every_sample_has_its_place_in_the_story() {
    let told: BTreeSet<&str> = STORY.iter().map(|(name, _)| *name).collect();
    assert!(samples("order-service").keys().map(String::as_str).eq(told));
}

#[tokio::test]
async fn every_sample_event_is_handled() {
    let shop = Shop::open();
    let issue = |user_id: Uuid, role| shop.tokens.issue(user_id, role).unwrap().token;
    let customer = issue(CUSTOMER.parse().unwrap(), Role::Customer);
    let admin = issue(Uuid::now_v7(), Role::Admin);
    let samples = samples("order-service");
    for (name, expected) in STORY {
        let mut event: Value = serde_json::from_str(&samples[name]).unwrap();
        if let Some(authorization) = event["headers"].get_mut("authorization") {
            let token = if matches!(name, "ship-order" | "deliver-order") { &admin } else { &customer };
            *authorization = format!("Bearer {token}").into();
        }
        let answer = shop.handle(event.to_string()).await;
        match expected {
            Some(status) => assert_eq!(HttpAnswer::parse(&answer).status, status, "{name}: {answer}"),
            None => assert!(door::failures(&answer).is_empty(), "{name}: {answer}"),
        }
    }
    let types: Vec<Option<String>> =
        shop.topic.published().into_iter().map(|event| event.event_type).collect();
    assert_eq!(types, ["order_placed", "order_confirmed"].map(|name| Some(name.to_owned())));
    assert!(shop.topic.sent().is_empty());
}

/// As `cargo lambda invoke` sends them: nobody has signed a token for a file.
#[tokio::test]
async fn a_sample_request_without_a_real_token_is_refused() {
    let shop = Shop::open();
    for (name, sample) in samples("order-service") {
        let event: Value = serde_json::from_str(&sample).unwrap();
        if event["headers"].get("authorization").is_some() {
            let answer = HttpAnswer::parse(&shop.handle(event.to_string()).await);
            assert_eq!(answer.status, 401, "{name}");
        }
    }
}
