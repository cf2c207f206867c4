//! The user-service through its only door: raw events in; answers, rows and published events out.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod administration;
mod avatars;
mod cuts;
mod edge;
mod events;
mod login;
mod own_account;
mod registration;
mod samples;
mod sessions;
mod start;
mod throttled_table;
mod throttling;

use access_token::{AccessTokens, Role};
use domain_events::Clock;
use dynamodb_store::{Cursors, Key, Table};
use image_uploads::ImageUploads;
use lambda_dispatch::{Dispatcher, Outbox};
use lambda_runtime::Context;
use serde_json::{Value, json, value::RawValue};
use service_config::{ApiSecret, SecretCache, Version, Versions};
use test_support::{
    BucketStub, Emulator, TestTable, TopicStub,
    door::{self, HttpAnswer, HttpEvent},
};
use user_service::{AVATARS, UserService};
use uuid::Uuid;

const API_KEY: &str = "the key of the first admin";
const PASSWORD: &str = "plums and pears";
/// Where the avatars are.
const BUCKET: &str = "dev-user-avatars-000000000000";
/// The name of no table.
const MISSING_TABLE: &str = "a-table-that-is-not-there";

/// The service with an empty table, an empty bucket and a topic of its own.
struct Shop {
    rows: TestTable,
    table: Table,
    bucket: BucketStub,
    topic: TopicStub,
    tokens: AccessTokens,
    clock: Clock,
    dispatcher: Dispatcher<UserService>,
}

/// A user who registered through the door.
struct Registered {
    user_id: Uuid,
    token: String,
}

fn secret(jwt_secret: &str) -> SecretCache<ApiSecret> {
    let value = ApiSecret::new(API_KEY, jwt_secret).unwrap();
    SecretCache::fixed(Versions { current: Version { id: "v1".to_owned(), value }, previous: None })
}

/// Cursors as a service with this secret makes them.
fn cursors(jwt_secret: &str) -> Cursors {
    Cursors::new(secret(jwt_secret))
}

impl Shop {
    fn open() -> Self {
        let rows = TestTable::users();
        let table = Table::new(&Emulator::sdk_config(), rows.name());
        Self::on(rows, table, Clock::default())
    }

    /// With a clock that stands still.
    fn at_one_moment() -> Self {
        let rows = TestTable::users();
        let table = Table::new(&Emulator::sdk_config(), rows.name());
        Self::on(rows, table, Clock::stopped())
    }

    /// The service looks for its table where there is none.
    fn without_a_table() -> Self {
        Self::on(TestTable::users(), Table::new(&Emulator::sdk_config(), MISSING_TABLE), Clock::default())
    }

    fn on(rows: TestTable, table: Table, clock: Clock) -> Self {
        let topic = TopicStub::start();
        let secret = secret("a signing secret of more than 32 bytes");
        let outbox = Outbox::new(
            &topic.sdk_config(),
            "arn:aws:sns:us-east-1:123456789012:test-user-events".to_owned(),
            format!("{}/123456789012/test-users-stream-dlq", topic.endpoint()),
        );
        let tokens = AccessTokens::new(secret.clone());
        let bucket = BucketStub::start();
        let images = ImageUploads::new(&bucket.sdk_config(), table.clone(), AVATARS, BUCKET, None);
        let service = UserService::new(table.clone(), images, secret, clock.clone());
        let dispatcher = Dispatcher::new(service, outbox, "dev");
        Self { rows, table, bucket, topic, tokens, clock, dispatcher }
    }

    /// Hands a raw event to the function.
    async fn invoke(&self, event: String) -> String {
        let event = RawValue::from_string(event).unwrap();
        self.dispatcher.handle(event, Context::default()).await.unwrap().get().to_owned()
    }

    async fn call(&self, request: HttpEvent) -> HttpAnswer {
        HttpAnswer::parse(&self.invoke(request.build()).await)
    }

    async fn register(&self, email: &str) -> Registered {
        let answer = self.call(registration(email)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let user_id = answer.json()["user_id"].as_str().unwrap().parse().unwrap();
        Registered { user_id, token: self.token(user_id, Role::Customer) }
    }

    /// A token as login would give it.
    fn token(&self, user_id: Uuid, role: Role) -> String {
        self.tokens.issue(user_id, role).unwrap().token
    }

    /// The token of an admin, who is registered as `root@example.com` for it.
    async fn admin_token(&self) -> String {
        let admin = self.register("root@example.com").await;
        assert_eq!(self.change_role(admin.user_id, "admin").await.status, 200);
        self.token(admin.user_id, Role::Admin)
    }

    async fn log_in(&self, email: &str, password: &str) -> HttpAnswer {
        self.call(login(email, password)).await
    }

    /// The tokens of a new session.
    async fn session(&self, email: &str) -> Value {
        let answer = self.log_in(email, PASSWORD).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    async fn me(&self, token: &str) -> HttpAnswer {
        self.call(door::http_v2("GET", "/api/users/me").bearer(token)).await
    }

    async fn change_me(&self, token: &str, change: Value) -> HttpAnswer {
        self.call(door::http_v2("PATCH", "/api/users/me").bearer(token).json(&change)).await
    }

    async fn delete_me(&self, token: &str) -> HttpAnswer {
        self.call(door::http_v2("DELETE", "/api/users/me").bearer(token)).await
    }

    async fn change_role(&self, user_id: Uuid, role: &str) -> HttpAnswer {
        let request = door::http_v2("PUT", &format!("/api/users/{user_id}/role"));
        self.call(request.header("x-api-key", API_KEY).json(&json!({"role": role}))).await
    }

    /// Lets the stream's new records through the door; answers all events published so far.
    async fn published(&self) -> Vec<Value> {
        let records = self.rows.new_stream_records();
        let answer = self.invoke(door::stream(records)).await;
        assert_eq!(door::failures(&answer), [""; 0]);
        assert!(self.topic.sent().is_empty(), "a record was set aside");
        let published = self.topic.published();
        published.iter().map(|published| serde_json::from_str(&published.message).unwrap()).collect()
    }

    async fn db_delete(&self, row: &str) {
        self.table.delete(Key::new("user_id", row)).send().await.unwrap();
    }

    /// All rows, as text.
    async fn db_dump(&self) -> Vec<String> {
        let scan = self.table.client().scan().table_name(self.rows.name()).send().await.unwrap();
        scan.items().iter().map(|item| format!("{item:?}")).collect()
    }

    /// All rows but those that count attempts to log in.
    async fn db_dump_without_counts(&self) -> Vec<String> {
        let mut rows = self.db_dump().await;
        rows.retain(|row| !row.contains("throttle#"));
        rows
    }
}

fn registration(email: &str) -> HttpEvent {
    let body = json!({"email": email, "password": PASSWORD, "name": "Ada Lovelace"});
    door::http_v2("POST", "/api/users").json(&body)
}

fn login(email: &str, password: &str) -> HttpEvent {
    door::http_v2("POST", "/api/users/login").json(&json!({"email": email, "password": password}))
}

/// Asserts that the answer is the problem of this type; `pointers` are those of its field errors.
#[track_caller]
fn assert_problem(answer: &HttpAnswer, status: u16, name: &str, pointers: &[&str]) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["type"], format!("urn:problem-type:shop:{name}"), "{problem}");
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    let mut named: Vec<&str> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    named.sort_unstable();
    assert_eq!(named, pointers, "{problem}");
}

/// Seconds since 1970.
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}
