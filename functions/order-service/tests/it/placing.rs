use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use test_support::door;
use uuid::Uuid;

use crate::harness::{Shop, basket, id};

#[tokio::test]
async fn an_order_is_placed_and_waits_for_its_stock() {
    let shop = Shop::open();
    let customer = shop.customer();
    let answer = shop.send(customer.places("key", &basket())).await;
    let order = answer.json();
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("location"), Some(format!("/api/orders/{}", id(&order)).as_str()));
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("idempotency-replayed"), None);
    assert_eq!(
        order,
        json!({
            "order_id": order["order_id"],
            "user_id": customer.id,
            "status": "PENDING",
            "items": basket()["items"],
            "shipping_address": basket()["shipping_address"],
            "history": [{"status": "PENDING", "at": order["created_at"]}],
            "version": 1,
            "created_at": order["created_at"],
            "updated_at": order["created_at"],
        })
    );
    assert_eq!(shop.send(customer.gets(&format!("/api/orders/{}", id(&order)))).await.json(), order);
}

#[tokio::test]
async fn an_address_is_optional_and_its_texts_are_trimmed() {
    let shop = Shop::open();
    let customer = shop.customer();
    let mut body = basket();
    body["shipping_address"]["name"] = json!("  Ada Lovelace ");
    let order = shop.order(&customer, &body).await;
    assert_eq!(order["shipping_address"]["name"], "Ada Lovelace");
    body["shipping_address"] = Value::Null;
    assert_eq!(shop.order(&customer, &body).await.get("shipping_address"), None);
}

#[tokio::test]
async fn the_same_key_20_times_at_once_is_one_order() {
    let shop = Shop::open();
    let customer = shop.customer();
    let body = basket();
    let answers = join_all((0..20).map(|_| shop.send(customer.places("key", &body)))).await;
    assert!(answers.iter().all(|answer| answer.status == 201));
    let ids: HashSet<String> = answers.iter().map(|answer| id(&answer.json()).to_owned()).collect();
    assert_eq!(ids.len(), 1);
    let first = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_none());
    assert_eq!(first.count(), 1);
    assert_eq!(shop.db_rows().await.len(), 1);
    assert_eq!(shop.publish().await.len(), 1);
}

#[tokio::test]
async fn a_repetition_is_answered_with_the_order_as_it_is_by_then() {
    let shop = Shop::open();
    let customer = shop.customer();
    let order = shop.send(customer.places("key", &basket())).await.json();
    assert_eq!(shop.send(customer.does("cancel", &order)).await.status, 200);
    // The same values, written differently.
    let mut body = basket();
    body["shipping_address"]["city"] = json!(" London ");
    body["shipping_address"]["line2"] = Value::Null;
    let answer = shop.send(customer.places("key", &body)).await;
    assert_eq!((answer.status, answer.header("idempotency-replayed")), (201, Some("true")));
    assert_eq!(answer.header("etag"), Some("\"2\""));
    assert_eq!(answer.json()["status"], "CANCELLED");
    assert_eq!(answer.json()["order_id"], order["order_id"]);
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    let shop = Shop::open();
    let customer = shop.customer();
    let order = shop.send(customer.places("key", &basket())).await.json();
    let (mut other_quantity, mut other_address, mut no_address) = (basket(), basket(), basket());
    other_quantity["items"][0]["quantity"] = json!(7);
    other_address["shipping_address"]["line1"] = json!("13 St James's Square");
    no_address.as_object_mut().unwrap().remove("shipping_address");
    for body in [other_quantity, other_address, no_address] {
        let answer = shop.send(customer.places("key", &body)).await;
        assert_eq!(answer.status, 422, "{body}");
        assert_eq!(answer.json()["type"], "urn:problem-type:shop:idempotency-key-reused");
    }
    assert_eq!(shop.db_row(id(&order)).await.unwrap()["version"], 1);
}

#[tokio::test]
async fn the_keys_of_two_users_do_not_meet() {
    let shop = Shop::open();
    let first = shop.send(shop.customer().places("key", &basket())).await;
    let second = shop.send(shop.customer().places("key", &basket())).await;
    assert_eq!((first.status, second.status), (201, 201));
    assert_ne!(first.json()["order_id"], second.json()["order_id"]);
    assert_eq!(second.header("idempotency-replayed"), None);
}

