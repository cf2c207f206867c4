//! Changes of the stock that their clients can repeat.

use access_token::Role;
use futures_util::future::join_all;
use serde_json::json;
use test_support::door::{self, HttpAnswer};
use uuid::Uuid;

use crate::{Shop, path, types};

/// Changes the stock of a product under a key, as the admin whose token it is.
async fn change(shop: &Shop, token: &str, id: Uuid, key: &str, units: i64) -> HttpAnswer {
    let request = door::http_v2("POST", &format!("{}/stock", path(id))).header("idempotency-key", key);
    shop.http(request.bearer(token).json(&json!({ "change": units }))).await
}

fn replayed(answer: &HttpAnswer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

#[tokio::test]
async fn the_same_change_under_the_same_key_happens_once() {
    let shop = Shop::open();
    let (id, admin) = (shop.product(5).await, shop.token(Role::Admin));
    let first = change(&shop, &admin, id, "delivery", 3).await;
    assert_eq!((first.status, &first.json()["stock"], replayed(&first)), (200, &json!(8), false));
    change(&shop, &admin, id, "theft", -8).await;
    let again = change(&shop, &admin, id, "delivery", 3).await;
    assert_eq!((again.status, again.header("etag"), &again.json()["stock"]), (200, Some("\"3\""), &json!(0)));
    assert!(replayed(&again), "as it is by now");
    // Not even that it could not be done again stands in the way.
    let taken = change(&shop, &admin, id, "theft", -8).await;
    assert_eq!((taken.status, replayed(&taken)), (200, true));
    assert_eq!(types(&shop.publish().await), ["product_created", "product_updated", "product_updated"]);
}

#[tokio::test]
async fn many_repetitions_at_once_happen_once() {
    let shop = Shop::open();
    let (id, admin) = (shop.product(5).await, shop.token(Role::Admin));
    let answers = join_all((0..8).map(|_| change(&shop, &admin, id, "delivery", 3))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(answers.iter().filter(|answer| !replayed(answer)).count(), 1);
    assert_eq!(shop.stock(id).await, 8);
}

#[tokio::test]
async fn a_key_stands_for_one_change_of_one_product_by_one_admin() {
    let shop = Shop::open();
    let (id, other, admin) = (shop.product(5).await, shop.product(5).await, shop.token(Role::Admin));
    assert_eq!(change(&shop, &admin, id, "key", 3).await.json()["stock"], 8);
    let reused = change(&shop, &admin, id, "key", 4).await;
    assert_eq!(
        (reused.status, reused.json()["type"].as_str()),
        (422, Some("urn:problem-type:shop:idempotency-key-reused"))
    );
    assert_eq!(change(&shop, &admin, other, "key", 4).await.json()["stock"], 9);
    assert_eq!(change(&shop, &shop.token(Role::Admin), id, "key", 4).await.json()["stock"], 12);
    assert_eq!(change(&shop, &admin, id, "another-key", 3).await.json()["stock"], 15);
    assert_eq!(
        change(&shop, &admin, id, "a key", 3).await.json()["errors"][0]["pointer"],
        "/Idempotency-Key"
    );
}

#[tokio::test]
async fn what_was_refused_can_be_asked_for_again_under_its_key() {
    let shop = Shop::open();
    let (id, admin) = (shop.product(2).await, shop.token(Role::Admin));
    assert_eq!(change(&shop, &admin, id, "take", -3).await.status, 409);
    change(&shop, &admin, id, "bring", 1).await;
    let taken = change(&shop, &admin, id, "take", -3).await;
    assert_eq!((taken.status, &taken.json()["stock"], replayed(&taken)), (200, &json!(0), false));
    assert_eq!(change(&shop, &admin, Uuid::now_v7(), "take", -3).await.status, 404);
}

#[tokio::test]
async fn a_repetition_is_known_also_by_the_version_that_it_named() {
    let shop = Shop::open();
    let (id, admin) = (shop.product(5).await, shop.token(Role::Admin));
    let change = |key: &'static str| {
        let request = door::http_v2("POST", &format!("{}/stock", path(id))).header("if-match", "\"1\"");
        shop.http(request.header("idempotency-key", key).bearer(&admin).json(&json!({"change": 1})))
    };
    assert_eq!(change("one").await.json()["version"], 2);
    assert_eq!(change("one").await.json()["version"], 2);
    assert_eq!((change("other").await.status, shop.stock(id).await), (412, 6));
}
