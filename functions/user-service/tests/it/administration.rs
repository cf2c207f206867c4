use access_token::Role;
use dynamodb_store::Position;
use serde_json::{Value, json};
use test_support::door::{self, HttpAnswer, HttpEvent};
use uuid::Uuid;

use crate::{API_KEY, Shop, assert_problem};

fn list(token: &str) -> HttpEvent {
    door::http_v2("GET", "/api/users").bearer(token)
}

fn emails(answer: &HttpAnswer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let page = answer.json();
    let items = page["items"].as_array().unwrap();
    items.iter().map(|user| user["email"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn administration_is_for_admins() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let (one, role) = (format!("/api/users/{}", user.user_id), format!("/api/users/{}/role", user.user_id));
    let body = json!({"role": "admin"});
    for request in [
        door::http_v2("GET", "/api/users"),
        door::http_v2("GET", &one),
        door::http_v2("PUT", &role).json(&body),
        // Who may not know anything may not even know what is wrong.
        door::http_v2("PUT", &role).body("text/plain", "{"),
        door::http_v2("GET", "/api/users?limit=0"),
        door::http_v2("GET", "/api/users/nobody"),
    ] {
        assert_problem(&shop.call(request.clone()).await, 401, "unauthorized", &[]);
        assert_problem(&shop.call(request.bearer(&user.token)).await, 403, "forbidden", &[]);
    }
    assert_eq!(shop.me(&user.token).await.json()["role"], "customer");
}

#[tokio::test]
async fn the_first_admin_is_made_with_the_api_key_and_makes_others() {
    let shop = Shop::open();
    let (ada, eve) = (shop.register("ada@example.com").await, shop.register("eve@example.com").await);
    let answer = shop.change_role(ada.user_id, "admin").await;
    assert_eq!((answer.status, answer.header("etag")), (200, Some("\"2\"")));
    assert_eq!(answer.json()["role"], "admin");

    let token = shop.token(ada.user_id, Role::Admin);
    let request = door::http_v2("PUT", &format!("/api/users/{}/role", eve.user_id)).bearer(&token);
    assert_eq!(shop.call(request.json(&json!({"role": "admin"}))).await.json()["role"], "admin");
    assert_eq!(shop.change_role(eve.user_id, "customer").await.json()["role"], "customer");
}

#[tokio::test]
async fn a_key_that_is_nearly_right_is_wrong() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let role =
        || door::http_v2("PUT", &format!("/api/users/{}/role", user.user_id)).json(&json!({"role": "admin"}));
    let upper = API_KEY.to_uppercase();
    for key in
        ["", "x", &API_KEY[1..], &format!("{API_KEY}x"), &upper, "a signing secret of more than 32 bytes"]
    {
        assert_problem(&shop.call(role().header("x-api-key", key)).await, 401, "unauthorized", &[]);
    }
    // A valid token does not make up for it, and the key opens nothing else.
    let both = role().header("x-api-key", "x").bearer(&shop.admin_token().await);
    assert_problem(&shop.call(both).await, 401, "unauthorized", &[]);
    let elsewhere = door::http_v2("GET", "/api/users").header("x-api-key", API_KEY);
    assert_problem(&shop.call(elsewhere).await, 401, "unauthorized", &[]);
    assert_eq!(shop.me(&user.token).await.json()["role"], "customer");
}

#[tokio::test]
async fn a_role_is_one_of_two() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    for role in ["root", "Admin", ""] {
        assert_problem(&shop.change_role(user.user_id, role).await, 400, "invalid-input", &["/role"]);
    }
    assert_problem(&shop.change_role(Uuid::now_v7(), "admin").await, 404, "not-found", &[]);
}

#[tokio::test]
async fn a_user_who_does_not_exist_is_not_found() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let token = shop.admin_token().await;
    let read =
        async |id: &str| shop.call(door::http_v2("GET", &format!("/api/users/{id}")).bearer(&token)).await;
    assert_eq!(read(&user.user_id.to_string()).await.status, 200);
    for id in [&Uuid::now_v7().to_string(), &Uuid::nil().to_string(), "nobody", "email%23ada@example.com"] {
        assert_problem(&read(id).await, 404, "not-found", &[]);
    }
}

