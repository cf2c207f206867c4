/// Writes whose outcome is not known at first.
mod cuts;
/// What ends a session before its time.
mod endings;

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use domain_events::Clock;
use dynamodb_store::Table;
use futures_util::future::join_all;
use serde_json::{Value, json};
use test_support::{
    CountingEndpoint, Logs, TestTable,
    door::{self, HttpAnswer},
};
use uuid::Uuid;

use crate::{PASSWORD, Registered, Shop, assert_problem};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);
const OTHER_PASSWORD: &str = "apples, only apples";

/// The refresh token of an answer.
fn token(answer: &Value) -> String {
    answer["refresh_token"].as_str().unwrap().to_owned()
}

impl Shop {
    async fn refresh(&self, token: &str) -> HttpAnswer {
        let body = json!({"refresh_token": token});
        self.call(door::http_v2("POST", "/api/users/token/refresh").json(&body)).await
    }

    /// Refreshes, which has to succeed; answers the next token.
    async fn refreshed(&self, token: &str) -> String {
        let answer = self.refresh(token).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        self::token(&answer.json())
    }

    async fn log_out(&self, token: &str) -> HttpAnswer {
        self.call(door::http_v2("POST", "/api/users/logout").json(&json!({"refresh_token": token}))).await
    }

    async fn log_out_everywhere(&self, user: &Registered) -> HttpAnswer {
        self.call(door::http_v2("POST", "/api/users/logout-all").bearer(&user.token)).await
    }

    async fn change_password(&self, user: &Registered, new: &str) -> HttpAnswer {
        let body = json!({"current_password": PASSWORD, "new_password": new});
        self.call(door::http_v2("PUT", "/api/users/me/password").bearer(&user.token).json(&body)).await
    }

    /// The row of a user's sessions.
    async fn db_sessions(&self, user_id: Uuid) -> Option<HashMap<String, AttributeValue>> {
        let read = self.table.client().get_item().table_name(self.rows.name());
        let key = AttributeValue::S(format!("sessions#{user_id}"));
        read.key("user_id", key).send().await.unwrap().item
    }

    async fn db_put(&self, row: Option<HashMap<String, AttributeValue>>) {
        let put = self.table.client().put_item().table_name(self.rows.name());
        put.set_item(row).send().await.unwrap();
    }

    /// How many sessions there are in the table, whether or not they are over.
    async fn db_count_sessions(&self, user_id: Uuid) -> usize {
        let row = self.db_sessions(user_id).await.unwrap_or_default();
        row.keys().filter(|name| name.starts_with("s_")).count()
    }
}

#[track_caller]
fn assert_refused(answer: &HttpAnswer, name: &str) {
    assert_problem(answer, 401, name, &[]);
    assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer error="invalid_token""#));
}

#[track_caller]
fn assert_over(answer: &HttpAnswer) {
    assert_refused(answer, "invalid-refresh-token");
}

#[tokio::test]
async fn a_session_goes_on_from_token_to_token() {
    let shop = Shop::at_one_moment();
    let user = shop.register("ada@example.com").await;
    let mut tokens = shop.session("ada@example.com").await;
    for _ in 0..3 {
        let answer = shop.refresh(&token(&tokens)).await;
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
        let next = answer.json();
        let members: Vec<&String> = next.as_object().unwrap().keys().collect();
        assert_eq!(
            members,
            ["access_token", "expires_in", "refresh_expires_in", "refresh_token", "token_type"]
        );
        assert_eq!((&next["token_type"], &next["expires_in"]), (&json!("Bearer"), &json!(900)));
        assert_eq!(next["refresh_expires_in"], 30 * 24 * 60 * 60);
        assert_ne!(token(&next), token(&tokens));
        let me = shop.me(next["access_token"].as_str().unwrap()).await;
        assert_eq!((me.status, &me.json()["user_id"]), (200, &json!(user.user_id.to_string())));
        tokens = next;
    }
    assert_eq!(shop.published().await.len(), 1, "a session is no news to others");
}

