use std::time::Duration;

use domain_events::Timestamp;
use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use test_support::door;

use crate::{PASSWORD, Shop, assert_problem, registration};

#[tokio::test]
async fn a_change_keeps_what_it_does_not_name() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let before = shop.me(&user.token).await.json();
    let answer = shop.change_me(&user.token, json!({"name": "Ada King"})).await;
    assert_eq!((answer.status, answer.header("etag")), (200, Some("\"2\"")));
    let after = answer.json();
    assert_eq!((&after["name"], &after["email"]), (&json!("Ada King"), &before["email"]));
    assert_eq!((&after["version"], &after["created_at"]), (&json!(2), &before["created_at"]));
    assert_eq!(shop.me(&user.token).await.json(), after);
    assert_eq!(shop.log_in("ada@example.com", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_change_says_when_it_was_made() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let time = |user: &Value, name| Timestamp::try_from(user[name].as_str().unwrap().to_owned()).unwrap();
    shop.clock.advance(Duration::from_hours(24));
    let changed = shop.change_me(&user.token, json!({"name": "Ada King"})).await.json();
    let between = time(&changed, "updated_at").as_seconds() - time(&changed, "created_at").as_seconds();
    assert!(between >= 24 * 60 * 60, "{changed}");
}

#[tokio::test]
async fn a_change_has_to_say_what_and_with_which_right() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    for (change, pointer) in [
        (json!({}), ""),
        (json!({"current_password": PASSWORD}), ""),
        (json!({"email": "ada.king@example.com"}), "/current_password"),
        (json!({"email": "ada.king", "current_password": PASSWORD}), "/email"),
        (json!({"role": "admin"}), "/role"),
        (json!({"name": "Ada", "version": 9}), "/version"),
    ] {
        assert_problem(&shop.change_me(&user.token, change).await, 400, "invalid-input", &[pointer]);
    }
    let change = json!({"email": "ada.king@example.com", "current_password": "pears and plums"});
    assert_problem(&shop.change_me(&user.token, change).await, 403, "wrong-password", &[]);
    assert_eq!(shop.me(&user.token).await.json()["version"], 1);
}

#[tokio::test]
async fn a_new_address_replaces_the_old_one_everywhere() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let change = json!({"email": "Ada.King@example.com", "current_password": PASSWORD});
    let answer = shop.change_me(&user.token, change).await;
    assert_eq!((answer.status, &answer.json()["email"]), (200, &json!("ada.king@example.com")));
    assert_eq!(shop.log_in("ada.king@example.com", PASSWORD).await.status, 200);
    assert_eq!(shop.log_in("ada@example.com", PASSWORD).await.status, 401);
    assert_problem(&shop.call(registration("ada.king@example.com")).await, 409, "email-taken", &[]);
    shop.register("ada@example.com").await;
}

#[tokio::test]
async fn a_taken_address_stays_with_its_owner() {
    let shop = Shop::open();
    let (ada, _) = (shop.register("ada@example.com").await, shop.register("eve@example.com").await);
    let change = json!({"email": "eve@example.com", "current_password": PASSWORD});
    assert_problem(&shop.change_me(&ada.token, change).await, 409, "email-taken", &[]);
    assert_eq!(shop.me(&ada.token).await.json()["email"], "ada@example.com");
    // To keep one's own address is no conflict.
    let change = json!({"email": "ADA@example.com", "current_password": PASSWORD});
    assert_eq!(shop.change_me(&ada.token, change).await.status, 200);
}

#[tokio::test]
async fn changes_and_a_registration_racing_for_one_address_have_one_winner() {
    let shop = Shop::open();
    for round in 0..5 {
        let users =
            join_all((0..4).map(async |n| shop.register(&format!("{round}-{n}@example.com")).await)).await;
        let wanted = format!("wanted-{round}@example.com");
        let change = json!({"email": wanted, "current_password": PASSWORD});
        let changes = join_all(users.iter().map(|user| shop.change_me(&user.token, change.clone())));
        let (changed, registered) = join(changes, shop.call(registration(&wanted))).await;
        let mut statuses: Vec<u16> = changed.iter().map(|answer| answer.status).collect();
        statuses.push(if registered.status == 201 { 200 } else { registered.status });
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409, 409, 409, 409]);
        assert_eq!(shop.log_in(&wanted, PASSWORD).await.status, 200);
    }
}

