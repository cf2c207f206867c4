//! Products over HTTP.

use std::time::Duration;

use access_token::Role;
use domain_events::Timestamp;
use serde_json::{Value, json};
use test_support::door::{self, HttpAnswer};
use uuid::Uuid;

use crate::{Shop, mug, path};

fn pointers(answer: &HttpAnswer) -> Vec<String> {
    let problem = answer.json();
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    let mut pointers: Vec<String> =
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect();
    pointers.sort();
    pointers
}

fn problem(answer: &HttpAnswer) -> String {
    let kind = answer.json()["type"].as_str().unwrap_or_default().to_owned();
    kind.trim_start_matches("urn:problem-type:shop:").to_owned()
}

#[tokio::test]
async fn a_new_product_is_answered_and_can_be_read_by_anybody() {
    let shop = Shop::open();
    let mut body = mug(10);
    body["description"] = "Holds 0.3 l.\n".into();
    let created = shop.create(body).await;
    assert_eq!((created.status, created.header("etag")), (201, Some("\"1\"")));
    let product = created.json();
    assert_eq!(product["description"], "Holds 0.3 l.");
    assert_eq!(product["price"], json!({"amount": 500, "currency": "EUR"}));
    assert_eq!(
        (&product["stock"], &product["images"], &product["version"]),
        (&json!(10), &json!([]), &json!(1))
    );
    assert_eq!(product["created_at"], product["updated_at"]);
    let id = product["product_id"].as_str().unwrap();
    assert_eq!(created.header("location"), Some(format!("/api/products/{id}").as_str()));

    let read = shop.http(door::http_v2("GET", created.header("location").unwrap())).await;
    assert_eq!((read.status, read.header("etag"), read.json()), (200, Some("\"1\""), product));
    assert_eq!(read.header("cache-control"), Some("public, max-age=5"));
}

#[tokio::test]
async fn times_are_those_of_the_services_clock() {
    let shop = Shop::open();
    let before = shop.clock.now();
    shop.clock.advance(Duration::from_secs(3600));
    let id = shop.product(1).await;
    let time = async |field: &str| {
        let text = shop.read(id).await.json()[field].as_str().unwrap().to_owned();
        Timestamp::try_from(text).unwrap().as_seconds() - before.as_seconds()
    };
    assert!((3600..3700).contains(&time("created_at").await));
    shop.clock.advance(Duration::from_secs(3600));
    shop.admin(door::http_v2("PATCH", &path(id)).json(&json!({"name": "Cup"}))).await;
    assert!((7200..7300).contains(&time("updated_at").await));
}

#[tokio::test]
async fn a_version_that_the_client_has_is_not_sent_again() {
    let shop = Shop::open();
    let id = shop.product(1).await;
    let same = shop.http(door::http_v2("GET", &path(id)).header("if-none-match", "\"1\"")).await;
    assert_eq!((same.status, same.body.as_str(), same.header("etag")), (304, "", Some("\"1\"")));
    assert_eq!(same.header("cache-control"), Some("public, max-age=5"));
    shop.admin(door::http_v2("PATCH", &path(id)).json(&json!({"name": "Cup"}))).await;
    let changed = shop.http(door::http_v2("GET", &path(id)).header("if-none-match", "\"1\"")).await;
    assert_eq!((changed.status, changed.header("etag")), (200, Some("\"2\"")));
}

#[tokio::test]
async fn put_replaces_all_but_the_stock() {
    let shop = Shop::open();
    let mut body = mug(7);
    body["description"] = "old".into();
    let product = shop.create(body).await.json();
    let location = format!("/api/products/{}", product["product_id"].as_str().unwrap());
    let replacement = json!({"name": "Cup", "category": "Bar", "price": {"amount": 0, "currency": "USD"}});
    let answer = shop.admin(door::http_v2("PUT", &location).json(&replacement)).await;
    assert_eq!((answer.status, answer.header("etag")), (200, Some("\"2\"")));
    let replaced = answer.json();
    assert_eq!((&replaced["name"], &replaced["category"]), (&json!("Cup"), &json!("Bar")));
    assert_eq!((&replaced["description"], &replaced["stock"]), (&json!(""), &json!(7)));
    assert_eq!(replaced["created_at"], product["created_at"]);
    let with_stock = shop.admin(door::http_v2("PUT", &location).json(&mug(100))).await;
    assert_eq!((with_stock.status, pointers(&with_stock)), (400, vec!["/stock".to_owned()]));
}