#[tokio::test]
async fn pages_show_every_user_once_newest_first_whoever_comes_meanwhile() {
    let shop = Shop::open();
    let token = shop.admin_token().await;
    for n in 0..11 {
        shop.register(&format!("{n:02}@example.com")).await;
    }
    let mut newest_first: Vec<String> = (0..11).rev().map(|n| format!("{n:02}@example.com")).collect();
    newest_first.push("root@example.com".to_owned());
    let whole = shop.call(list(&token)).await;
    assert_eq!((emails(&whole), &whole.json()["next_cursor"]), (newest_first.clone(), &Value::Null));
    assert!(!whole.body.contains("argon2"), "a hash in a list");

    let (mut seen, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut request = list(&token).query("limit", "4");
        if let Some(cursor) = &cursor {
            request = request.query("cursor", cursor);
        }
        let page = shop.call(request).await;
        seen.extend(emails(&page));
        cursor = page.json()["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
        shop.register(&format!("late-{}@example.com", seen.len())).await;
    }
    assert_eq!(seen, newest_first);
}

#[tokio::test]
async fn a_user_is_found_by_address() {
    let shop = Shop::open();
    let token = shop.admin_token().await;
    shop.register("ada@example.com").await;
    shop.register("eve@example.com").await;
    let found = shop.call(list(&token).query("email", "ADA@example.com")).await;
    assert_eq!(
        (emails(&found), &found.json()["next_cursor"]),
        (vec!["ada@example.com".to_owned()], &Value::Null)
    );
    assert!(!found.body.contains("argon2"), "a hash in a list");
    assert!(emails(&shop.call(list(&token).query("email", "bob@example.com")).await).is_empty());
}

#[tokio::test]
async fn a_list_refuses_what_it_does_not_know() {
    let shop = Shop::open();
    let token = shop.admin_token().await;
    for (name, value) in [
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "ten"),
        ("email", "ada"),
        ("order", "asc"),
        ("cursor", ""),
        ("cursor", "e30"),
    ] {
        let answer = shop.call(list(&token).query(name, value)).await;
        assert_problem(&answer, 400, "invalid-input", &[&format!("/{name}")]);
    }
}

#[tokio::test]
async fn a_cursor_opens_unchanged_and_in_its_own_list_alone() {
    let shop = Shop::open();
    let token = shop.admin_token().await;
    for n in 0..3 {
        shop.register(&format!("{n}@example.com")).await;
    }
    let page = shop.call(list(&token).query("limit", "1")).await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    let flipped = if cursor.starts_with('A') { "B" } else { "A" };
    // What another service seals under the same secret for a list of its own.
    let foreign = crate::cursors("a signing secret of more than 32 bytes");
    let position: Position = foreign.open("users", Some(cursor)).await.unwrap().unwrap();
    for wrong in [
        format!("{flipped}{}", &cursor[1..]),
        cursor[..cursor.len() - 4].to_owned(),
        format!("{cursor}AAAA"),
        "A".repeat(3000),
        foreign.seal("products", &position),
        crate::cursors("a secret of 32 bytes that is guessed").seal("users", &position),
    ] {
        let answer = shop.call(list(&token).query("cursor", &wrong)).await;
        assert_problem(&answer, 400, "invalid-input", &["/cursor"]);
    }
    let elsewhere = list(&token).query("email", "1@example.com").query("cursor", cursor);
    assert_problem(&shop.call(elsewhere).await, 400, "invalid-input", &["/cursor"]);
    assert_eq!(emails(&shop.call(list(&token).query("cursor", cursor)).await).len(), 3);
}

#[tokio::test]
async fn a_leftover_token_of_a_former_admin_opens_nothing() {
    let shop = Shop::open();
    let (demoted, deleted) = (shop.register("eve@example.com").await, shop.register("mal@example.com").await);
    let tokens = [demoted.user_id, deleted.user_id].map(|id| shop.token(id, Role::Admin));
    assert_eq!(shop.change_role(demoted.user_id, "customer").await.status, 200);
    assert_eq!(shop.delete_me(&deleted.token).await.status, 204);
    for (token, status, name) in [(&tokens[0], 403, "forbidden"), (&tokens[1], 401, "unauthorized")] {
        let path = format!("/api/users/{}", demoted.user_id);
        let promote = door::http_v2("PUT", &format!("{path}/role")).json(&json!({"role": "admin"}));
        for request in [promote, door::http_v2("GET", &path), door::http_v2("GET", "/api/users")] {
            assert_problem(&shop.call(request.bearer(token)).await, status, name, &[]);
        }
    }
    assert_eq!(shop.me(&demoted.token).await.json()["role"], "customer");
}
