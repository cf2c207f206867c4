//! What customers and queues see of a table that is asked too much.

use futures_util::future::join_all;
use serde_json::json;
use test_support::{Line, door};

use crate::harness::{Shop, basket, order_placed, stock_rejected, stock_reserved, user_deleted};

#[tokio::test]
async fn a_throttled_table_makes_requests_wait_and_messages_come_again() {
    let line = Line::start();
    let shop = Shop::at_the_end_of(&line);
    let (customer, admin) = (shop.customer(), shop.admin());
    let order = shop.order(&customer, &basket()).await;
    line.throttle(true);
    let requests = [
        customer.places("another", &basket()),
        customer.gets("/api/orders"),
        customer.gets(&format!("/api/orders/{}", order["order_id"].as_str().unwrap())),
        customer.does("cancel", &order),
        admin.does("ship", &order),
        admin.does("deliver", &order),
    ];
    for answer in join_all(requests.map(|request| shop.send(request))).await {
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{}", answer.body);
        assert_eq!(answer.json()["type"], "urn:problem-type:shop:temporarily-unavailable");
    }
    let document = shop.send(door::http_v2("GET", "/api/orders/openapi.json")).await.json();
    let paths = document["paths"].as_object().unwrap().values();
    let operations: usize = paths.map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(operations, 6 + 3, "all of them, and those that need no table");

    let messages = [stock_reserved(&order), stock_rejected(&order)];
    assert_eq!(shop.deliver("order-processing", messages).await, [0, 1]);
    assert_eq!(shop.deliver("order-deadlines", [order_placed(&order)]).await, [0]);
    assert_eq!(shop.deliver("user-events", [user_deleted(&customer)]).await, [0]);
    let seconds: Vec<u64> = shop.topic.retried().iter().map(|retried| retried.seconds).collect();
    assert!(seconds.len() == 4 && seconds.iter().all(|seconds| (2..=7).contains(seconds)), "{seconds:?}");

    line.throttle(false);
    shop.takes("order-processing", stock_reserved(&order)).await;
    assert_eq!(json!(shop.status(&order).await), "CONFIRMED");
}
