//! What services tell each other, and what they keep to themselves.

use access_token::Role;
use domain_events::{Event, Received};
use serde_json::json;
use test_support::door::http_v2;
use uuid::Uuid;

use crate::shop::{Delivery, Shop, id};

const EMAIL: &str = "margaret.hamilton@example.com";
const NAME: &str = "Margaret Hamilton";
const STREET: &str = "77 Massachusetts Avenue";

/// Registers, logs in, and places an order with an address.
async fn a_person_with_an_order(shop: &Shop, product: Uuid) -> (String, Uuid) {
    let credentials = json!({ "email": EMAIL, "password": "a long enough password", "name": NAME });
    let path = "/api/users";
    let answer = shop.call("", http_v2("POST", path).json(&credentials), path).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let token = shop.token(id(&answer.json()["user_id"]), Role::Customer);
    let order = json!({
        "items": [{ "product_id": product, "quantity": 1 }],
        "shipping_address": {
            "name": NAME, "line1": STREET, "postal_code": "02139", "city": "Cambridge", "country": "US",
        },
    });
    let path = "/api/orders";
    let request = http_v2("POST", path).header("idempotency-key", "first").json(&order);
    let answer = shop.call(&token, request, path).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    (token, id(&answer.json()["order_id"]))
}

#[tokio::test]
async fn a_deleted_user_leaves_no_open_order_and_no_personal_data() {
    let shop = Shop::open();
    let product = shop.new_product(5).await;
    let (token, order) = a_person_with_an_order(&shop, product).await;
    shop.drain(Delivery::Orderly).await;
    assert_eq!(shop.status(order).await, "CONFIRMED");
    let path = "/api/users/me";
    assert_eq!(shop.call(&token, http_v2("DELETE", path), path).await.status, 204);
    let delivered = shop.drain(Delivery::Chaotic { seed: 7, copies: 3 }).await;
    shop.repeat(delivered);
    shop.drain(Delivery::Orderly).await;
    let order = shop.order(order).await;
    assert_eq!(order["status"], "CANCELLED");
    assert_eq!(shop.stock(product).await, 5, "the stock is back");
    for secret in [EMAIL, NAME, STREET] {
        assert!(!shop.everything_stored().await.contains(secret), "{secret} is still stored");
        assert!(!shop.published().iter().any(|event| event.contains(secret)), "{secret} was published");
    }
}

#[tokio::test]
async fn every_change_of_an_entity_is_published_once_and_in_the_order_of_its_versions() {
    let shop = Shop::open();
    let product = shop.new_product(5).await;
    let (token, order) = a_person_with_an_order(&shop, product).await;
    shop.drain(Delivery::Orderly).await;
    assert_eq!(shop.cancel(&token, order).await, 200);
    shop.drain(Delivery::Orderly).await;
    let mut types = Vec::new();
    let mut ids = Vec::new();
    for event in shop.published() {
        let Received::Known(event) = Event::parse(&event).unwrap() else { panic!("unknown: {event}") };
        if event.subject == order.to_string() && event.source == "/order-service" {
            types.push(event.payload.event_type());
        }
        ids.push(event.id);
    }
    assert_eq!(types, ["order_placed", "order_confirmed", "order_cancelled"]);
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "ids are unique");
}
