//! Every route and every event, one after the other, against the table of the bill.

use std::{collections::BTreeSet, path::Path};

use access_token::Role;
use domain_events::Payload;
use end_to_end::bill::{EVENTS, ROUTES, STARTS, Work};
use serde_json::{Value, json};
use test_support::door::{HttpAnswer, HttpEvent};
use uuid::Uuid;

use crate::{
    ledger::{Measured, compare, compare_bytes},
    metrics, pictures,
    shop::{API_KEY, Shop, id, of_type, order, product},
};

const PASSWORD: &str = "a long enough password";

fn plain(request: HttpEvent) -> HttpEvent {
    request
}

fn with(body: Value) -> impl FnOnce(HttpEvent) -> HttpEvent {
    move |request| request.json(&body)
}

#[tokio::test]
async fn every_start_route_and_event_makes_the_calls_that_the_bill_is_made_of() {
    let mut shop = Shop::open().await;
    standard_routes(&mut shop).await;
    users(&mut shop).await;
    products(&mut shop).await;
    pictures::of_users(&mut shop).await;
    pictures::of_products(&mut shop).await;
    orders(&mut shop).await;
    queues(&mut shop).await;
    let table: Vec<Work> = [STARTS, ROUTES, EVENTS].concat();
    // The same work may be met more than once, in passing.
    let mut measured: Vec<Measured> = Vec::new();
    for work in shop.ledger {
        if !measured.iter().any(|known| (&known.trigger, &known.case) == (&work.trigger, &work.case)) {
            measured.push(work);
        }
    }
    compare(&measured, &table);
    compare_bytes(&measured);
    metrics::compare(&measured);
}

async fn standard_routes(shop: &mut Shop) {
    for collection in ["users", "products", "orders"] {
        for route in ["health/live", "health/ready", "openapi.json"] {
            let path = format!("/api/{collection}/{route}");
            shop.route(&format!("GET {path}"), "", "", &path, plain).await;
        }
    }
}

fn registration(email: &str) -> Value {
    json!({ "email": email, "password": PASSWORD, "name": "Margaret Hamilton" })
}

async fn users(shop: &mut Shop) {
    let body = registration("margaret.hamilton@example.com");
    let user: HttpAnswer = shop.route("POST /api/users", "", "", "/api/users", with(body)).await;
    let user = id(&user.json()["user_id"]);
    shop.stream("users", Some("")).await;
    let token = shop.token(user, Role::Customer);
    let login = json!({ "email": "margaret.hamilton@example.com", "password": PASSWORD });
    let login = shop.route("POST /api/users/login", "", "", "/api/users/login", with(login)).await;
    sessions(shop, &token, &login.json()["refresh_token"]).await;
    let wrong = json!({ "email": "nobody@example.com", "password": PASSWORD });
    for case in [["a wrong password"; 5].as_slice(), &["too often"]].concat() {
        shop.refused("POST /api/users/login", case, "/api/users/login", with(wrong.clone())).await;
    }

    let me = "/api/users/me";
    shop.route("GET /api/users/me", "", &token, me, plain).await;
    shop.route("PATCH /api/users/me", "", &token, me, with(json!({ "name": "M. Hamilton" }))).await;
    shop.stream("users", Some("")).await;
    let body = json!({ "email": "hamilton@example.com", "current_password": PASSWORD });
    shop.route("PATCH /api/users/me", "another address", &token, me, with(body)).await;
    let body = json!({ "current_password": PASSWORD, "new_password": "another long enough password" });
    shop.route("PUT /api/users/me/password", "", &token, "/api/users/me/password", with(body)).await;

    let body = registration("ada.lovelace@example.com");
    let admin = id(&shop.prepare("POST", "", "/api/users", with(body)).await.json()["user_id"]);
    let path = format!("/api/users/{admin}/role");
    let with_key =
        |request: HttpEvent| request.header("x-api-key", API_KEY).json(&json!({ "role": "admin" }));
    shop.route("PUT /api/users/{id}/role", "with the API key", "", &path, with_key).await;
    let admin = shop.token(admin, Role::Admin);
    let path = format!("/api/users/{user}/role");
    shop.route("PUT /api/users/{id}/role", "", &admin, &path, with(json!({ "role": "admin" }))).await;
    let path = format!("/api/users/{user}");
    shop.route("GET /api/users/{id}", "", &admin, &path, plain).await;
    shop.route("GET /api/users", "", &admin, "/api/users", plain).await;
    let path = "/api/users?email=hamilton@example.com";
    shop.route("GET /api/users", "by address", &admin, path, plain).await;

    shop.stream("users", None).await;
    shop.route("DELETE /api/users/me", "", &token, me, plain).await;
    shop.stream("users", Some("")).await;
}