#[tokio::test]
async fn a_token_that_is_used_again_ends_its_session_and_no_other() {
    let shop = Shop::at_one_moment();
    let user = shop.register("ada@example.com").await;
    let (first, other) =
        (token(&shop.session("ada@example.com").await), shop.session("ada@example.com").await);
    let second = shop.refreshed(&first).await;
    shop.clock.advance(10 * SECOND);

    let logs = Logs::capture();
    assert_over(&shop.refresh(&first).await);
    let lines = logs.take();
    let events: Vec<&String> = lines.iter().filter(|line| line.contains("security_event")).collect();
    assert_eq!(events.len(), 1, "{lines:?}");
    for part in ["WARN", "security_event=refresh_token_reused", &format!("user_id={}", user.user_id)] {
        assert!(events[0].contains(part), "{events:?}");
    }
    drop(logs);

    assert_over(&shop.refresh(&second).await);
    shop.refreshed(&token(&other)).await;
    assert_eq!(shop.db_count_sessions(user.user_id).await, 1);
}

#[tokio::test]
async fn a_token_from_two_refreshes_ago_ends_the_session_at_once() {
    let shop = Shop::at_one_moment();
    shop.register("ada@example.com").await;
    let first = token(&shop.session("ada@example.com").await);
    let second = shop.refreshed(&first).await;
    let third = shop.refreshed(&second).await;
    assert_over(&shop.refresh(&first).await);
    assert_over(&shop.refresh(&third).await);
}

#[tokio::test]
async fn a_double_click_has_one_winner_and_locks_nobody_out() {
    let shop = Shop::at_one_moment();
    shop.register("ada@example.com").await;
    let mut current = token(&shop.session("ada@example.com").await);
    let logs = Logs::capture();
    for _ in 0..5 {
        let answers = join_all((0..8).map(|_| shop.refresh(&current))).await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!((won.len(), lost.len()), (1, 7));
        for answer in &lost {
            assert_refused(answer, "refresh-token-superseded");
        }
        shop.clock.advance(9 * SECOND);
        assert_refused(&shop.refresh(&current).await, "refresh-token-superseded");
        current = token(&won[0].json());
    }
    shop.refreshed(&current).await;
    assert!(logs.take().iter().all(|line| !line.contains("security_event")));
}

#[tokio::test]
async fn a_session_that_is_not_used_for_30_days_is_over() {
    let shop = Shop::at_one_moment();
    let user = shop.register("ada@example.com").await;
    let (used, unused) = (shop.session("ada@example.com").await, shop.session("ada@example.com").await);
    shop.clock.advance(29 * DAY);
    let used = shop.refreshed(&token(&used)).await;
    shop.clock.advance(2 * DAY);
    assert_over(&shop.refresh(&token(&unused)).await);
    // It is refused because it is over, not because it was removed. The next use of another removes it.
    assert_eq!(shop.db_count_sessions(user.user_id).await, 2);
    let used = shop.refreshed(&used).await;
    assert_eq!(shop.db_count_sessions(user.user_id).await, 1);
    shop.clock.advance(30 * DAY);
    assert_over(&shop.refresh(&used).await);
}

#[tokio::test]
async fn no_session_lives_longer_than_90_days() {
    let shop = Shop::at_one_moment();
    shop.register("ada@example.com").await;
    let mut current = token(&shop.session("ada@example.com").await);
    for _ in 0..4 {
        shop.clock.advance(20 * DAY);
        current = shop.refreshed(&current).await;
    }
    shop.clock.advance(9 * DAY);
    let answer = shop.refresh(&current).await.json();
    assert_eq!(answer["refresh_expires_in"], 24 * 60 * 60);
    shop.clock.advance(DAY);
    assert_over(&shop.refresh(&token(&answer)).await);
}

#[tokio::test]
async fn the_table_may_forget_sessions_when_the_last_one_is_over() {
    let shop = Shop::at_one_moment();
    let user = shop.register("ada@example.com").await;
    let expiry = async || {
        let row = shop.db_sessions(user.user_id).await.unwrap();
        let seconds: i64 = row["expires_at"].as_n().unwrap().parse().unwrap();
        (seconds - shop.clock.now().as_seconds()) / (24 * 60 * 60)
    };
    let mut old = token(&shop.session("ada@example.com").await);
    for days in [30, 30, 30, 10] {
        shop.clock.advance(20 * DAY);
        assert_eq!(expiry().await, 10);
        old = shop.refreshed(&old).await;
        assert_eq!(expiry().await, days);
    }
    // The old one ends in 10 days, the new one in 30, and the use of the old one changes nothing about that.
    shop.session("ada@example.com").await;
    assert_eq!(expiry().await, 30);
    shop.refreshed(&old).await;
    assert_eq!(expiry().await, 30);
}

