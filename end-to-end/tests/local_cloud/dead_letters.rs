//! One bad record harms no other and ends where an operator finds it.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use uuid::Uuid;

use crate::{
    client::{Client, eventually},
    cloud,
};

/// Reads a queue until the message with the mark is among what came out of it.
fn dead_letter(queue: &str, mark: &str) -> String {
    eventually("the message is in the dead-letter queue", || {
        cloud::receive_messages(queue).into_iter().find(|body| body.contains(mark))
    })
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_poisoned_message_ends_whole_in_the_dead_letter_queue_and_delays_nobody() {
    let (admin, customer) = (Client::admin(), Client::customer());
    let product = admin.new_product(5);
    for queue in ["stock-requests", "order-processing", "user-events"] {
        let mark = Uuid::now_v7().to_string();
        // Of a type that the queue's filter lets pass, and of no shape that any event has.
        let poison = format!(r#"{{"specversion":"1.0","type":"user_deleted","poison":"{mark}"}}"#);
        cloud::send_message(queue, &poison);
        assert_eq!(customer.settled(&customer.order(&product, 1))["status"], "CONFIRMED");
        assert_eq!(dead_letter(&format!("{queue}-dlq"), &mark), poison);
    }
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_row_that_cannot_become_an_event_is_set_aside_and_the_stream_goes_on() {
    let (admin, customer) = (Client::admin(), Client::customer());
    let mark = Uuid::now_v7().to_string();
    let text = |value: &str| AttributeValue::S(value.to_owned());
    // A reservation by its looks: a product would be in the way of those who look at all products.
    let row = [("product_id", text(&format!("reservation#{mark}"))), ("state", text("odd"))];
    let row: HashMap<_, _> = row.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    cloud::put_row("products", row);
    let product = admin.new_product(5);
    assert_eq!(customer.settled(&customer.order(&product, 1))["status"], "CONFIRMED");
    let record = dead_letter("products-stream-dlq", &mark);
    assert!(record.contains("odd"), "{record}");
}