#[tokio::test]
async fn a_key_is_required_and_visible_ascii() {
    let shop = Shop::open();
    let customer = shop.customer();
    let without = door::http_v2("POST", "/api/orders").bearer(&customer.token).json(&basket());
    let long = "k".repeat(256);
    let wrong = ["", "a key", "kéy", long.as_str()].map(|key| customer.places(key, &basket()));
    for request in wrong.into_iter().chain([without]) {
        let answer = shop.send(request).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert_eq!(answer.json()["errors"][0]["pointer"], "/Idempotency-Key");
    }
    assert!(shop.db_rows().await.is_empty());
}

async fn pointers_of(shop: &Shop, body: &Value) -> Vec<String> {
    let answer = shop.send(shop.customer().places("key", body)).await;
    assert_eq!(answer.status, 400, "{body}: {}", answer.body);
    let problem = answer.json();
    let pointer = |error: &Value| error["pointer"].as_str().unwrap().to_owned();
    let mut pointers: Vec<String> = problem["errors"].as_array().unwrap().iter().map(pointer).collect();
    pointers.sort();
    pointers
}

#[tokio::test]
async fn what_a_client_is_not_entitled_to_set_is_refused() {
    let shop = Shop::open();
    for field in ["status", "user_id", "total", "order_id", "version", "created_at", "reason", "history"] {
        let mut body = basket();
        body[field] = json!("CONFIRMED");
        assert_eq!(pointers_of(&shop, &body).await, [format!("/{field}")]);
    }
    let mut body = basket();
    body["items"][1]["unit_price"] = json!({"amount": 1, "currency": "EUR"});
    body["items"][0]["price"] = json!(1);
    assert_eq!(pointers_of(&shop, &body).await, ["/items/0/price", "/items/1/unit_price"]);
    assert!(shop.db_rows().await.is_empty());
}

#[tokio::test]
async fn every_wrong_value_is_named() {
    let shop = Shop::open();
    let line = |quantity: Value| json!({"product_id": Uuid::now_v7(), "quantity": quantity});
    for quantity in [json!(0), json!(-1), json!(1001), json!(1.5), json!("2"), json!(null), json!(1e30)] {
        let body = json!({"items": [line(json!(1)), line(quantity)]});
        assert_eq!(pointers_of(&shop, &body).await, ["/items/1/quantity"], "{body}");
    }
    let items = |number: usize| json!({"items": (0..number).map(|_| line(json!(1))).collect::<Vec<_>>()});
    assert_eq!(pointers_of(&shop, &items(0)).await, ["/items"]);
    assert_eq!(pointers_of(&shop, &items(51)).await, ["/items"]);
    shop.order(&shop.customer(), &items(50)).await;
    assert_eq!(pointers_of(&shop, &json!({})).await, ["/items"]);

    let address =
        json!({"name": " ", "line1": "a\nb", "postal_code": "x".repeat(17), "country": "XX", "email": "a@b"});
    let body = json!({"items": [{"product_id": "7", "quantity": 1}], "shipping_address": address});
    assert_eq!(
        pointers_of(&shop, &body).await,
        [
            "/items/0/product_id",
            "/shipping_address/city",
            "/shipping_address/country",
            "/shipping_address/email",
            "/shipping_address/line1",
            "/shipping_address/name",
            "/shipping_address/postal_code",
        ]
    );
}

#[tokio::test]
async fn no_product_stands_in_two_lines() {
    let shop = Shop::open();
    let (once, twice) = (Uuid::now_v7(), Uuid::now_v7());
    let products = [twice.to_string(), once.to_string(), twice.to_string().to_uppercase()];
    let items = products.map(|product| json!({"product_id": product, "quantity": 1}));
    assert_eq!(pointers_of(&shop, &json!({"items": items})).await, ["/items/2/product_id"]);
}

#[tokio::test]
async fn what_is_no_acceptable_body_is_refused() {
    let shop = Shop::open();
    let customer = shop.customer();
    let request =
        |content_type: &str, body: String| customer.places("key", &json!({})).body(content_type, body);
    let large = format!("{}{}", basket(), " ".repeat(65 * 1024));
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for (content_type, body, status) in [
        ("application/json", large, 413),
        ("application/json", deep, 400),
        ("application/json", "{".to_owned(), 400),
        ("text/plain", basket().to_string(), 415),
    ] {
        assert_eq!(shop.send(request(content_type, body)).await.status, status);
    }
    assert!(shop.db_rows().await.is_empty());
}
