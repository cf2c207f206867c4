//! What clients and queues see of a table that is asked too much.

use access_token::Role;
use futures_util::future::join_all;
use serde_json::json;
use test_support::{Line, door};
use uuid::Uuid;

use crate::{ALL_DONE, Shop, cancelled, mug, path, placed};

#[tokio::test]
async fn a_throttled_table_makes_requests_wait_and_messages_come_again() {
    let line = Line::start();
    let shop = Shop::at_the_end_of(&line);
    let (product, admin, order) = (shop.product(5).await, shop.token(Role::Admin), Uuid::now_v7());
    line.throttle(true);
    let mut whole = mug(1);
    whole.as_object_mut().unwrap().remove("stock");
    let (path, image) = (path(product), format!("{}/images/{}", path(product), Uuid::now_v7()));
    let requests = [
        door::http_v2("GET", "/api/products"),
        door::http_v2("POST", "/api/products").json(&mug(1)),
        door::http_v2("GET", &path),
        door::http_v2("PUT", &path).json(&whole),
        door::http_v2("PATCH", &path).json(&json!({ "name": "Cup" })),
        door::http_v2("DELETE", &path),
        door::http_v2("POST", &format!("{path}/stock")).json(&json!({ "change": 1 })),
        Shop::asking(product),
        door::http_v2("GET", &format!("{image}/upload")),
        door::http_v2("DELETE", &image),
    ];
    for answer in join_all(requests.map(|request| shop.http(request.bearer(&admin)))).await {
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{}", answer.body);
        assert_eq!(answer.json()["type"], "urn:problem-type:shop:temporarily-unavailable");
    }
    let document = shop.http(door::http_v2("GET", "/api/products/openapi.json")).await.json();
    let paths = document["paths"].as_object().unwrap().values();
    let operations: usize = paths.map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(operations, 10 + 3, "all of them, and those that need no table");

    assert_eq!(shop.deliver([placed(order, &[(product, 1)]), cancelled(Uuid::now_v7())]).await, [0, 1]);
    let seconds: Vec<u64> = shop.topic.retried().iter().map(|retried| retried.seconds).collect();
    assert!(seconds.len() == 2 && seconds.iter().all(|seconds| (2..=7).contains(seconds)), "{seconds:?}");

    line.throttle(false);
    assert_eq!(shop.deliver([placed(order, &[(product, 1)])]).await, ALL_DONE);
    assert_eq!(shop.stock(product).await, 4);
}
