//! How guessing passwords is slowed down.

use std::{collections::BTreeMap, time::Duration};

use domain_events::Clock;
use dynamodb_store::{Key, Table, from_item};
use futures_util::future::join_all;
use serde_json::{Value, json};
use test_support::{
    CountingEndpoint, Logs, TestTable,
    door::{self, HttpAnswer},
    sdk_config,
};

use crate::{PASSWORD, Shop, assert_problem, login};

const WRONG: &str = "pears and plums";
const ADA: &str = "ada@example.com";
const DAY: Duration = Duration::from_hours(24);

impl Shop {
    async fn log_in_from(&self, address: &str, email: &str, password: &str) -> HttpAnswer {
        self.call(login(email, password).sent_from(address)).await
    }

    /// What is counted: failures by key.
    async fn db_failures(&self) -> BTreeMap<String, u64> {
        let scan = self.table.client().scan().table_name(self.rows.name()).send().await.unwrap();
        let rows = scan.items.unwrap().into_iter().map(|item| from_item::<Value>(item).unwrap());
        let throttles = rows.filter(|row| !row["failures"].is_null());
        throttles
            .map(|row| (row["user_id"].as_str().unwrap().to_owned(), row["failures"].as_u64().unwrap()))
            .collect()
    }

    /// The only count of a kind.
    async fn db_failures_of(&self, kind: &str) -> (String, u64) {
        let mut failures = self.db_failures().await;
        failures.retain(|key, _| key.starts_with(&format!("throttle#{kind}#")));
        assert_eq!(failures.len(), 1, "{failures:?}");
        failures.pop_first().unwrap()
    }

    /// How many attempts at any accounts are counted.
    async fn db_failures_at_accounts(&self) -> u64 {
        let failures = self.db_failures().await.into_iter();
        failures.filter(|(key, _)| key.starts_with("throttle#account#")).map(|(_, failures)| failures).sum()
    }

    async fn db_set_failures(&self, key: &str, failures: u64) {
        let row = self.table.update(Key::new("user_id", key)).set("failures", failures);
        row.send::<Value>().await.unwrap();
    }
}

fn statuses(answers: &[HttpAnswer]) -> BTreeMap<u16, usize> {
    let mut statuses = BTreeMap::new();
    for answer in answers {
        *statuses.entry(answer.status).or_default() += 1;
    }
    statuses
}

/// Asserts that the next attempt may be made after so many seconds.
#[track_caller]
fn assert_blocked(answer: &HttpAnswer, seconds: u64) {
    assert_problem(answer, 429, "too-many-attempts", &[]);
    assert_eq!(answer.header("retry-after"), Some(seconds.to_string().as_str()));
}

/// An answer without what differs each time.
fn told(answer: HttpAnswer) -> (u16, BTreeMap<String, String>, Value) {
    let (status, mut headers, mut body) = (answer.status, answer.headers.clone(), answer.json());
    headers.remove("x-request-id");
    body["request_id"] = Value::Null;
    (status, headers, body)
}

#[tokio::test]
async fn of_many_guesses_at_once_no_more_are_looked_at_than_of_one_after_the_other() {
    let shop = Shop::at_one_moment();
    shop.register(ADA).await;
    // However the address is written, and wherever they come from.
    let guess = async |number: u8| {
        let email = [ADA, " ADA@example.com"][usize::from(number % 2)];
        shop.log_in_from(&format!("192.0.2.{number}"), email, WRONG).await
    };
    let answers = join_all((0..50).map(guess)).await;
    assert_eq!(statuses(&answers), BTreeMap::from([(401, 5), (429, 45)]));
    for answer in answers.iter().filter(|answer| answer.status == 429) {
        assert_blocked(answer, 1);
    }
    assert_eq!(shop.db_failures_of("account").await.1, 5);

    // Once the wait is over, one of many is let through.
    shop.clock.advance(Duration::from_secs(1));
    let answers = join_all((0..50).map(guess)).await;
    assert_eq!(statuses(&answers), BTreeMap::from([(401, 1), (429, 49)]));
}

