use access_token::{AccessTokens, Claims, Role};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;
use test_support::door;
use uuid::Uuid;

use crate::harness::{Shop, basket, id, secret};

fn seconds_from_now(seconds: i64) -> u64 {
    (domain_events::Timestamp::now().as_seconds() + seconds).try_into().unwrap()
}

#[tokio::test]
async fn nobody_gets_in_without_a_valid_token() {
    let shop = Shop::open();
    let user = shop.customer();
    let order = shop.order(&user, &basket()).await;
    let claims = |issued_at| Claims::new(user.id, Role::Customer, issued_at);
    let expired = shop.tokens.sign(&claims(seconds_from_now(-3600))).unwrap();
    let not_yet_valid = shop.tokens.sign(&claims(seconds_from_now(3600))).unwrap();
    let other_key = AccessTokens::new(secret("another secret of thirty-two bytes"));
    let wrong_key = other_key.issue(user.id, Role::Admin).unwrap().token;
    let parts: Vec<&str> = user.token.split('.').collect();
    let admins_claims = Claims { role: Role::Admin, ..claims(seconds_from_now(0)) };
    let payload = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&admins_claims).unwrap());
    let tampered = format!("{}.{payload}.{}", parts[0], parts[2]);
    let none = BASE64_URL_SAFE_NO_PAD.encode(json!({"alg": "none", "typ": "JWT", "kid": "v1"}).to_string());
    let unsigned = format!("{none}.{payload}.");
    let tokens =
        [expired, not_yet_valid, wrong_key, tampered, unsigned, "nonsense".to_owned(), String::new()];

    let path = format!("/api/orders/{}", id(&order));
    let requests = || {
        [
            door::http_v2("GET", &path),
            door::http_v2("GET", "/api/orders"),
            // Who is calling is asked before what the call says.
            door::http_v2("POST", "/api/orders").body("application/json", "{"),
            door::http_v2("POST", &format!("{path}/cancel")),
            door::http_v2("POST", &format!("{path}/ship")),
            door::http_v2("POST", &format!("{path}/deliver")),
        ]
    };
    for request in requests() {
        let answer = shop.send(request).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")));
    }
    for token in tokens {
        for request in requests() {
            let answer = shop.send(request.bearer(&token)).await;
            assert_eq!(answer.status, 401, "{token}");
            assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"));
        }
    }
    assert_eq!(shop.state(&order).await.1, 1);
}

#[tokio::test]
async fn only_admins_ship_and_deliver() {
    let shop = Shop::open();
    let customer = shop.customer();
    let order = shop.confirmed_order(&customer).await;
    for step in ["ship", "deliver"] {
        assert_eq!(shop.send(customer.does(step, &order)).await.status, 403);
        // Also where there is nothing: what exists is not a customer's business.
        let absent = json!({"order_id": Uuid::now_v7()});
        assert_eq!(shop.send(customer.does(step, &absent)).await.status, 403);
    }
    assert_eq!(shop.status(&order).await, "CONFIRMED");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let shop = Shop::open();
    let unknown = shop.send(door::http_v2("GET", "/api/orders/1/2/3")).await;
    assert_eq!((unknown.status, unknown.header("content-type")), (404, Some("application/problem+json")));
    let wrong = shop.send(door::http_v2("DELETE", "/api/orders")).await;
    assert_eq!(wrong.status, 405);
    assert!(wrong.header("allow").unwrap().contains("POST"));
}