async fn sessions(shop: &mut Shop, token: &str, first: &Value) {
    let with_token = |token: &Value| with(json!({ "refresh_token": token }));
    let (route, path) = ("POST /api/users/token/refresh", "/api/users/token/refresh");
    let second = shop.route(route, "", "", path, with_token(first)).await.json();
    shop.refused(route, "again, at once", path, with_token(first)).await;
    let third = shop.prepare("POST", "", path, with_token(&second["refresh_token"])).await.json();
    shop.refused(route, "a token used before", path, with_token(first)).await;
    let path = "/api/users/logout";
    shop.route("POST /api/users/logout", "", "", path, with_token(&third["refresh_token"])).await;
    shop.route("POST /api/users/logout-all", "", token, "/api/users/logout-all", plain).await;
}

async fn products(shop: &mut Shop) {
    let admin = shop.token(Uuid::now_v7(), Role::Admin);
    let created =
        shop.route("POST /api/products", "", &admin, "/api/products", with(product("kitchen"))).await;
    let path = format!("/api/products/{}", id(&created.json()["product_id"]));
    shop.stream("products", Some("")).await;
    shop.route("GET /api/products/{id}", "", "", &path, plain).await;
    let unchanged = |request: HttpEvent| request.header("if-none-match", "\"1\"");
    let answer = shop.route("GET /api/products/{id}", "unchanged", "", &path, unchanged).await;
    assert_eq!(answer.status, 304);
    let mut whole = product("kitchen");
    whole.as_object_mut().unwrap().remove("stock");
    whole["name"] = json!("Another one");
    shop.route("PUT /api/products/{id}", "", &admin, &path, with(whole)).await;
    shop.stream("products", Some("")).await;
    let price = json!({ "price": { "amount": 3995, "currency": "EUR" } });
    shop.route("PATCH /api/products/{id}", "", &admin, &path, with(price)).await;
    let stock = format!("{path}/stock");
    shop.route("POST /api/products/{id}/stock", "", &admin, &stock, with(json!({ "change": -3 }))).await;
    for case in ["under a key", "under a key, again"] {
        let delivery =
            |request: HttpEvent| request.header("idempotency-key", "delivery").json(&json!({ "change": 3 }));
        shop.route("POST /api/products/{id}/stock", case, &admin, &stock, delivery).await;
    }
    shop.route("DELETE /api/products/{id}", "", &admin, &path, plain).await;
    shop.stream("products", None).await;
    let gone = shop.new_product(&admin, "kitchen").await;
    shop.stream("products", None).await;
    shop.prepare("DELETE", &admin, &format!("/api/products/{gone}"), plain).await;
    shop.stream("products", Some("")).await;

    // So many that each of the feed's shards has more than two pages, however ids are spread over them.
    for number in 0..240 {
        shop.new_product(&admin, if number % 2 == 0 { "kitchen" } else { "garden" }).await;
    }
    shop.stream("products", None).await;
    let route = "GET /api/products";
    let page = shop.route(route, "", "", "/api/products", plain).await.json();
    let next = format!("/api/products?cursor={}", page["next_cursor"].as_str().unwrap());
    shop.route(route, "next page", "", &next, plain).await;
    shop.route(route, "of a category", "", "/api/products?category=garden", plain).await;
}