#[tokio::test]
async fn concurrent_changes_all_count() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let rename = |n| shop.change_me(&user.token, json!({"name": format!("Ada {n}")}));
    let answers = join_all((0..4).map(rename)).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(shop.me(&user.token).await.json()["version"], 5);
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_it() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let change = async |current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        shop.call(door::http_v2("PUT", "/api/users/me/password").bearer(&user.token).json(&body)).await
    };
    assert_problem(&change("pears and plums", "apples, only apples").await, 403, "wrong-password", &[]);
    assert_problem(&change(PASSWORD, "too short").await, 400, "invalid-input", &["/new_password"]);
    let answer = change(PASSWORD, "apples, only apples").await;
    assert_eq!((answer.status, answer.header("etag"), answer.body.as_str()), (204, Some("\"2\""), ""));
    assert_eq!(shop.log_in("ada@example.com", PASSWORD).await.status, 401);
    assert_eq!(shop.log_in("ada@example.com", "apples, only apples").await.status, 200);
}

#[tokio::test]
async fn a_stale_version_changes_nothing() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let name = json!({"name": "Ada King"});
    let passwords = json!({"current_password": PASSWORD, "new_password": "apples, only apples"});
    let role_path = format!("/api/users/{}/role", user.user_id);
    let me = |method| door::http_v2(method, "/api/users/me").bearer(&user.token);
    for tag in ["\"2\"", "\"0\"", "W/\"1\"", "\"one\""] {
        for request in [
            me("PATCH").json(&name),
            me("DELETE"),
            door::http_v2("PUT", "/api/users/me/password").bearer(&user.token).json(&passwords),
            door::http_v2("PUT", &role_path)
                .header("x-api-key", crate::API_KEY)
                .json(&json!({"role": "admin"})),
        ] {
            assert_problem(&shop.call(request.header("if-match", tag)).await, 412, "stale-version", &[]);
        }
    }
    assert_eq!(shop.me(&user.token).await.json()["version"], 1);
    assert_eq!(shop.call(me("PATCH").header("if-match", "\"1\"").json(&name)).await.status, 200);
    assert_eq!(shop.call(me("DELETE").header("if-match", "\"2\"")).await.status, 204);
}

#[tokio::test]
async fn of_changes_meant_for_one_version_one_is_made() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let rename = |n| {
        let request = door::http_v2("PATCH", "/api/users/me").bearer(&user.token).header("if-match", "\"1\"");
        shop.call(request.json(&json!({"name": format!("Ada {n}")})))
    };
    let mut statuses: Vec<u16> =
        join_all((0..8).map(rename)).await.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412, 412, 412]);
}

#[tokio::test]
async fn a_deleted_account_leaves_nothing_and_lets_nobody_in() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    shop.change_me(&user.token, json!({"email": "ada.king@example.com", "current_password": PASSWORD})).await;
    let answer = shop.delete_me(&user.token).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    assert_eq!(shop.db_dump().await, [""; 0]);

    let passwords = json!({"current_password": PASSWORD, "new_password": "apples, only apples"});
    let change_password = door::http_v2("PUT", "/api/users/me/password").bearer(&user.token).json(&passwords);
    for answer in [
        shop.me(&user.token).await,
        shop.delete_me(&user.token).await,
        shop.change_me(&user.token, json!({"name": "Ada"})).await,
        shop.call(change_password).await,
    ] {
        assert_problem(&answer, 401, "unauthorized", &[]);
        assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer error="invalid_token""#));
    }
    assert_eq!(shop.log_in("ada.king@example.com", PASSWORD).await.status, 401);
    assert_eq!(shop.change_role(user.user_id, "admin").await.status, 404);
    assert_eq!(shop.db_dump_without_counts().await, [""; 0]);
    shop.register("ada.king@example.com").await;
}

#[tokio::test]
async fn a_new_password_is_nothing_that_others_guess_first() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let change = async |new: &str| {
        let body = json!({"current_password": PASSWORD, "new_password": new});
        shop.call(door::http_v2("PUT", "/api/users/me/password").bearer(&user.token).json(&body)).await
    };
    for known in ["ADA@example.com", "ada lovelace", "qwertyuiop123", "aaaaaaaaaaaaaaa"] {
        assert_problem(&change(known).await, 400, "invalid-input", &["/new_password"]);
    }
    assert_eq!(change("Ada Lovelace likes plums").await.status, 204);
}
