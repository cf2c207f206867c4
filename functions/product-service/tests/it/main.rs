//! product-service, driven through its door: raw Lambda events in, answers and published events out.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod interleavings;
mod lists;
mod products;
mod samples;
mod stock;
mod stream;

use access_token::{AccessTokens, Role};
use domain_events::{Clock, Event, Payload, Received, Timestamp, payload};
use dynamodb_store::{Consistency, Key, Table};
use futures_util::future::BoxFuture;
use lambda_dispatch::{Dispatcher, Outbox};
use lambda_runtime::Context;
use product_service::ProductService;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use service_config::{ApiSecret, SecretCache, Version, Versions};
use test_support::{
    Emulator, TestTable, TopicStub,
    door::{self, HttpAnswer, HttpEvent},
};
use uuid::Uuid;

const QUEUE: &str = "dev-stock-requests";

/// What [`Shop::deliver`] answers when no message failed.
const ALL_DONE: [usize; 0] = [];

/// The service over an empty table, with a topic that can fail.
struct Shop {
    table: TestTable,
    topic: TopicStub,
    tokens: AccessTokens,
    clock: Clock,
    dispatcher: Dispatcher<ProductService>,
}

impl Shop {
    fn open() -> Self {
        let (table, topic) = (TestTable::products(), TopicStub::start());
        let secret = secret("a signing secret that is long enough", None);
        let clock = Clock::default();
        let dispatcher = dispatcher(&table, &topic, &secret, &clock);
        Self { table, topic, tokens: AccessTokens::new(secret), clock, dispatcher }
    }

    /// Hands a raw event to the service.
    async fn send(&self, event: String) -> String {
        send(&self.dispatcher, event).await
    }

    async fn http(&self, request: HttpEvent) -> HttpAnswer {
        HttpAnswer::parse(&self.send(request.build()).await)
    }

    async fn admin(&self, request: HttpEvent) -> HttpAnswer {
        self.http(request.bearer(&self.token(Role::Admin))).await
    }

    fn token(&self, role: Role) -> String {
        self.tokens.issue(Uuid::now_v7(), role).unwrap().token
    }

    async fn create(&self, body: Value) -> HttpAnswer {
        self.admin(door::http_v2("POST", "/api/products").json(&body)).await
    }