async fn orders(shop: &mut Shop) {
    let admin = shop.token(Uuid::now_v7(), Role::Admin);
    let customer = shop.token(Uuid::now_v7(), Role::Customer);
    let products = [shop.new_product(&admin, "kitchen").await, shop.new_product(&admin, "garden").await];
    shop.stream("products", None).await;
    let body = order(&products);
    let same_again = |request: HttpEvent| request.header("idempotency-key", "first").json(&body);
    let route = "POST /api/orders";
    let placed = shop.route(route, "", &customer, "/api/orders", same_again).await.json();
    shop.route(route, "again", &customer, "/api/orders", same_again).await;
    let path = format!("/api/orders/{}", id(&placed["order_id"]));
    shop.route("GET /api/orders/{order_id}", "", &customer, &path, plain).await;
    let placed = shop.stream("orders", Some("")).await;
    let cancel = format!("{path}/cancel");
    shop.route("POST /api/orders/{order_id}/cancel", "", &customer, &cancel, plain).await;
    // The cancellation comes first: nothing is there to be released.
    let cancelled = shop.stream("orders", Some("")).await;
    shop.queue("stock-requests", Some("before its order"), &cancelled).await;
    assert!(shop.stream("products", Some("of an order that was given up")).await.is_empty());
    shop.queue("stock-requests", Some("of an order that was given up"), &placed).await;

    let order = shop.confirmed(&customer, &products).await;
    let path = format!("/api/orders/{order}/ship");
    shop.route("POST /api/orders/{order_id}/ship", "", &admin, &path, plain).await;
    shop.stream("orders", Some("")).await;
    let path = format!("/api/orders/{order}/deliver");
    shop.route("POST /api/orders/{order_id}/deliver", "", &admin, &path, plain).await;
    shop.stream("orders", Some("")).await;
    for _ in 0..25 {
        shop.place(&customer, &products).await;
    }
    shop.route("GET /api/orders", "", &customer, "/api/orders", plain).await;
    shop.route("GET /api/orders", "in a status", &customer, "/api/orders?status=PENDING", plain).await;
    shop.stream("orders", None).await;
}

async fn queues(shop: &mut Shop) {
    let admin = shop.token(Uuid::now_v7(), Role::Admin);
    let user = Uuid::now_v7();
    let customer = shop.token(user, Role::Customer);
    let products = [shop.new_product(&admin, "kitchen").await, shop.new_product(&admin, "garden").await];
    shop.stream("products", None).await;

    // The first order of these products, and one that is confirmed, with every message twice.
    shop.place(&customer, &products).await;
    let placed = shop.stream("orders", None).await;
    shop.queue("stock-requests", Some("of products not seen before"), &placed).await;
    shop.stream("products", None).await;
    let confirmed = shop.place(&customer, &products).await;
    let placed = shop.stream("orders", Some("")).await;
    shop.queue("stock-requests", Some(""), &placed).await;
    let reserved = of_type(&shop.stream("products", Some("")).await, "stock_reserved");
    shop.queue("stock-requests", Some("again"), &placed).await;
    shop.queue("order-processing", Some(""), &reserved).await;
    shop.stream("orders", Some("")).await;
    shop.queue("order-processing", Some("again"), &reserved).await;
    shop.queue("order-deadlines", Some(""), &placed).await;
    // … and then cancelled.
    let path = format!("/api/orders/{confirmed}/cancel");
    shop.prepare("POST", &customer, &path, plain).await;
    let cancelled = shop.stream("orders", None).await;
    shop.queue("stock-requests", Some(""), &cancelled).await;
    shop.stream("products", Some("")).await;

    // One that stock does not cover.
    let scarce = shop.new_product(&admin, "kitchen").await;
    let path = format!("/api/products/{scarce}/stock");
    shop.prepare("POST", &admin, &path, with(json!({ "change": -999 }))).await;
    shop.stream("products", None).await;
    shop.place(&customer, &[scarce]).await;
    let placed = shop.stream("orders", None).await;
    shop.queue("stock-requests", Some("out of stock"), &placed).await;
    let rejected = shop.stream("products", Some("")).await;
    shop.queue("order-processing", Some(""), &rejected).await;
    let rejected = shop.stream("orders", Some("")).await;
    shop.queue("stock-requests", Some(""), &rejected).await;

    // One that nobody answers in time.
    shop.place(&customer, &products).await;
    let placed = shop.stream("orders", None).await;
    shop.queue("order-deadlines", Some("still pending"), &placed).await;
    shop.stream("orders", None).await;

    // A customer with one open order and one delivered order leaves.
    let email = "grace.hopper@example.com";
    let user = shop.prepare("POST", "", "/api/users", with(registration(email))).await;
    let user = id(&user.json()["user_id"]);
    let token = shop.token(user, Role::Customer);
    let created = shop.stream("users", None).await;
    let order = shop.confirmed(&token, &products).await;
    shop.prepare("POST", &admin, &format!("/api/orders/{order}/ship"), plain).await;
    shop.stream("orders", None).await;
    shop.prepare("PATCH", &token, "/api/users/me", with(json!({ "name": "G. Hopper" }))).await;
    let updated = shop.stream("users", None).await;
    shop.prepare("DELETE", &token, "/api/users/me", plain).await;
    let deleted = shop.stream("users", None).await;
    // Only deletions get through the queue's filter to the function. What it does with others is counted nevertheless.
    shop.queue("user-events", Some("kept away by the filter"), &created).await;
    shop.queue("user-events", Some("kept away by the filter"), &updated).await;
    shop.queue("user-events", Some("with one order"), &deleted).await;
    shop.stream("orders", Some("address removed")).await;
    // … and places another with a leftover token.
    shop.place(&token, &products).await;
    let placed = shop.stream("orders", None).await;
    shop.queue("order-deadlines", Some("of a deleted customer"), &placed).await;
}

