use futures_util::future::join_all;
use serde_json::json;
use test_support::door;

use crate::{PASSWORD, Shop, assert_problem, registration};

#[tokio::test]
async fn a_registration_answers_the_customer_and_its_address() {
    let shop = Shop::open();
    let answer = shop.call(registration(" Ada@Example.com ")).await;
    assert_eq!((answer.status, answer.header("etag")), (201, Some("\"1\"")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let user = answer.json();
    assert_eq!((&user["email"], &user["name"]), (&json!("ada@example.com"), &json!("Ada Lovelace")));
    assert_eq!((&user["role"], &user["version"]), (&json!("customer"), &json!(1)));
    assert_eq!(user["created_at"], user["updated_at"]);
    let fields: Vec<&String> = user.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["created_at", "email", "name", "role", "updated_at", "user_id", "version"]);

    let location = answer.header("location").unwrap();
    assert_eq!(location, format!("/api/users/{}", user["user_id"].as_str().unwrap()));
    let read = shop.call(door::http_v2("GET", location).bearer(&shop.admin_token().await)).await;
    assert_eq!((read.status, read.json()), (200, user));
}

#[tokio::test]
async fn concurrent_registrations_of_one_address_make_one_user() {
    let shop = Shop::open();
    let answers = join_all((0..20).map(|_| shop.call(registration("ada@example.com")))).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!((made.len(), refused.len()), (1, 19));
    for answer in &refused {
        assert_problem(answer, 409, "email-taken", &[]);
    }
    assert_eq!(shop.db_dump().await.len(), 2, "one user, one claim");
    assert_eq!(shop.published().await.len(), 1);
}

#[tokio::test]
async fn an_address_is_taken_however_it_is_written() {
    let shop = Shop::open();
    shop.register("zo\u{eb}@example.com").await;
    for same in ["ZO\u{cb}@EXAMPLE.COM", "zoe\u{308}@example.com", "\tzo\u{eb}@example.com "] {
        assert_problem(&shop.call(registration(same)).await, 409, "email-taken", &[]);
    }
    shop.register("zoe@example.com").await;
}

#[tokio::test]
async fn role_id_and_version_are_not_a_clients_to_choose() {
    let shop = Shop::open();
    for (field, value) in [
        ("role", json!("admin")),
        ("user_id", json!("0199f8a0-0000-7000-8000-000000000000")),
        ("version", json!(7)),
        ("created_at", json!("2020-01-01T00:00:00.000Z")),
    ] {
        let mut body = json!({"email": "ada@example.com", "password": PASSWORD, "name": "Ada"});
        body[field] = value;
        let answer = shop.call(door::http_v2("POST", "/api/users").json(&body)).await;
        assert_problem(&answer, 400, "invalid-input", &[&format!("/{field}")]);
    }
    assert!(shop.db_dump().await.is_empty());
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let shop = Shop::open();
    let register = async |body| shop.call(door::http_v2("POST", "/api/users").json(&body)).await;
    let answer = register(json!({"email": "ada", "password": "short", "name": "\n"})).await;
    assert_problem(&answer, 400, "invalid-input", &["/email", "/name", "/password"]);
    let answer = register(json!({"email": 1, "password": "x".repeat(129)})).await;
    assert_problem(&answer, 400, "invalid-input", &["/email", "/name", "/password"]);
    assert!(!answer.body.contains("xxx"), "an answer repeats a password");
}

#[tokio::test]
async fn a_password_is_nothing_that_others_guess_first() {
    let shop = Shop::open();
    let register = async |password: &str| {
        let body = json!({"email": "ada.king@example.com", "password": password, "name": "Augusta Ada King"});
        shop.call(door::http_v2("POST", "/api/users").json(&body)).await
    };
    for known in [
        "Password1234",
        "1q2w3e4r5t6y",
        "Ada.King@Example.com",
        "augusta ada king",
        "\u{ff21}ugusta Ada King",
    ] {
        assert_problem(&register(known).await, 400, "invalid-input", &["/password"]);
    }
    assert!(shop.db_dump().await.is_empty());
    assert_eq!(register("Augusta Ada Kings").await.status, 201);
}
