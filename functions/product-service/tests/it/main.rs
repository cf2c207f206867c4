//! product-service, driven through its door: raw Lambda events in, answers and published events out.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod cache;
mod crowds;
mod cuts;
mod images;
mod interleavings;
mod lists;
mod products;
mod samples;
mod stock;
mod stock_changes;
mod stream;
mod throttling;

use access_token::{AccessTokens, Role};
use aws_types::SdkConfig;
use domain_events::{Clock, Event, Payload, Received, Timestamp, payload};
use dynamodb_store::{Consistency, Key, Table};
use futures_util::future::BoxFuture;
use image_uploads::ImageUploads;
use lambda_dispatch::{Dispatcher, Outbox};
use lambda_runtime::Context;
use product_service::{IMAGES, ProductService};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use service_config::{ApiSecret, SecretCache, Version, Versions};
use test_support::{
    BucketStub, Emulator, Line, TestTable, TopicStub,
    door::{self, HttpAnswer, HttpEvent},
};
use uuid::Uuid;

const QUEUE: &str = "dev-stock-requests";
const IMAGE_QUEUE: &str = "dev-image-uploads";
const BUCKET: &str = "dev-product-images-123456789012";

/// What [`Shop::deliver`] answers when no message failed.
const ALL_DONE: [usize; 0] = [];

/// The service over an empty table and an empty bucket, with a topic that can fail.
struct Shop {
    table: TestTable,
    bucket: BucketStub,
    images: ImageUploads,
    topic: TopicStub,
    tokens: AccessTokens,
    clock: Clock,
    dispatcher: Dispatcher<ProductService>,
}

impl Shop {
    fn open() -> Self {
        Self::with_pictures_from(None)
    }

    /// A shop whose pictures are served from this address instead of the bucket.
    fn with_pictures_from(cdn_url: Option<&str>) -> Self {
        Self::on(&Emulator::sdk_config(), cdn_url)
    }

    /// A shop at the end of a line that can be cut.
    fn at_the_end_of(line: &Line) -> Self {
        Self::on(&line.sdk_config(), None)
    }

    fn on(store_config: &SdkConfig, cdn_url: Option<&str>) -> Self {
        let (table, bucket, topic) = (TestTable::products(), BucketStub::start(), TopicStub::start());
        let secret = secret("a signing secret that is long enough", None);
        let (clock, cdn_url) = (Clock::default(), cdn_url.map(str::to_owned));
        let store = Table::new(store_config, table.name());
        let images = ImageUploads::new(&bucket.sdk_config(), store.clone(), IMAGES, BUCKET, cdn_url);
        let service = ProductService::new(store, images.clone(), secret.clone(), clock.clone());
        let dispatcher = dispatcher(service, &topic);
        Self { table, bucket, images, topic, tokens: AccessTokens::new(secret), clock, dispatcher }
    }

    /// The same shop with another secret.
    fn with_secret(&self, secret: SecretCache<ApiSecret>) -> Dispatcher<ProductService> {
        let service =
            ProductService::new(store(&self.table), self.images.clone(), secret, self.clock.clone());
        dispatcher(service, &self.topic)
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
        self.deliver_from(QUEUE, messages).await
    }

    async fn deliver_from(&self, queue: &str, messages: impl IntoIterator<Item = String>) -> Vec<usize> {
        let messages: Vec<String> = messages.into_iter().collect();
        let count = messages.len();
        // Nothing is nobody's event.
        if count == 0 {
            return Vec::new();
        }
        let failures = door::failures(&self.send(door::sqs(queue, messages)).await);
        (0..count).filter(|position| failures.contains(&door::message_id(*position))).collect()
    }

    /// Publishes what has changed since the last time; answers the events.
    async fn publish(&self) -> Vec<Event> {
        let known = self.topic.published().len();
        let records = self.table.new_stream_records();
        if records.is_empty() {
            return Vec::new();
        }
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
        let key = Key::new("product_id", format!("reservation#{order_id}"));
        store(&self.table).get(&key, Consistency::Strong).await.unwrap()
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

fn store(table: &TestTable) -> Table {
    Table::new(&Emulator::sdk_config(), table.name())
}

fn dispatcher(service: ProductService, topic: &TopicStub) -> Dispatcher<ProductService> {
    let topic_arn = "arn:aws:sns:us-east-1:123456789012:dev-product-events".to_owned();
    let stream_dlq = format!("{}/123456789012/dev-products-stream-dlq", topic.endpoint());
    let outbox = Outbox::new(&topic.sdk_config(), topic_arn, stream_dlq);
    Dispatcher::new(service, outbox, "dev")
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

/// Runs what a property test tells, which is no asynchronous function.
fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