#[test]
fn every_route_of_the_api_is_in_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut routes = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        // A report asks its database, and nothing of what is counted here.
        if path.starts_with("/api/reports/") {
            continue;
        }
        for method in operations.as_object().unwrap().keys() {
            routes.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let counted: BTreeSet<String> = ROUTES.iter().map(|work| work.trigger.to_owned()).collect();
    assert_eq!(routes, counted);
}

#[test]
fn every_event_is_in_the_table_where_it_is_published_and_wherever_it_is_queued() {
    let counted = |trigger: &str| EVENTS.iter().any(|work| work.trigger == trigger);
    for event_type in Payload::TYPES {
        let streams = ["users", "products", "orders"];
        assert!(
            streams.iter().any(|stream| counted(&format!("stream of {stream}: {event_type}"))),
            "{event_type} is published, but not counted"
        );
    }
    for subscription in test_support::subscriptions() {
        if subscription.condition.is_some() {
            continue;
        }
        for event_type in subscription.event_types {
            let queue = kebab(subscription.queue.trim_end_matches("Queue"));
            assert!(
                counted(&format!("{queue}: {event_type}")),
                "{queue} gets {event_type}, which is not counted"
            );
        }
    }
}

/// `StockRequests` as `stock-requests`.
fn kebab(name: &str) -> String {
    let mut text = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.extend(character.to_lowercase());
    }
    text
}

#[test]
fn only_a_start_reads_the_secret() {
    for work in ROUTES.iter().chain(EVENTS) {
        assert!(!work.calls.contains("GetSecretValue"), "{} {}", work.trigger, work.case);
    }
}

#[test]
fn reads_and_orders_take_no_more_calls_than_they_have_to() {
    let calls = |trigger: &str, case: &str| {
        let work = ROUTES.iter().find(|work| work.trigger == trigger && work.case == case);
        work.unwrap_or_else(|| panic!("{trigger} {case} is not in the table")).calls
    };
    assert_eq!(calls("GET /api/products/{id}", ""), "GetItem");
    // A feed has four shards.
    for case in ["", "next page"] {
        assert!(["Query", "2 Query", "3 Query", "4 Query"].contains(&calls("GET /api/products", case)));
    }
    assert_eq!(calls("GET /api/products", "of a category"), "Query");
    assert_eq!(calls("POST /api/orders", ""), "PutItem");
}