#[tokio::test]
async fn who_guesses_at_many_accounts_is_stopped_by_where_it_comes_from() {
    let shop = Shop::at_one_moment();
    shop.log_in("0@example.com", WRONG).await;
    let (source, failures) = shop.db_failures_of("source").await;
    assert_eq!(failures, 1);
    shop.db_set_failures(&source, 90).await;
    let emails: Vec<String> = (0..150).map(|number| format!("{number}@example.com")).collect();
    let answers = join_all(emails.iter().map(|email| shop.log_in(email, WRONG))).await;
    assert_eq!(statuses(&answers), BTreeMap::from([(401, 10), (429, 140)]));
    assert_eq!(shop.db_failures().await[&source], 100);
    assert_eq!(shop.db_failures_at_accounts().await, 11, "a guess that was refused counts at its account");

    // Others are not concerned; the next from there is, also with the right password.
    shop.register(ADA).await;
    assert_eq!(shop.log_in_from("198.51.100.1", ADA, PASSWORD).await.status, 200);
    assert_blocked(&shop.log_in(ADA, PASSWORD).await, 1);
    shop.clock.advance(Duration::from_secs(1));
    assert_eq!(shop.log_in(ADA, PASSWORD).await.status, 200);
    // What turned out to be right is taken back, but not the wait.
    assert_eq!(shop.db_failures().await[&source], 100);
    assert_blocked(&shop.log_in(ADA, PASSWORD).await, 2);
    shop.clock.advance(Duration::from_hours(1));
    assert_eq!(shop.log_in(ADA, WRONG).await.status, 401);
    assert_eq!(shop.db_failures().await[&source], 1);
}

#[tokio::test]
async fn what_is_refused_for_its_account_does_not_count_where_it_comes_from() {
    let shop = Shop::at_one_moment();
    shop.register(ADA).await;
    let at_once = async |number: usize, password: &str| {
        statuses(&join_all((0..number).map(|_| shop.log_in(ADA, password))).await)
    };
    assert_eq!(at_once(60, WRONG).await, BTreeMap::from([(401, 5), (429, 55)]));
    let (source, failures) = shop.db_failures_of("source").await;
    assert_eq!(failures, 5);

    // Nor does the right password, however many of them are refused.
    shop.clock.advance(Duration::from_secs(1));
    assert_eq!(shop.log_in(ADA, PASSWORD).await.status, 200);
    let right = at_once(30, PASSWORD).await;
    assert!(right[&200] >= 5 && right[&200] + right[&429] == 30, "{right:?}");
    assert_eq!(shop.db_failures().await[&source], 5);
}

