use serde_json::{Value, json};
use test_support::door;

use crate::harness::{Shop, basket, id, order_placed, stock_rejected, user_deleted};

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_status_that_an_order_gets_is_one_event() {
    let shop = Shop::open();
    let (customer, admin) = (shop.customer(), shop.admin());
    let delivered = shop.confirmed_order(&customer).await;
    shop.send(admin.does("ship", &delivered)).await;
    shop.send(admin.does("deliver", &delivered)).await;
    assert_eq!(
        types(&shop.publish().await),
        ["order_placed", "order_confirmed", "order_shipped", "order_delivered"]
    );
    let cancelled = shop.order(&customer, &basket()).await;
    shop.send(customer.does("cancel", &cancelled)).await;
    shop.send(customer.does("cancel", &cancelled)).await;
    assert_eq!(types(&shop.publish().await), ["order_placed", "order_cancelled"]);
    let rejected = shop.order(&customer, &basket()).await;
    shop.takes("order-processing", stock_rejected(&rejected)).await;
    shop.takes("order-deadlines", order_placed(&rejected)).await;
    assert_eq!(types(&shop.publish().await), ["order_placed", "order_rejected"]);
}

#[tokio::test]
async fn an_event_says_what_others_need_and_nothing_personal() {
    let shop = Shop::open();
    let customer = shop.customer();
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let order = shop.send(customer.places("key", &basket()).header("traceparent", traceparent)).await.json();
    shop.send(customer.does("cancel", &order)).await;
    let events = shop.publish().await;
    let (placed, cancelled) = (&events[0], &events[1]);
    assert_eq!(placed["source"], "/order-service");
    assert_eq!(placed["subject"], order["order_id"]);
    assert_eq!(placed["time"], order["created_at"]);
    assert_eq!(placed["traceparent"], traceparent);
    assert_eq!(
        placed["data"],
        json!({
            "order_id": order["order_id"],
            "user_id": customer.id,
            "items": order["items"],
            "version": 1,
            "created_at": order["created_at"],
        })
    );
    assert_eq!(cancelled["data"]["reason"], "cancelled_by_customer");
    assert_eq!(cancelled["data"]["version"], 2);
    for text in ["Ada", "James", "SW1Y", "London", "address"] {
        assert!(!placed.to_string().contains(text) && !cancelled.to_string().contains(text), "{text}");
    }
    let attributes: Vec<Option<String>> =
        shop.topic.published().into_iter().map(|event| event.event_type).collect();
    assert_eq!(attributes, [Some("order_placed".to_owned()), Some("order_cancelled".to_owned())]);
}

#[tokio::test]
async fn a_confirmation_carries_prices_total_and_the_trace_of_what_caused_it() {
    let shop = Shop::open();
    shop.confirmed_order(&shop.customer()).await;
    let events = shop.publish().await;
    assert_eq!(events[1]["data"]["total"], json!({"amount": 5000, "currency": "EUR"}));
    assert_eq!(events[1]["data"]["items"][0]["unit_price"], json!({"amount": 1000, "currency": "EUR"}));
    assert_eq!(events[1]["traceparent"], "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01");
}

#[tokio::test]
async fn what_changes_no_status_is_no_event() {
    let shop = Shop::open();
    let customer = shop.customer();
    let rejected = shop.order(&customer, &basket()).await;
    shop.takes("order-processing", stock_rejected(&rejected)).await;
    shop.publish().await;
    // Removes the address of a closed order, and writes the tombstone.
    shop.takes("user-events", user_deleted(&customer)).await;
    assert!(shop.publish().await.is_empty());
}

#[tokio::test]
async fn a_poisoned_record_is_set_aside_whole_and_the_other_nine_are_published() {
    let shop = Shop::open();
    let customer = shop.customer();
    for _ in 0..10 {
        shop.order(&customer, &basket()).await;
    }
    let mut records = shop.table.new_stream_records();
    records[4]["dynamodb"]["NewImage"]["status"] = json!({"S": "LOST"});
    let poisoned = records[4].clone();
    let answer = shop.handle(door::stream(records)).await;
    assert!(door::failures(&answer).is_empty());
    assert_eq!(shop.topic.published().len(), 9);
    let set_aside = shop.topic.sent();
    assert_eq!(set_aside.len(), 1);
    assert_eq!(serde_json::from_str::<Value>(&set_aside[0].body).unwrap(), poisoned);
}

#[tokio::test]
async fn an_entry_that_the_topic_did_not_take_is_published_after_all() {
    let shop = Shop::open();
    let customer = shop.customer();
    let mut orders = Vec::new();
    for _ in 0..12 {
        orders.push(shop.order(&customer, &basket()).await);
    }
    let records = shop.table.new_stream_records();
    let unlucky = id(&orders[3]).to_owned();
    shop.topic.fail_entries(1, move |message| message.contains(&unlucky), false);
    let answer = shop.handle(door::stream(records)).await;
    assert!(door::failures(&answer).is_empty());
    let published = shop.topic.published();
    for order in &orders {
        assert!(published.iter().any(|event| event.message.contains(id(order))));
    }
}
