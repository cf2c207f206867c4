//! The shop without a cloud: the three functions behind their doors, and the events carried between them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use access_token::{AccessTokens, Role};
use domain_events::{Clock, Event, Received};
use dynamodb_store::Table;
use image_uploads::ImageUploads;
use order_service::OrderService;
use product_service::{IMAGES, ProductService};
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::SliceRandom};
use serde_json::{Value, json};
use service_config::{ApiSecret, SecretCache, Version, Versions};
use test_support::{
    BucketStub, Emulator, Subscription, TestTable,
    door::{Door, HttpAnswer, HttpEvent, http_v2},
};
use user_service::{AVATARS, UserService};
use uuid::Uuid;

/// How queues treat messages.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Delivery {
    /// Once, in the order of publication.
    Orderly,
    /// At least once and at most `copies` times, in an order that the seed decides.
    Chaotic { seed: u64, copies: usize },
}

/// A message in a queue of the template.
#[derive(Debug, Clone)]
pub(crate) struct Queued {
    /// The queue's resource, as in `StockRequestsQueue`.
    pub(crate) queue: String,
    pub(crate) body: String,
}

pub(crate) struct Shop {
    users: (Door<UserService>, TestTable),
    products: (Door<ProductService>, TestTable),
    orders: (Door<OrderService>, TestTable),
    tokens: AccessTokens,
    /// Served as long as the shop is there.
    _buckets: BucketStub,
    subscriptions: Vec<Subscription>,
    waiting: Mutex<VecDeque<Queued>>,
    /// Messages whose delay of 15 minutes has not passed.
    deadlines: Mutex<Vec<Queued>>,
    published: Mutex<Vec<String>>,
}

impl Shop {
    pub(crate) fn open() -> Arc<Self> {
        let secret = ApiSecret::new("test-api-key", "a secret of at least thirty-two bytes").unwrap();
        let current = Version { id: "v1".to_owned(), value: secret };
        let secret = SecretCache::fixed(Versions { current, previous: None });
        let (users, products, orders) = (TestTable::users(), TestTable::products(), TestTable::orders());
        let table = |table: &TestTable| Table::new(&Emulator::sdk_config(), table.name());
        let buckets = BucketStub::start();
        let images = ImageUploads::new(&buckets.sdk_config(), table(&products), IMAGES, "images", None);
        let avatars = ImageUploads::new(&buckets.sdk_config(), table(&users), AVATARS, "avatars", None);
        Arc::new(Self {
            users: (
                Door::new(UserService::new(table(&users), avatars, secret.clone(), Clock::default())),
                users,
            ),
            products: (
                Door::new(ProductService::new(table(&products), images, secret.clone(), Clock::default())),
                products,
            ),
            orders: (Door::new(OrderService::new(table(&orders), secret.clone())), orders),
            tokens: AccessTokens::new(secret),
            _buckets: buckets,
            // What is optional is not in this shop.
            subscriptions: test_support::subscriptions()
                .into_iter()
                .filter(|subscription| subscription.condition.is_none())
                .collect(),
            waiting: Mutex::default(),
            deadlines: Mutex::default(),
            published: Mutex::default(),
        })
    }

    pub(crate) fn token(&self, user_id: Uuid, role: Role) -> String {
        self.tokens.issue(user_id, role).unwrap().token
    }