#[tokio::test]
async fn what_could_not_be_looked_at_does_not_count() {
    let (endpoint, rows) = (CountingEndpoint::start(""), TestTable::users());
    let table = Table::new(&sdk_config(endpoint.endpoint()), rows.name());
    let shop = Shop::on(rows, table, Clock::stopped());
    shop.register(ADA).await;
    // As often as the SDK asks.
    for _ in 0..3 {
        endpoint.lose_answer("GetItem");
    }
    assert!(shop.log_in(ADA, PASSWORD).await.status >= 500);
    assert_eq!(shop.db_failures().await.into_values().collect::<Vec<_>>(), [0, 0]);
    assert_eq!(shop.log_in(ADA, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn an_attempt_counts_once_when_the_answer_to_its_count_gets_lost() {
    let (endpoint, rows) = (CountingEndpoint::start(""), TestTable::users());
    let table = Table::new(&sdk_config(endpoint.endpoint()), rows.name());
    let shop = Shop::on(rows, table, Clock::stopped());
    shop.register(ADA).await;
    for attempts in 1..=7 {
        // The counts of the account and of the source begin, add up, and the account's makes whoever asks wait.
        let operation = if attempts == 1 { "PutItem" } else { "UpdateItem" };
        endpoint.lose_answer(operation);
        endpoint.lose_answer(operation);
        assert_eq!(shop.log_in(ADA, WRONG).await.status, 401, "attempt {attempts}");
        assert_eq!(shop.db_failures().await.into_values().collect::<Vec<_>>(), [attempts; 2]);
        shop.clock.advance(Duration::from_secs(10));
    }
    // What the right password takes back is one attempt, too.
    endpoint.lose_answer("UpdateItem");
    endpoint.lose_answer("UpdateItem");
    endpoint.lose_answer("UpdateItem");
    assert_eq!(shop.log_in(ADA, PASSWORD).await.status, 200);
    assert_eq!(shop.db_failures_of("source").await.1, 7);
}

#[tokio::test]
async fn who_knows_the_password_is_not_held_up_by_others_at_the_same_place() {
    let shop = Shop::at_one_moment();
    shop.register(ADA).await;
    for number in 0..3 {
        assert_eq!(shop.log_in(&format!("{number}@example.com"), WRONG).await.status, 401);
    }
    let (source, _) = shop.db_failures_of("source").await;
    shop.db_set_failures(&source, 99).await;
    for _ in 0..3 {
        assert_eq!(shop.log_in(ADA, PASSWORD).await.status, 200);
    }
    assert_eq!(shop.db_failures().await[&source], 99);
}

#[tokio::test]
async fn the_right_password_ends_the_count_of_its_account() {
    let shop = Shop::at_one_moment();
    shop.register(ADA).await;
    for _ in 0..4 {
        assert_eq!(shop.log_in(ADA, WRONG).await.status, 401);
    }
    assert_eq!(shop.log_in(ADA, PASSWORD).await.status, 200);
    for _ in 0..5 {
        assert_eq!(shop.log_in(ADA, WRONG).await.status, 401);
    }
    assert_blocked(&shop.log_in(ADA, PASSWORD).await, 1);
    shop.clock.advance(Duration::from_millis(999));
    assert_blocked(&shop.log_in(ADA, PASSWORD).await, 1);
    shop.clock.advance(Duration::from_millis(1));
    assert_eq!(shop.log_in(ADA, PASSWORD).await.status, 200);
    assert_eq!(shop.log_in(ADA, WRONG).await.status, 401);
}

#[tokio::test]
async fn the_wait_grows_with_each_failure_and_ends_with_the_day() {
    let shop = Shop::at_one_moment();
    shop.register(ADA).await;
    let began = shop.clock.now();
    for _ in 0..5 {
        assert_eq!(shop.log_in(ADA, WRONG).await.status, 401);
    }
    for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
        assert_blocked(&shop.log_in(ADA, PASSWORD).await, wait);
        shop.clock.advance(Duration::from_secs(wait) - Duration::from_millis(1));
        assert_blocked(&shop.log_in(ADA, WRONG).await, 1);
        shop.clock.advance(Duration::from_millis(1));
        assert_eq!(shop.log_in(ADA, WRONG).await.status, 401, "after {wait} s");
    }
    let passed = shop.clock.now().as_millis() - began.as_millis();
    shop.clock.advance(DAY - Duration::from_millis(passed.try_into().unwrap()));
    for _ in 0..5 {
        assert_eq!(shop.log_in(ADA, WRONG).await.status, 401);
    }
    assert_blocked(&shop.log_in(ADA, WRONG).await, 1);
}

#[tokio::test]
async fn an_unknown_address_is_answered_like_a_known_one_all_along() {
    let sequence = async |email: &str| {
        let endpoint = CountingEndpoint::start("");
        let rows = TestTable::users();
        let table = Table::new(&sdk_config(endpoint.endpoint()), rows.name());
        let shop = Shop::on(rows, table, Clock::stopped());
        shop.register(ADA).await;
        endpoint.take();
        let mut sequence = Vec::new();
        for pause in [0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 60, 0, 24 * 60 * 60, 0] {
            shop.clock.advance(Duration::from_secs(pause));
            let answer = shop.log_in(email, WRONG).await;
            let mut calls: Vec<String> = endpoint.take().into_iter().map(|call| call.operation).collect();
            calls.sort_unstable();
            sequence.push((told(answer), calls));
        }
        sequence
    };
    let known = sequence(ADA).await;
    let seen: Vec<u16> = known.iter().map(|((status, ..), _)| *status).collect();
    assert_eq!(seen, [401, 401, 401, 401, 401, 429, 401, 429, 429, 401, 401, 429, 401, 401]);
    // No password is looked at where nothing is counted.
    assert_eq!(known[0].1, ["BatchGetItem", "GetItem", "PutItem", "PutItem"]);
    assert_eq!(known[5].1, ["BatchGetItem"]);
    let unknown = [sequence("eve@example.com").await, sequence("no address").await];
    assert!(unknown.iter().all(|unknown| *unknown == known), "{known:#?}\n{unknown:#?}");
}

#[tokio::test]
async fn a_token_is_no_way_to_guess_the_password_faster() {
    let shop = Shop::at_one_moment();
    let ada = shop.register(ADA).await;
    let change_email = async |password: &str| {
        shop.change_me(&ada.token, json!({"email": "ada.king@example.com", "current_password": password}))
            .await
    };
    let change_password = async |password: &str| {
        let body = json!({"current_password": password, "new_password": "apples, only apples"});
        shop.call(door::http_v2("PUT", "/api/users/me/password").bearer(&ada.token).json(&body)).await
    };
    for _ in 0..2 {
        assert_problem(&change_email(WRONG).await, 403, "wrong-password", &[]);
        assert_problem(&change_password(WRONG).await, 403, "wrong-password", &[]);
    }
    assert_eq!(shop.log_in(ADA, WRONG).await.status, 401);
    assert_blocked(&change_email(PASSWORD).await, 1);
    assert_blocked(&change_password(PASSWORD).await, 1);
    assert_blocked(&shop.log_in_from("198.51.100.1", ADA, PASSWORD).await, 1);
    // What needs no password goes on.
    assert_eq!(shop.change_me(&ada.token, json!({"name": "Ada King"})).await.status, 200);
    shop.clock.advance(Duration::from_secs(1));
    assert_problem(&change_password(WRONG).await, 403, "wrong-password", &[]);
    assert_blocked(&change_password(PASSWORD).await, 2);
    shop.clock.advance(Duration::from_secs(2));
    assert_eq!(change_password(PASSWORD).await.status, 204);
    assert_problem(&change_email(PASSWORD).await, 403, "wrong-password", &[]);
    let guesses = join_all((0..20).map(|_| change_password(WRONG))).await;
    assert_eq!(statuses(&guesses), BTreeMap::from([(403, 4), (429, 16)]));
}

#[tokio::test]
async fn a_source_is_an_address_or_a_network_and_never_what_a_client_says() {
    let shop = Shop::at_one_moment();
    for (number, address) in
        ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1", "192.0.2.7"].into_iter().enumerate()
    {
        shop.log_in_from(address, &format!("{number}@example.com"), WRONG).await;
    }
    let spoofed = login("4@example.com", WRONG).sent_from("192.0.2.7").header("x-forwarded-for", "192.0.2.8");
    shop.call(spoofed).await;
    let of_sources = async || {
        let failures = shop.db_failures().await.into_iter();
        let mut failures: Vec<u64> = failures
            .filter(|(key, _)| key.starts_with("throttle#source#"))
            .map(|(_, failures)| failures)
            .collect();
        failures.sort_unstable();
        failures
    };
    assert_eq!(of_sources().await, [1, 2, 2]);
    // Where nobody knows it, the account's count is what is left.
    let answer = shop.log_in_from("unknown", "5@example.com", WRONG).await;
    assert_eq!(answer.status, 401);
    assert_eq!(of_sources().await, [1, 2, 2]);
}

#[tokio::test]
async fn a_count_tells_nobodys_address_and_is_gone_some_day() {
    let shop = Shop::at_one_moment();
    shop.log_in_from("192.0.2.7", ADA, WRONG).await;
    shop.log_in_from("192.0.2.7", "not an address but 5ecret", WRONG).await;
    let rows = shop.db_dump().await;
    assert_eq!(rows.len(), 3);
    for row in rows {
        for told in ["ada", "example", "192.0.2", "5ecret", "plums"] {
            assert!(!row.contains(told), "{told} in {row}");
        }
        assert!(row.contains("expires_at"), "{row}");
    }
    assert!(shop.published().await.is_empty());
}

#[tokio::test]
async fn who_is_refused_leaves_a_security_event() {
    let shop = Shop::at_one_moment();
    let logs = Logs::capture();
    for _ in 0..6 {
        shop.log_in(ADA, WRONG).await;
    }
    let lines = logs.take();
    let events: Vec<_> = lines.iter().filter(|line| line.contains("security_event")).collect();
    assert_eq!(events.len(), 1, "{lines:#?}");
    assert!(events[0].starts_with("WARN") && events[0].contains("login_throttled"), "{}", events[0]);
    assert!(lines.iter().all(|line| !line.contains("ada") && !line.contains("plums")), "{lines:#?}");
}