#[tokio::test]
async fn of_more_than_20_sessions_the_one_used_longest_ago_goes() {
    let shop = Shop::at_one_moment();
    let user = shop.register("ada@example.com").await;
    let mut tokens = Vec::new();
    for _ in 0..20 {
        tokens.push(token(&shop.session("ada@example.com").await));
        shop.clock.advance(SECOND);
    }
    tokens[0] = shop.refreshed(&tokens[0]).await;
    tokens.push(token(&shop.session("ada@example.com").await));
    assert_eq!(shop.db_count_sessions(user.user_id).await, 20);
    assert_over(&shop.refresh(&tokens.remove(1)).await);
    for token in &tokens {
        shop.refreshed(token).await;
    }
}

#[tokio::test]
async fn logins_at_once_leave_no_more_than_20_sessions() {
    let shop = Shop::at_one_moment();
    let user = shop.register("ada@example.com").await;
    let mut opened = Vec::new();
    for _ in 0..18 {
        opened.push(shop.session("ada@example.com").await);
    }
    opened.extend(join_all((0..5).map(|_| shop.session("ada@example.com"))).await);
    assert_eq!(shop.db_count_sessions(user.user_id).await, 20);
    let alive = join_all(opened.iter().map(async |opened| shop.refresh(&token(opened)).await.status == 200));
    assert_eq!(alive.await.into_iter().filter(|alive| *alive).count(), 20);
}

#[tokio::test]
async fn a_refresh_tells_the_role_that_the_user_has_by_now() {
    let shop = Shop::at_one_moment();
    let user = shop.register("ada@example.com").await;
    let list = async |tokens: &Value| {
        let token = tokens["access_token"].as_str().unwrap();
        shop.call(door::http_v2("GET", "/api/users").bearer(token)).await.status
    };
    let mut tokens = shop.session("ada@example.com").await;
    for (role, status) in [("admin", 200), ("customer", 403)] {
        assert_eq!(shop.change_role(user.user_id, role).await.status, 200);
        tokens = shop.refresh(&token(&tokens)).await.json();
        assert_eq!(list(&tokens).await, status);
    }
}

#[tokio::test]
async fn what_is_no_token_is_refused_like_one_that_is_over() {
    let shop = Shop::at_one_moment();
    shop.register("ada@example.com").await;
    shop.register("eve@example.com").await;
    let ada = token(&shop.session("ada@example.com").await);
    let eve = token(&shop.session("eve@example.com").await);
    let [ada_bytes, eve_bytes] = [&ada, &eve].map(|token| BASE64_URL_SAFE_NO_PAD.decode(token).unwrap());
    let session_of_another = [&ada_bytes[..16], &eve_bytes[16..]].concat();
    let secret_for_no_session = [&ada_bytes[..16], &[7; 8], &ada_bytes[24..]].concat();
    let encoded = |bytes: Vec<u8>| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let logs = Logs::capture();
    for wrong in [
        encoded(session_of_another),
        encoded(secret_for_no_session),
        encoded(vec![0; 56]),
        ada[..ada.len() - 1].to_owned(),
        format!("{ada}="),
        format!(" {ada}"),
        "x".repeat(10_000),
        String::new(),
    ] {
        assert_over(&shop.refresh(&wrong).await);
    }
    assert!(logs.take().iter().all(|line| !line.contains("security_event")));
    shop.refreshed(&ada).await;

    // Whoever knows the session but not its secret has seen a token of it.
    let guessed = [&eve_bytes[..24], &ada_bytes[24..]].concat();
    assert_over(&shop.refresh(&encoded(guessed)).await);
    assert!(logs.take().iter().any(|line| line.contains("refresh_token_reused")));
    assert_over(&shop.refresh(&eve).await);
}

#[tokio::test]
async fn a_refresh_of_a_wrong_shape_is_named() {
    let shop = Shop::at_one_moment();
    for path in ["/api/users/token/refresh", "/api/users/logout"] {
        let call = async |body: Value| shop.call(door::http_v2("POST", path).json(&body)).await;
        assert_problem(&call(json!({})).await, 400, "invalid-input", &["/refresh_token"]);
        let body = json!({"refresh_token": 1, "user_id": "x"});
        assert_problem(&call(body).await, 400, "invalid-input", &["/refresh_token", "/user_id"]);
    }
}

