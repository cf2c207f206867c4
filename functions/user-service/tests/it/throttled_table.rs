//! What clients and queues see of a table that is asked too much.

use futures_util::future::join_all;
use serde_json::json;
use test_support::{Line, door};
use uuid::Uuid;

use crate::{API_KEY, PASSWORD, Shop, assert_problem, avatars, login, registration};

const ADA: &str = "ada@example.com";

#[tokio::test]
async fn a_throttled_table_makes_requests_wait() {
    let line = Line::start();
    let shop = Shop::at_the_end_of(&line);
    let admin = shop.admin_token().await;
    let user = shop.register(ADA).await;
    let refresh_token = shop.session(ADA).await["refresh_token"].clone();
    line.throttle(true);
    let with_token =
        |path: &str| door::http_v2("POST", path).json(&json!({ "refresh_token": refresh_token }));
    let own = |method: &str, path: &str| door::http_v2(method, path).bearer(&user.token);
    let passwords = json!({ "current_password": PASSWORD, "new_password": "apples, only apples" });
    let requests = [
        registration("grace@example.com"),
        door::http_v2("GET", "/api/users").bearer(&admin),
        login(ADA, PASSWORD),
        with_token("/api/users/token/refresh"),
        with_token("/api/users/logout"),
        own("POST", "/api/users/logout-all"),
        own("GET", "/api/users/me"),
        own("PATCH", "/api/users/me").json(&json!({ "name": "Augusta" })),
        own("DELETE", "/api/users/me"),
        own("PUT", "/api/users/me/password").json(&passwords),
        own("POST", "/api/users/me/avatar").json(&avatars::request(&avatars::png(1, 1))),
        own("DELETE", "/api/users/me/avatar"),
        own("GET", &format!("/api/users/me/avatar/uploads/{}", Uuid::now_v7())),
        door::http_v2("GET", &format!("/api/users/{}", user.user_id)).bearer(&admin),
        door::http_v2("PUT", &format!("/api/users/{}/role", user.user_id))
            .header("x-api-key", API_KEY)
            .json(&json!({ "role": "admin" })),
    ];
    let count = requests.len();
    for answer in join_all(requests.map(|request| shop.call(request))).await {
        assert_problem(&answer, 503, "temporarily-unavailable", &[]);
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    let document = shop.call(door::http_v2("GET", "/api/users/openapi.json")).await.json();
    let paths = document["paths"].as_object().unwrap().values();
    let operations: usize = paths.map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(operations, count + 3, "all of them, and those that need no table");

    line.throttle(false);
    assert_eq!(shop.log_in(ADA, PASSWORD).await.status, 200);
}