#[tokio::test]
async fn patch_changes_what_it_names() {
    let shop = Shop::open();
    let id = shop.product(7).await;
    let answer = shop
        .admin(door::http_v2("PATCH", &path(id)).json(&json!({"price": {"amount": 1, "currency": "EUR"}})))
        .await;
    let product = answer.json();
    assert_eq!(
        (answer.status, &product["price"]["amount"], &product["name"]),
        (200, &json!(1), &json!("Mug"))
    );
    let empty = shop.admin(door::http_v2("PATCH", &path(id)).json(&json!({}))).await;
    assert_eq!((empty.status, problem(&empty).as_str()), (400, "invalid-input"));
    let null = shop.admin(door::http_v2("PATCH", &path(id)).json(&json!({"description": null}))).await;
    assert_eq!((null.status, pointers(&null)), (400, vec!["/description".to_owned()]));
}

#[tokio::test]
async fn every_wrong_field_is_named() {
    let shop = Shop::open();
    let body = json!({
        "name": " ", "description": 5, "category": "a/b", "stock": -1, "rating": 5,
        "price": {"amount": -1, "currency": "eur", "tax": 19},
    });
    let answer = shop.create(body).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        pointers(&answer),
        [
            "/category",
            "/description",
            "/name",
            "/price/amount",
            "/price/currency",
            "/price/tax",
            "/rating",
            "/stock"
        ]
    );
    for (field, wrong) in [
        ("price", json!({"amount": 1.5, "currency": "EUR"})),
        ("price", json!(5)),
        ("stock", json!(1_000_000_001)),
        ("stock", json!("5")),
        ("stock", Value::Null),
        ("product_id", json!(Uuid::nil())),
        ("version", json!(7)),
        ("created_at", json!("2020-01-01T00:00:00.000Z")),
        ("images", json!(["http://example.com/x.png"])),
    ] {
        let mut body = mug(1);
        body[field] = wrong;
        let answer = shop.create(body.clone()).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(
            pointers(&answer).iter().all(|pointer| pointer.starts_with(&format!("/{field}"))),
            "{}",
            answer.body
        );
    }
    assert_eq!(shop.table.new_stream_records().len(), 0, "nothing of it was written");
}

#[tokio::test]
async fn a_stale_version_is_412_and_changes_nothing() {
    let shop = Shop::open();
    let id = shop.product(1).await;
    shop.admin(door::http_v2("PATCH", &path(id)).json(&json!({"name": "Cup"})).header("if-match", "\"1\""))
        .await;
    let body = json!({"name": "Bowl", "category": "Bar", "price": {"amount": 0, "currency": "USD"}});
    for request in [
        door::http_v2("PUT", &path(id)).json(&body),
        door::http_v2("PATCH", &path(id)).json(&json!({"name": "Bowl"})),
        door::http_v2("DELETE", &path(id)),
    ] {
        for tag in ["\"1\"", "\"3\"", "\"18446744073709551615\"", "W/\"2\"", "\"x\""] {
            let answer = shop.admin(request.clone().header("if-match", tag)).await;
            assert_eq!((answer.status, problem(&answer).as_str()), (412, "stale-version"), "{tag}");
        }
    }
    assert_eq!(shop.read(id).await.json()["name"], "Cup");
    let removed = shop.admin(door::http_v2("DELETE", &path(id)).header("if-match", "\"2\"")).await;
    assert_eq!((removed.status, shop.read(id).await.status), (204, 404));
}