#[tokio::test]
async fn neither_rows_nor_logs_show_a_token_and_no_log_shows_what_is_kept_of_it() {
    let shop = Shop::at_one_moment();
    let user = shop.register("ada@example.com").await;
    let logs = Logs::capture();
    let first = token(&shop.session("ada@example.com").await);
    let second = shop.refreshed(&first).await;
    let third = shop.refreshed(&second).await;
    let row = shop.db_sessions(user.user_id).await.unwrap();
    let mut kept: Vec<String> = Vec::new();
    for session in row.values().filter_map(|attribute| attribute.as_m().ok()) {
        kept.extend(["hash", "previous"].map(|name| session[name].as_s().unwrap().clone()));
    }
    assert_eq!(kept.len(), 2);
    let mut rows = shop.db_dump().await;
    shop.refresh(&first).await;
    shop.log_out(&third).await;
    rows.extend(shop.db_dump().await);

    let lines = logs.take();
    assert!(lines.iter().any(|line| line.contains("refresh_token_reused")), "{lines:?}");
    for token in [first, second, third] {
        let secret = &BASE64_URL_SAFE_NO_PAD.decode(&token).unwrap()[24..];
        let shown = [token, BASE64_URL_SAFE_NO_PAD.encode(secret), format!("{secret:?}")];
        let texts = rows.iter().chain(&lines);
        assert!(texts.clone().all(|text| shown.iter().all(|shown| !text.contains(shown))));
    }
    assert!(lines.iter().all(|line| kept.iter().all(|kept| !line.contains(kept))), "{lines:?}");
}

#[tokio::test]
async fn an_answer_that_got_lost_between_table_and_service_changes_nothing() {
    let (endpoint, rows) = (CountingEndpoint::start("{}"), TestTable::users());
    let table = Table::new(&test_support::sdk_config(endpoint.endpoint()), rows.name());
    let shop = Shop::on(rows, table, Clock::stopped());
    let user = shop.register("ada@example.com").await;
    endpoint.lose_answer("UpdateItem");
    let first = token(&shop.session("ada@example.com").await);
    endpoint.lose_answer("UpdateItem");
    endpoint.take();
    let second = shop.refreshed(&first).await;
    let updates = endpoint.take().into_iter().filter(|call| call.operation == "UpdateItem").count();
    assert_eq!(updates, 2, "one whose answer got lost, one that found it done");
    assert_refused(&shop.refresh(&first).await, "refresh-token-superseded");
    let third = shop.refreshed(&second).await;

    endpoint.lose_answer("UpdateItem");
    assert_over(&shop.refresh(&first).await);
    assert_over(&shop.refresh(&third).await);
    assert_eq!(shop.db_count_sessions(user.user_id).await, 0);

    let fourth = token(&shop.session("ada@example.com").await);
    endpoint.lose_answer("UpdateItem");
    assert_eq!(shop.log_out(&fourth).await.status, 204);
    endpoint.lose_answer("DeleteItem");
    assert_eq!(shop.log_out_everywhere(&user).await.status, 204);
    let fifth = token(&shop.session("ada@example.com").await);
    endpoint.lose_answer("UpdateItem");
    assert_eq!(shop.change_password(&user, OTHER_PASSWORD).await.status, 204);
    assert_over(&shop.refresh(&fifth).await);
    assert_eq!(shop.db_dump_without_counts().await.len(), 3, "user, address, sessions");
}

/// As accounts were before there were sessions.
#[tokio::test]
async fn an_account_that_does_not_count_its_passwords_yet_starts_to() {
    let shop = Shop::at_one_moment();
    let user = shop.register("ada@example.com").await;
    let update = shop.table.client().update_item().table_name(shop.rows.name());
    let key = AttributeValue::S(user.user_id.to_string());
    update.key("user_id", key).update_expression("REMOVE credentials").send().await.unwrap();
    let tokens = shop.session("ada@example.com").await;
    let current = shop.refreshed(&token(&tokens)).await;
    assert_eq!(shop.change_password(&user, OTHER_PASSWORD).await.status, 204);
    assert_over(&shop.refresh(&current).await);
}
