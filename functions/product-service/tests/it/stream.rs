//! Changes of the table become events on the topic.

use std::collections::BTreeSet;

use domain_events::{Event, Payload};
use serde_json::{Value, json};
use test_support::door;
use uuid::Uuid;

use crate::{Shop, TRACEPARENT, cancelled, mug, path, placed, types};

#[tokio::test]
async fn the_life_of_a_product_is_published_in_order() {
    let shop = Shop::open();
    let post = door::http_v2("POST", "/api/products").json(&mug(3)).header("traceparent", TRACEPARENT);
    let id: Uuid = shop.admin(post).await.json()["product_id"].as_str().unwrap().parse().unwrap();
    shop.admin(door::http_v2("PATCH", &path(id)).json(&json!({"name": "Cup"}))).await;
    shop.admin(door::http_v2("POST", &format!("{}/stock", path(id))).json(&json!({"change": -1}))).await;
    shop.admin(door::http_v2("DELETE", &path(id))).await;
    let events = shop.publish().await;
    assert_eq!(types(&events), ["product_created", "product_updated", "product_updated", "product_deleted"]);
    assert!(events.iter().all(|event| event.subject == id.to_string() && event.source == "/product-service"));
    let traces: Vec<_> = events.iter().map(|event| event.traceparent.as_deref()).collect();
    assert_eq!(traces, [Some(TRACEPARENT), None, None, None], "each the trace of its own cause");
    let products: Vec<_> = events
        .into_iter()
        .map(|event| match event.payload {
            Payload::ProductCreated(product)
            | Payload::ProductUpdated(product)
            | Payload::ProductDeleted(product) => (product.version, product.name, product.stock),
            other => panic!("unexpected: {other:?}"),
        })
        .collect();
    let expected = [(1, "Mug", 3), (2, "Cup", 3), (3, "Cup", 2), (3, "Cup", 2)];
    assert_eq!(products, expected.map(|(version, name, stock)| (version, name.to_owned(), stock)));
}

#[tokio::test]
async fn the_life_of_a_reservation_is_published_with_its_prices() {
    let shop = Shop::open();
    let (product, order, hopeless) = (shop.product(3).await, Uuid::now_v7(), Uuid::now_v7());
    shop.publish().await;
    shop.deliver([placed(order, &[(product, 2)])]).await;
    shop.deliver([placed(hopeless, &[(product, 2)])]).await;
    shop.deliver([cancelled(order)]).await;
    let events = shop.publish().await;
    let of =
        |id: Uuid| -> Vec<&Event> { events.iter().filter(|event| event.subject == id.to_string()).collect() };

    let [reserved, released] = of(order)[..] else { panic!("{events:?}") };
    assert_eq!(reserved.traceparent.as_deref(), Some(TRACEPARENT));
    let (Payload::StockReserved(reserved), Payload::StockReleased(released)) =
        (&reserved.payload, &released.payload)
    else {
        panic!("{events:?}")
    };
    assert_eq!((reserved.version, released.version, &reserved.lines), (1, 2, &released.lines));
    assert_eq!((reserved.lines[0].quantity, reserved.lines[0].unit_price.unwrap().amount), (2, 500));

    let [Event { payload: Payload::StockRejected(rejected), .. }] = of(hopeless)[..] else {
        panic!("{events:?}")
    };
    assert_eq!((rejected.reason.as_deref(), rejected.lines.len()), (Some("out_of_stock"), 1));

    let stock: Vec<u32> = of(product)
        .iter()
        .map(|event| match &event.payload {
            Payload::ProductUpdated(product) => product.stock,
            other => panic!("unexpected: {other:?}"),
        })
        .collect();
    assert_eq!(stock, [1, 3]);
}

#[tokio::test]
async fn the_end_of_a_reservations_time_to_live_is_no_event() {
    let shop = Shop::open();
    shop.deliver([placed(Uuid::now_v7(), &[(Uuid::now_v7(), 1)])]).await;
    let mut record = shop.table.new_stream_records().remove(0);
    record["eventName"] = "REMOVE".into();
    record["dynamodb"]["OldImage"] = record["dynamodb"]["NewImage"].take();
    record["dynamodb"].as_object_mut().unwrap().remove("NewImage");
    assert_eq!(door::failures(&shop.send(door::stream([record])).await), [""; 0]);
    assert!(shop.published().is_empty() && shop.topic.sent().is_empty());
}

/// Fifteen products, and the records of their creation.
async fn fifteen() -> (Shop, Vec<Value>) {
    let shop = Shop::open();
    for _ in 0..15 {
        shop.product(1).await;
    }
    let records = shop.table.new_stream_records();
    assert_eq!(records.len(), 15);
    (shop, records)
}

fn id_of(record: &Value) -> String {
    record["dynamodb"]["Keys"]["product_id"]["S"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_the_topic_did_not_take_is_tried_again_and_nothing_is_lost() {
    let (shop, records) = fifteen().await;
    let refused = [2, 11].map(|position: usize| id_of(&records[position]));
    shop.topic.fail_entries(3, move |message| refused.iter().any(|id| message.contains(id)), false);
    assert_eq!(door::failures(&shop.send(door::stream(records.clone())).await), [""; 0]);

    let expected: BTreeSet<&str> = records.iter().map(|record| record["eventID"].as_str().unwrap()).collect();
    let events = shop.published();
    let published: BTreeSet<&str> = events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(published, expected, "repetitions have the same ids");
}

#[tokio::test]
async fn a_topic_that_is_away_for_a_moment_loses_nothing() {
    let (shop, records) = fifteen().await;
    // One operation, with all the tries of the SDK.
    shop.topic.fail_calls(3);
    assert_eq!(door::failures(&shop.send(door::stream(records)).await), [""; 0]);
    assert_eq!(shop.published().len(), 15);
}

#[tokio::test]
async fn a_record_that_means_nothing_is_set_aside_whole_and_the_rest_published() {
    let (shop, mut records) = fifteen().await;
    let image = records[1]["dynamodb"]["NewImage"].as_object_mut().unwrap();
    image.remove("name");
    records[7]["dynamodb"]["NewImage"]["price"] = json!({"S": "cheap"});
    assert_eq!(door::failures(&shop.send(door::stream(records.clone())).await), [""; 0]);
    assert_eq!(shop.published().len(), 13);
    let aside = shop.topic.sent();
    let whole: Vec<Value> = aside.iter().map(|sent| serde_json::from_str(&sent.body).unwrap()).collect();
    assert_eq!(whole, [records[1].clone(), records[7].clone()]);
    assert!(aside[0].queue_url.ends_with("/dev-products-stream-dlq"));
    assert!(aside.iter().all(|sent| !sent.attributes["reason"].is_empty()));
}

#[tokio::test]
async fn descriptions_stay_out_of_events() {
    let shop = Shop::open();
    let mut body = mug(1);
    body["description"] = "a long text that nobody downstream needs".into();
    shop.create(body).await;
    shop.publish().await;
    assert!(!shop.topic.published()[0].message.contains("long text"));
}
