//! Bodies of requests that place orders.

use std::cell::RefCell;

use access_token::Role;
use order_service::OrderService;
use serde_json::Value;
use test_support::door;
use uuid::Uuid;

use crate::services::{CUSTOMER, Shop, open_orders};

/// A body is refused as the client's fault, or the order has the lines that it says and is placed once.
pub fn check(input: &[u8]) {
    thread_local!(static SHOP: RefCell<Option<Shop<OrderService>>> = const { RefCell::new(None) });
    SHOP.with_borrow_mut(|shop| place(Shop::recent(shop, open_orders), input));
}

fn place(shop: &Shop<OrderService>, body: &[u8]) {
    let token = shop.token(CUSTOMER.parse().expect("an id"), Role::Customer);
    let request = door::http_v2("POST", "/api/orders")
        .bearer(&token)
        .header("idempotency-key", Uuid::now_v7().to_string())
        .bytes("application/json", body);
    let answer = shop.send(&request);
    if answer.status != 201 {
        assert!([400, 413, 422].contains(&answer.status), "{} {}", answer.status, answer.body);
        return;
    }
    let wanted: Value = serde_json::from_slice(body).expect("what was accepted is JSON");
    let order = answer.json();
    assert_eq!(lines(&order["items"]), lines(&wanted["items"]), "{order}");

    let again = shop.send(&request);
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, Some("true")), "{}", again.body);
    assert_eq!(again.json(), order);
    let path = format!("/api/orders/{}", order["order_id"].as_str().unwrap_or_default());
    assert_eq!(shop.send(&door::http_v2("GET", &path).bearer(&token)).json(), order);
}

/// Product and quantity of each line, in one order.
fn lines(items: &Value) -> Vec<(Option<Uuid>, Option<f64>)> {
    let items = items.as_array().into_iter().flatten();
    let line = |line: &Value| {
        (line["product_id"].as_str().and_then(|id| id.parse().ok()), line["quantity"].as_f64())
    };
    let mut lines: Vec<_> = items.map(line).collect();
    lines.sort_by_key(|(product, _)| *product);
    lines
}