    /// Puts a mug for 5 EUR on offer.
    async fn product(&self, stock: u32) -> Uuid {
        let answer = self.create(mug(stock)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()["product_id"].as_str().unwrap().parse().unwrap()
    }

    async fn read(&self, id: Uuid) -> HttpAnswer {
        self.http(door::http_v2("GET", &path(id))).await
    }

    async fn stock(&self, id: Uuid) -> i64 {
        self.read(id).await.json()["stock"].as_i64().unwrap()
    }

    /// Delivers messages in one batch; answers the positions of those that failed.
    async fn deliver(&self, messages: impl IntoIterator<Item = String>) -> Vec<usize> {
        let messages: Vec<String> = messages.into_iter().collect();
        let count = messages.len();
        let failures = door::failures(&self.send(door::sqs(QUEUE, messages)).await);
        (0..count).filter(|position| failures.contains(&door::message_id(*position))).collect()
    }

    /// Publishes what has changed since the last time; answers the events.
    async fn publish(&self) -> Vec<Event> {
        let known = self.topic.published().len();
        let records = self.table.new_stream_records();
        assert_eq!(door::failures(&self.send(door::stream(records)).await), [""; 0]);
        assert!(self.topic.sent().is_empty(), "a record was set aside");
        self.published().split_off(known)
    }

    /// All events that the topic took.
    fn published(&self) -> Vec<Event> {
        self.topic.published().iter().map(|published| parse(&published.message)).collect()
    }

    /// The reservation of an order, straight from the table.
    async fn db_reservation(&self, order_id: Uuid) -> Option<DbReservation> {
        let table = Table::new(&Emulator::sdk_config(), self.table.name());
        let key = Key::new("product_id", format!("reservation#{order_id}"));
        table.get(&key, Consistency::Strong).await.unwrap()
    }

    async fn db_state(&self, order_id: Uuid) -> Option<String> {
        self.db_reservation(order_id).await.map(|reservation| reservation.state)
    }
}

#[derive(Debug, Deserialize, PartialEq)]
struct DbReservation {
    state: String,
    lines: Vec<payload::Line>,
    reason: Option<String>,
    expires_at: Option<i64>,
}

fn secret(current: &str, previous: Option<&str>) -> SecretCache<ApiSecret> {
    let version = |id: &str, secret: &str| Version {
        id: id.to_owned(),
        value: ApiSecret::new("api-key".to_owned(), secret.to_owned()).unwrap(),
    };
    SecretCache::fixed(Versions {
        current: version("2", current),
        previous: previous.map(|secret| version("1", secret)),
    })
}

fn dispatcher(
    table: &TestTable,
    topic: &TopicStub,
    secret: &SecretCache<ApiSecret>,
    clock: &Clock,
) -> Dispatcher<ProductService> {
    let store = Table::new(&Emulator::sdk_config(), table.name());
    let topic_arn = "arn:aws:sns:us-east-1:123456789012:dev-product-events".to_owned();
    let stream_dlq = format!("{}/123456789012/dev-products-stream-dlq", topic.endpoint());
    let outbox = Outbox::new(&topic.sdk_config(), topic_arn, stream_dlq);
    Dispatcher::new(ProductService::new(store, secret.clone(), clock.clone()), outbox, "dev")
}

async fn send(dispatcher: &Dispatcher<ProductService>, event: String) -> String {
    let event = RawValue::from_string(event).unwrap();
    // Boxed, because the layout of tests that await many of these would be too deep for the compiler.
    let handling: BoxFuture<'_, _> = Box::pin(dispatcher.handle(event, Context::default()));
    handling.await.unwrap().get().to_owned()
}

fn mug(stock: u32) -> Value {
    json!({"name": "Mug", "category": "Kitchen", "price": {"amount": 500, "currency": "EUR"}, "stock": stock})
}

fn path(id: Uuid) -> String {
    format!("/api/products/{id}")
}

fn placed(order_id: Uuid, lines: &[(Uuid, u32)]) -> String {
    message(Payload::OrderPlaced(order(order_id, lines)))
}

fn cancelled(order_id: Uuid) -> String {
    message(Payload::OrderCancelled(order(order_id, &[])))
}

fn rejected(order_id: Uuid) -> String {
    message(Payload::OrderRejected(order(order_id, &[])))
}

const TRACEPARENT: &str = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01";

fn message(payload: Payload) -> String {
    let event = Event {
        id: Uuid::now_v7().to_string(),
        source: "/order-service".to_owned(),
        subject: Uuid::nil().to_string(),
        time: Timestamp::now(),
        traceparent: Some(TRACEPARENT.to_owned()),
        payload,
    };
    event.to_json().unwrap()
}

fn order(order_id: Uuid, lines: &[(Uuid, u32)]) -> payload::Order {
    let line = |(product_id, quantity): &(Uuid, u32)| payload::Line {
        product_id: *product_id,
        quantity: *quantity,
        unit_price: None,
    };
    payload::Order {
        order_id,
        user_id: Uuid::nil(),
        items: lines.iter().map(line).collect(),
        total: None,
        reason: None,
        version: 1,
        created_at: Timestamp::now(),
    }
}

fn parse(message: &str) -> Event {
    match Event::parse(message).unwrap() {
        Received::Known(event) => *event,
        Received::Unknown { event_type } => panic!("an event of the unknown type {event_type}"),
    }
}

/// The types of events, in order.
fn types(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(|event| event.payload.event_type()).collect()
}