#[tokio::test]
async fn what_does_not_exist_is_404() {
    let shop = Shop::open();
    let order = Uuid::now_v7();
    shop.deliver([crate::cancelled(order)]).await;
    for id in [Uuid::now_v7().to_string(), "mug".to_owned(), format!("reservation%23{order}")] {
        let path = format!("/api/products/{id}");
        let patch = json!({"name": "Cup"});
        assert_eq!(shop.http(door::http_v2("GET", &path)).await.status, 404, "{id}");
        assert_eq!(shop.admin(door::http_v2("PATCH", &path).json(&patch)).await.status, 404, "{id}");
        assert_eq!(shop.admin(door::http_v2("DELETE", &path)).await.status, 404, "{id}");
        let stock = door::http_v2("POST", &format!("{path}/stock")).json(&json!({"change": 1}));
        assert_eq!(shop.admin(stock).await.status, 404, "{id}");
    }
}

#[tokio::test]
async fn stock_changes_by_what_is_said_and_stays_within_bounds() {
    let shop = Shop::open();
    let id = shop.product(5).await;
    let change = async |units: Value| {
        shop.admin(door::http_v2("POST", &format!("{}/stock", path(id))).json(&json!({"change": units})))
            .await
    };
    let less = change(json!(-3)).await;
    assert_eq!((less.status, less.header("etag"), &less.json()["stock"]), (200, Some("\"2\""), &json!(2)));
    let too_much = change(json!(-3)).await;
    assert_eq!((too_much.status, problem(&too_much).as_str()), (409, "insufficient-stock"));
    assert_eq!(change(json!(-2)).await.json()["stock"], 0);
    assert_eq!(change(json!(1_000_000_000)).await.json()["stock"], 1_000_000_000);
    let overflow = change(json!(1)).await;
    assert_eq!((overflow.status, problem(&overflow).as_str()), (409, "too-much-stock"));
    for wrong in [json!(0), json!(1_000_000_001), json!(-1_000_000_001), json!(1.5), json!("1"), json!(null)]
    {
        let answer = change(wrong.clone()).await;
        assert_eq!((answer.status, pointers(&answer)), (400, vec!["/change".to_owned()]), "{wrong}");
    }
    assert_eq!(shop.stock(id).await, 1_000_000_000);
}

#[tokio::test]
async fn stock_never_goes_below_zero_however_many_take_at_once() {
    let shop = Shop::open();
    let id = shop.product(5).await;
    let take =
        || shop.admin(door::http_v2("POST", &format!("{}/stock", path(id))).json(&json!({"change": -1})));
    let answers = futures_util::future::join_all((0..12).map(|_| take())).await;
    let taken = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((taken, shop.stock(id).await), (5, 0));
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 409)));
}

#[tokio::test]
async fn only_admins_keep_products() {
    let shop = Shop::open();
    let id = shop.product(1).await;
    // Who may not do it is not told what is wrong with the input.
    for request in [
        door::http_v2("POST", "/api/products").json(&json!({"nonsense": true})),
        door::http_v2("PUT", &path(id)).json(&mug(1)),
        door::http_v2("PATCH", &path(id)).json(&json!({"name": "Cup"})),
        door::http_v2("DELETE", &path(id)),
        door::http_v2("DELETE", "/api/products/none"),
        door::http_v2("POST", &format!("{}/stock", path(id))).json(&json!({"change": 1})),
    ] {
        assert_eq!(shop.http(request.clone()).await.status, 401);
        assert_eq!(shop.http(request.clone().bearer("x.y.z")).await.status, 401);
        assert_eq!(shop.http(request.bearer(&shop.token(Role::Customer))).await.status, 403);
    }
    assert_eq!(shop.read(id).await.json()["version"], 1);
}

#[tokio::test]
async fn what_is_not_json_is_refused() {
    let shop = Shop::open();
    let post = |content_type: &str, body: String| {
        shop.admin(door::http_v2("POST", "/api/products").body(content_type, body))
    };
    assert_eq!(post("text/plain", mug(1).to_string()).await.status, 415);
    assert_eq!(post("application/json", "{\"name\":".to_owned()).await.status, 400);
    assert_eq!(
        post("application/json", format!("{}{}", "[".repeat(5000), "]".repeat(5000))).await.status,
        400
    );
    let large = json!({"name": "Mug", "description": "x".repeat(65 * 1024)}).to_string();
    assert_eq!(post("application/json", large).await.status, 413);
}