    /// A request with a token through the door of the service that owns the path.
    pub(crate) async fn call(&self, token: &str, request: HttpEvent, path: &str) -> HttpAnswer {
        let request = request.bearer(token);
        match path.split('/').nth(2) {
            Some("users") => self.users.0.http(request).await,
            Some("products") => self.products.0.http(request).await,
            _ => self.orders.0.http(request).await,
        }
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Value {
        let answer = self.call(token, http_v2("GET", path), path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    pub(crate) async fn new_product(&self, stock: u32) -> Uuid {
        let admin = self.token(Uuid::now_v7(), Role::Admin);
        let body = json!({
            "name": "Teapot", "category": "kitchen", "stock": stock,
            "price": { "amount": 1999, "currency": "EUR" },
        });
        let path = "/api/products";
        let answer = self.call(&admin, http_v2("POST", path).json(&body), path).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        id(&answer.json()["product_id"])
    }

    pub(crate) async fn stock(&self, product_id: Uuid) -> i64 {
        self.get("", &format!("/api/products/{product_id}")).await["stock"].as_i64().unwrap()
    }

    pub(crate) async fn place(&self, customer: &str, items: &[(Uuid, u32)]) -> Uuid {
        let items: Vec<Value> =
            items.iter().map(|(id, quantity)| json!({ "product_id": id, "quantity": quantity })).collect();
        let path = "/api/orders";
        let request = http_v2("POST", path).header("idempotency-key", Uuid::now_v7().to_string());
        let answer = self.call(customer, request.json(&json!({ "items": items })), path).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        id(&answer.json()["order_id"])
    }

    pub(crate) async fn cancel(&self, customer: &str, order_id: Uuid) -> u16 {
        let path = format!("/api/orders/{order_id}/cancel");
        self.call(customer, http_v2("POST", &path), &path).await.status
    }

    pub(crate) async fn ship(&self, order_id: Uuid) {
        let admin = self.token(Uuid::now_v7(), Role::Admin);
        let path = format!("/api/orders/{order_id}/ship");
        let answer = self.call(&admin, http_v2("POST", &path), &path).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    pub(crate) async fn order(&self, order_id: Uuid) -> Value {
        let admin = self.token(Uuid::now_v7(), Role::Admin);
        self.get(&admin, &format!("/api/orders/{order_id}")).await
    }

    pub(crate) async fn status(&self, order_id: Uuid) -> String {
        self.order(order_id).await["status"].as_str().unwrap().to_owned()
    }

    /// Everything that was published so far, as it was on the wire.
    pub(crate) fn published(&self) -> Vec<String> {
        self.published.lock().unwrap().clone()
    }

    /// Publishes what the streams hold, into the queues that subscribe to it.
    pub(crate) async fn publish(&self) {
        for (topic, events) in [
            ("UserEventsTopic", self.users.0.publish_changes(&self.users.1).await),
            ("ProductEventsTopic", self.products.0.publish_changes(&self.products.1).await),
            ("OrderEventsTopic", self.orders.0.publish_changes(&self.orders.1).await),
        ] {
            for body in events {
                let Received::Known(event) = Event::parse(&body).unwrap() else { panic!("unknown: {body}") };
                self.published.lock().unwrap().push(body.clone());
                let event_type = event.payload.event_type().to_owned();
                for subscription in &self.subscriptions {
                    if subscription.topic == topic && subscription.event_types.contains(&event_type) {
                        let queued = Queued { queue: subscription.queue.clone(), body: body.clone() };
                        match queued.queue.as_str() {
                            "OrderDeadlinesQueue" => self.deadlines.lock().unwrap().push(queued),
                            _ => self.waiting.lock().unwrap().push_back(queued),
                        }
                    }
                }
            }
        }
    }

    /// Takes everything out of the queues, as if it were delayed.
    pub(crate) fn take_all(&self) -> Vec<Queued> {
        self.waiting.lock().unwrap().drain(..).collect()
    }

    /// Every attribute of every row of every table, as one text.
    pub(crate) async fn everything_stored(&self) -> String {
        let client = aws_sdk_dynamodb::Client::new(&Emulator::sdk_config());
        let mut text = String::new();
        for table in [&self.users.1, &self.products.1, &self.orders.1] {
            let rows = client.scan().table_name(table.name()).send().await.unwrap();
            text.push_str(&format!("{:?}", rows.items()));
        }
        text
    }

    /// Puts messages into their queues again, as a queue may at any time.
    pub(crate) fn repeat(&self, messages: Vec<Queued>) {
        self.waiting.lock().unwrap().extend(messages);
    }

    /// Lets the 15 minutes pass for every order placed so far.
    pub(crate) fn pass_deadlines(&self) {
        let passed = std::mem::take(&mut *self.deadlines.lock().unwrap());
        self.waiting.lock().unwrap().extend(passed);
    }

    /// Delivers until every stream and queue is empty; answers what was delivered. A message that fails is a failed
    /// test: nothing here may need a second try.
    pub(crate) async fn drain(&self, delivery: Delivery) -> Vec<Queued> {
        let mut random = match delivery {
            Delivery::Orderly => SmallRng::seed_from_u64(0),
            Delivery::Chaotic { seed, .. } => SmallRng::seed_from_u64(seed),
        };
        let mut delivered = Vec::new();
        loop {
            self.publish().await;
            let batch = self.take(delivery, &mut random);
            if batch.is_empty() {
                return delivered;
            }
            for queued in batch {
                self.deliver(&queued).await;
                delivered.push(queued);
            }
        }
    }

    /// The next messages. In chaos only some of what waits, in any order, and some of it stays for another time.
    fn take(&self, delivery: Delivery, random: &mut SmallRng) -> Vec<Queued> {
        let mut waiting = self.waiting.lock().unwrap();
        let Delivery::Chaotic { copies, .. } = delivery else { return waiting.drain(..).collect() };
        let mut messages: Vec<Queued> = waiting.drain(..).collect();
        messages.shuffle(random);
        let now = messages.len().div_ceil(2);
        let later = messages.split_off(now);
        waiting.extend(later);
        let mut repeated = Vec::new();
        for message in messages {
            let count = random.random_range(1..=copies);
            repeated.extend(std::iter::repeat_n(message, count));
        }
        repeated.shuffle(random);
        repeated
    }

    /// Delivers messages of one queue in one batch.
    pub(crate) async fn deliver_together(&self, messages: Vec<Queued>) {
        let queue = messages[0].queue.clone();
        assert!(messages.iter().all(|message| message.queue == queue));
        self.deliver_batch(&queue, messages.into_iter().map(|message| message.body).collect()).await;
    }

    async fn deliver(&self, Queued { queue, body }: &Queued) {
        self.deliver_batch(queue, vec![body.clone()]).await;
    }

    async fn deliver_batch(&self, queue: &str, body: Vec<String>) {
        let failed = match queue {
            "StockRequestsQueue" => self.products.0.messages("stock-requests", body).await,
            "ImageUploadsQueue" => self.products.0.messages("image-uploads", body).await,
            "AvatarUploadsQueue" => self.users.0.messages("avatar-uploads", body).await,
            "OrderProcessingQueue" => self.orders.0.messages("order-processing", body).await,
            "UserEventsQueue" => self.orders.0.messages("user-events", body).await,
            "OrderDeadlinesQueue" => self.orders.0.messages("order-deadlines", body).await,
            other => panic!("a queue that nobody reads: {other}"),
        };
        assert!(failed.is_empty(), "{queue} failed");
    }
}

pub(crate) fn id(value: &Value) -> Uuid {
    value.as_str().unwrap().parse().unwrap()
}
