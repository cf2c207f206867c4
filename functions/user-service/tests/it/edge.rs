use serde_json::json;
use test_support::door;

use crate::{MISSING_TABLE, Shop, assert_problem, registration};

#[tokio::test]
async fn a_body_of_65_kib_is_too_large() {
    let shop = Shop::open();
    let body = format!("\"{}\"", "x".repeat(65 * 1024));
    for path in ["/api/users", "/api/users/login"] {
        let answer = shop.call(door::http_v2("POST", path).body("application/json", body.as_str())).await;
        assert_problem(&answer, 413, "body-too-large", &[]);
    }
}

#[tokio::test]
async fn a_body_is_json_and_says_so() {
    let shop = Shop::open();
    let body = json!({"email": "ada@example.com", "password": crate::PASSWORD, "name": "Ada"}).to_string();
    let post =
        |content_type, body: &str| shop.call(door::http_v2("POST", "/api/users").body(content_type, body));
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
        assert_problem(&post(content_type, &body).await, 415, "unsupported-media-type", &[]);
    }
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    for broken in ["", "{", "nonsense", &body[1..], &deep] {
        assert_problem(&post("application/json", broken).await, 400, "malformed-request", &[]);
    }
    for other in ["[]", "1", "null", "\"text\""] {
        assert_problem(&post("application/json", other).await, 400, "invalid-input", &[""]);
    }
    assert_eq!(post("application/json; charset=utf-8", &body).await.status, 201);
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_and_names_what_is() {
    let shop = Shop::open();
    for path in ["/", "/api", "/api/users/", "/api/users/me/orders", "/api/products", "/api/users/1/2/3"] {
        assert_problem(&shop.call(door::http_v2("GET", path)).await, 404, "not-found", &[]);
    }
    for (method, path, allowed) in [
        ("DELETE", "/api/users", ["GET", "POST"].as_slice()),
        ("GET", "/api/users/login", &["POST"]),
        ("POST", "/api/users/me", &["GET", "PATCH", "DELETE"]),
        ("POST", "/api/users/me/password", &["PUT"]),
        ("DELETE", "/api/users/0199f8a0-0000-7000-8000-000000000000", &["GET"]),
    ] {
        let answer = shop.call(door::http_v2(method, path)).await;
        assert_problem(&answer, 405, "method-not-allowed", &[]);
        let allow = answer.header("allow").unwrap();
        assert!(allowed.iter().all(|method| allow.contains(method)), "{method} {path}: {allow}");
        assert!(!allow.contains(method), "{method} {path}: {allow}");
    }
}

#[tokio::test]
async fn all_front_doors_lead_in() {
    let shop = Shop::open();
    for request in [door::http_v1("GET", "/api/users/health/ready"), door::alb("GET", "/health/ready")] {
        let answer = shop.call(request).await;
        assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("up")));
    }
    assert_eq!(shop.call(registration("ada@example.com")).await.status, 201);
}

#[tokio::test]
async fn without_its_table_the_service_is_alive_but_not_ready() {
    let shop = Shop::without_a_table();
    let probe =
        async |name: &str| shop.call(door::http_v2("GET", &format!("/api/users/health/{name}"))).await;
    assert_eq!(probe("live").await.status, 200);
    let answer = probe("ready").await;
    assert_problem(&answer, 503, "temporarily-unavailable", &[]);
    assert!(answer.header("retry-after").is_some());
    assert!(!answer.body.contains(MISSING_TABLE), "{}", answer.body);
}

#[tokio::test]
async fn the_document_says_who_may_use_each_route() {
    let shop = Shop::open();
    let document = shop.call(door::http_v2("GET", "/api/users/openapi.json")).await.json();
    let protected = |path: &str, method: &str| -> Vec<String> {
        let operation = &document["paths"][path][method];
        assert!(operation.is_object(), "{method} {path}");
        let ways = operation["security"].as_array().cloned().unwrap_or_default();
        ways.iter().flat_map(|way| way.as_object().unwrap().keys().cloned().collect::<Vec<_>>()).collect()
    };
    for (path, method) in [
        ("/api/users", "post"),
        ("/api/users/login", "post"),
        ("/api/users/token/refresh", "post"),
        ("/api/users/logout", "post"),
    ] {
        assert!(protected(path, method).is_empty(), "{method} {path}");
    }
    for (path, method) in [
        ("/api/users", "get"),
        ("/api/users/me", "get"),
        ("/api/users/me", "patch"),
        ("/api/users/me", "delete"),
        ("/api/users/me/password", "put"),
        ("/api/users/logout-all", "post"),
        ("/api/users/{id}", "get"),
    ] {
        assert_eq!(protected(path, method), ["bearer"], "{method} {path}");
    }
    assert_eq!(protected("/api/users/{id}/role", "put"), ["api_key", "bearer"]);
    let registration = &document["components"]["schemas"]["Registration"];
    assert_eq!(registration["properties"]["password"]["minLength"], 12, "{registration}");
}