#[tokio::test]
async fn every_route_is_documented() {
    let shop = Shop::open();
    let document = shop.http(door::http_v2("GET", "/api/products/openapi.json")).await.json();
    let operations = |path: &str| -> Vec<String> {
        document["paths"][path].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(operations("/api/products"), ["get", "post"]);
    assert_eq!(operations("/api/products/{id}"), ["delete", "get", "patch", "put"]);
    assert_eq!(operations("/api/products/{id}/stock"), ["post"]);
    assert_eq!(operations("/api/products/{id}/images"), ["post"]);
    assert_eq!(operations("/api/products/{id}/images/{image_id}"), ["delete"]);
    assert_eq!(operations("/api/products/{id}/images/{image_id}/upload"), ["get"]);
    assert_eq!(document["paths"]["/api/products"]["post"]["security"], json!([{"bearer": []}]));
    assert!(document["paths"]["/api/products"]["get"].get("security").is_none());
}

#[tokio::test]
async fn it_is_ready_when_its_table_answers() {
    let shop = Shop::open();
    assert_eq!(shop.http(door::http_v2("GET", "/api/products/health/ready")).await.status, 200);
}

#[tokio::test]
async fn stock_changes_only_at_the_version_that_is_named() {
    let shop = Shop::open();
    let id = shop.product(5).await;
    let change = |tag: &str, units: i32| {
        let request = door::http_v2("POST", &format!("{}/stock", path(id)));
        shop.admin(request.header("if-match", tag).json(&json!({"change": units})))
    };
    assert_eq!(change("\"1\"", -1).await.json()["stock"], 4);
    assert_eq!(change("\"1\"", -1).await.status, 412);
    assert_eq!(change("\"2\"", -9).await.status, 409);
    assert_eq!(shop.stock(id).await, 4);
}

#[tokio::test]
async fn a_change_that_makes_no_difference_is_none_and_a_stale_version_is_refused_all_the_same() {
    let shop = Shop::open();
    let path = path(shop.product(5).await);
    let rename = |name: &str, tag: &str| {
        let request = door::http_v2("PATCH", &path).header("if-match", tag);
        shop.admin(request.json(&json!({ "name": name })))
    };
    assert_eq!(rename("Mug", "*").await.header("etag"), Some("\"1\""));
    assert_eq!(rename("Mug", "\"1\"").await.header("etag"), Some("\"1\""));
    assert_eq!(rename("Cup", "\"1\"").await.header("etag"), Some("\"2\""));
    assert_eq!(rename("Cup", "\"1\"").await.status, 412);
    assert_eq!(shop.publish().await.len(), 2);
}

#[tokio::test]
async fn a_key_makes_one_product_and_does_not_bring_it_back() {
    let shop = Shop::open();
    let admin = shop.token(Role::Admin);
    let create = |stock: u32| {
        let request = door::http_v2("POST", "/api/products").header("idempotency-key", "mug");
        shop.http(request.bearer(&admin).json(&mug(stock)))
    };
    let (first, again) = (create(5).await, create(5).await);
    assert_eq!((first.status, again.status, &first.body), (201, 201, &again.body));
    assert_eq!(
        (first.header("idempotency-replayed"), again.header("idempotency-replayed")),
        (None, Some("true"))
    );
    assert_eq!(create(6).await.status, 422);
    let location = first.header("location").unwrap().to_owned();
    assert_eq!(shop.admin(door::http_v2("DELETE", &location)).await.status, 204);
    assert_eq!(create(5).await.status, 404);
    assert_eq!(shop.http(door::http_v2("GET", &location)).await.status, 404);
    assert_eq!(shop.publish().await.len(), 2);
}
