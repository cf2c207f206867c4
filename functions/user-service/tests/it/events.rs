use serde_json::{Value, json};
use test_support::door;

use crate::{PASSWORD, Shop, registration};

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_users_life_is_told_in_order_and_without_the_person() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    shop.change_me(&user.token, json!({"name": "Augusta King"})).await;
    shop.change_me(&user.token, json!({"email": "augusta.king@example.com", "current_password": PASSWORD}))
        .await;
    shop.change_role(user.user_id, "admin").await;
    shop.delete_me(&user.token).await;

    let events = shop.published().await;
    assert_eq!(
        types(&events),
        ["user_created", "user_updated", "user_updated", "user_updated", "user_deleted"]
    );
    let versions: Vec<u64> = events.iter().map(|event| event["data"]["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, [1, 2, 3, 4, 4]);
    for event in &events {
        assert_eq!(
            (&event["subject"], &event["source"]),
            (&json!(user.user_id.to_string()), &json!("/user-service"))
        );
        let data: Vec<&String> = event["data"].as_object().unwrap().keys().collect();
        assert_eq!(data, ["created_at", "role", "user_id", "version"]);
        let text = event.to_string().to_lowercase();
        // Nothing that an id could contain, which is hexadecimal.
        for personal in ["augusta", "king", "lovelace", "example.com", "argon2", "email"] {
            assert!(!text.contains(personal), "{personal} in {text}");
        }
    }
    assert_eq!(
        (&events[2]["data"]["role"], &events[3]["data"]["role"]),
        (&json!("customer"), &json!("admin"))
    );
    let attributes: Vec<_> =
        shop.topic.published().into_iter().filter_map(|published| published.event_type).collect();
    assert_eq!(attributes, types(&events));
}

#[tokio::test]
async fn an_event_carries_the_trace_of_the_request_that_caused_it() {
    let shop = Shop::open();
    let trace = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01";
    shop.call(registration("ada@example.com").header("traceparent", trace)).await;
    let user = shop.log_in("ada@example.com", PASSWORD).await.json();
    shop.change_me(user["access_token"].as_str().unwrap(), json!({"name": "Ada King"})).await;
    let events = shop.published().await;
    assert_eq!(types(&events), ["user_created", "user_updated"]);
    assert_eq!((&events[0]["traceparent"], events[1].get("traceparent")), (&json!(trace), None));
}

#[tokio::test]
async fn a_refused_request_causes_no_event() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    shop.call(registration("ada@example.com")).await;
    shop.change_me(&user.token, json!({"name": ""})).await;
    let delete = door::http_v2("DELETE", "/api/users/me").bearer(&user.token).header("if-match", "\"9\"");
    shop.call(delete).await;
    assert_eq!(types(&shop.published().await), ["user_created"]);
}

#[tokio::test]
async fn a_row_that_can_not_be_read_is_set_aside_whole_and_holds_nobody_up() {
    let shop = Shop::open();
    shop.register("ada@example.com").await;
    shop.register("eve@example.com").await;
    let mut records = shop.rows.new_stream_records();
    let poisoned =
        records.iter_mut().find(|record| !record["dynamodb"]["NewImage"]["email"].is_null()).unwrap();
    poisoned["dynamodb"]["NewImage"]["role"] = json!({"S": "root"});
    let poisoned = poisoned.clone();
    let answer = shop.invoke(door::stream(records)).await;
    assert!(door::failures(&answer).is_empty());
    assert_eq!(shop.topic.published().len(), 1);
    let set_aside = shop.topic.sent();
    assert_eq!(set_aside.len(), 1);
    assert_eq!(serde_json::from_str::<Value>(&set_aside[0].body).unwrap(), poisoned);
}

#[tokio::test]
async fn no_message_of_another_services_queue_is_acknowledged() {
    let shop = Shop::open();
    shop.register("ada@example.com").await;
    shop.published().await;
    let event = shop.topic.published().remove(0).message;
    for queue in ["dev-stock-requests", "dev-user-events", "elsewhere"] {
        let answer = shop.invoke(door::sqs(queue, [event.as_str(), "nonsense"])).await;
        let mut failed = door::failures(&answer);
        failed.sort_unstable();
        assert_eq!(failed, [door::message_id(0), door::message_id(1)]);
    }
}
