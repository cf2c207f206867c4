use access_token::{AccessTokens, Role};
use aws_types::SdkConfig;
use domain_events::{Currency, Event, Money, Payload, Timestamp, payload};
use dynamodb_store::{Consistency, Key, Table, from_item};
use lambda_dispatch::{Dispatcher, Outbox};
use order_service::OrderService;
use serde_json::{Value, json, value::RawValue};
use service_config::{ApiSecret, SecretCache, Version, Versions};
use test_support::{
    Emulator, Line, TestTable, TopicStub,
    door::{self, HttpAnswer, HttpEvent},
};
use uuid::Uuid;

/// The service on a table of its own, with a topic that fails on demand.
pub(crate) struct Shop {
    pub(crate) table: TestTable,
    pub(crate) topic: TopicStub,
    pub(crate) tokens: AccessTokens,
    store: Table,
    dispatcher: Dispatcher<OrderService>,
}

impl Shop {
    pub(crate) fn open() -> Self {
        Self::on(&Emulator::sdk_config())
    }

    /// Nobody listens where the service looks for its table.
    pub(crate) fn without_a_table() -> Self {
        Self::on(&test_support::sdk_config("http://127.0.0.1:1"))
    }

    /// At the end of a line that can be cut.
    pub(crate) fn at_the_end_of(line: &Line) -> Self {
        Self::on(&line.sdk_config())
    }

    fn on(store_config: &SdkConfig) -> Self {
        let (table, topic) = (TestTable::orders(), TopicStub::start());
        let secret = secret("a secret of at least thirty-two bytes");
        let store = Table::new(store_config, table.name());
        let service = OrderService::new(store.clone(), secret.clone());
        let dlq = format!("{}/000000000000/dev-orders-stream-dlq", topic.endpoint());
        let arn = "arn:aws:sns:us-east-1:000000000000:dev-order-events".to_owned();
        let outbox = Outbox::new(&topic.sdk_config(), arn, dlq);
        let dispatcher = Dispatcher::new(service, outbox, "dev");
        Self { table, topic, tokens: AccessTokens::new(secret), store, dispatcher }
    }

    /// Hands over any raw event.
    pub(crate) async fn handle(&self, event: String) -> String {
        let event = RawValue::from_string(event).unwrap();
        self.dispatcher.handle(event, Default::default()).await.unwrap().get().to_owned()
    }

    pub(crate) async fn send(&self, request: HttpEvent) -> HttpAnswer {
        HttpAnswer::parse(&self.handle(request.build()).await)
    }

    /// Delivers messages of a queue as one batch; answers the positions of those that failed.
    pub(crate) async fn deliver(&self, queue: &str, bodies: impl IntoIterator<Item = String>) -> Vec<usize> {
        let answer = self.handle(door::sqs(&format!("dev-{queue}"), bodies)).await;
        let position = |id: &String| id.rsplit('-').next().unwrap().parse().unwrap();
        let mut failed: Vec<usize> = door::failures(&answer).iter().map(position).collect();
        failed.sort();
        failed
    }

    /// Delivers one message, which has to be handled.
    #[track_caller]
    pub(crate) fn takes(&self, queue: &str, body: String) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move { assert!(self.deliver(queue, [body]).await.is_empty(), "a message failed: {place}") }
    }

    /// Lets the stream's new records be published; answers the events.
    pub(crate) async fn publish(&self) -> Vec<Value> {
        let known = self.topic.published().len();
        let answer = self.handle(door::stream(self.table.new_stream_records())).await;
        assert!(door::failures(&answer).is_empty());
        assert!(self.topic.sent().is_empty(), "a record was set aside");
        let published = self.topic.published().into_iter().skip(known);
        published.map(|event| serde_json::from_str(&event.message).unwrap()).collect()
    }

    pub(crate) fn customer(&self) -> User {
        self.user(Role::Customer)
    }

    pub(crate) fn admin(&self) -> User {
        self.user(Role::Admin)
    }

    fn user(&self, role: Role) -> User {
        let id = Uuid::now_v7();
        User { id, token: self.tokens.issue(id, role).unwrap().token }
    }

    /// Places an order that has to be accepted.
    pub(crate) async fn order(&self, customer: &User, body: &Value) -> Value {
        let answer = self.send(customer.places(&Uuid::now_v7().to_string(), body)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()
    }

    /// Places an order and delivers the news that its stock is taken.
    pub(crate) async fn confirmed_order(&self, customer: &User) -> Value {
        let order = self.order(customer, &basket()).await;
        self.takes("order-processing", stock_reserved(&order)).await;
        order
    }

    /// The row as it is in the table.
    pub(crate) async fn db_row(&self, key: &str) -> Option<Value> {
        self.store.get(&Key::new("order_id", key), Consistency::Strong).await.unwrap()
    }

    /// All rows of the table, by key.
    pub(crate) async fn db_rows(&self) -> Vec<Value> {
        let scan = self.store.client().scan().table_name(self.table.name()).send().await.unwrap();
        assert!(scan.last_evaluated_key().is_none());
        let rows = scan.items.unwrap_or_default().into_iter().map(|row| from_item(row).unwrap());
        let mut rows: Vec<Value> = rows.collect();
        rows.sort_by_key(|row| row["order_id"].to_string());
        rows
    }

    /// Everything in the table as text.
    pub(crate) async fn db_text(&self) -> String {
        Value::from(self.db_rows().await).to_string()
    }

    /// Status, version and reason of an order.
    pub(crate) async fn state(&self, order: &Value) -> (String, u64, Option<String>) {
        let row = self.db_row(id(order)).await.unwrap();
        let text = |name: &str| row[name].as_str().map(str::to_owned);
        (text("status").unwrap(), row["version"].as_u64().unwrap(), text("reason"))
    }

    pub(crate) async fn status(&self, order: &Value) -> String {
        self.state(order).await.0
    }
}

/// A secret that never changes.
pub(crate) fn secret(jwt_secret: &str) -> SecretCache<ApiSecret> {
    let value = ApiSecret::new("an API key", jwt_secret).unwrap();
    SecretCache::fixed(Versions { current: Version { id: "v1".to_owned(), value }, previous: None })
}

pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) token: String,
}

impl User {
    pub(crate) fn gets(&self, path: &str) -> HttpEvent {
        door::http_v2("GET", path).bearer(&self.token)
    }

    pub(crate) fn places(&self, key: &str, body: &Value) -> HttpEvent {
        door::http_v2("POST", "/api/orders").bearer(&self.token).header("Idempotency-Key", key).json(body)
    }

    /// `cancel`, `ship` or `deliver`.
    pub(crate) fn does(&self, what: &str, order: &Value) -> HttpEvent {
        door::http_v2("POST", &format!("/api/orders/{}/{what}", id(order))).bearer(&self.token)
    }
}

/// Two lines and an address.
pub(crate) fn basket() -> Value {
    json!({
        "items": [
            {"product_id": Uuid::from_u128(2), "quantity": 2},
            {"product_id": Uuid::from_u128(1), "quantity": 3},
        ],
        "shipping_address": {
            "name": "Ada Lovelace",
            "line1": "12 St James's Square",
            "postal_code": "SW1Y 4JH",
            "city": "London",
            "country": "GB",
        },
    })
}

pub(crate) fn id(order: &Value) -> &str {
    order["order_id"].as_str().unwrap()
}

fn uuid(order: &Value, member: &str) -> Uuid {
    order[member].as_str().unwrap().parse().unwrap()
}

/// The lines of an order, each unit for 10 EUR.
pub(crate) fn priced_lines(order: &Value) -> Vec<payload::Line> {
    let price = Money { amount: 1000, currency: Currency::try_from("EUR".to_owned()).unwrap() };
    let line = |line: &Value| payload::Line {
        product_id: uuid(line, "product_id"),
        quantity: line["quantity"].as_u64().unwrap().try_into().unwrap(),
        unit_price: Some(price),
    };
    order["items"].as_array().unwrap().iter().map(line).collect()
}

/// An event as another service, or this one, publishes it.
pub(crate) fn event(payload: Payload) -> String {
    let event = Event {
        id: Uuid::now_v7().to_string(),
        source: "/test".to_owned(),
        subject: "test".to_owned(),
        time: Timestamp::now(),
        traceparent: Some("00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01".to_owned()),
        payload,
    };
    event.to_json().unwrap()
}

pub(crate) fn reserved(order: &Value, lines: Vec<payload::Line>) -> String {
    let order_id = uuid(order, "order_id");
    event(Payload::StockReserved(payload::Reservation { order_id, lines, reason: None, version: 1 }))
}

pub(crate) fn stock_reserved(order: &Value) -> String {
    reserved(order, priced_lines(order))
}

pub(crate) fn stock_rejected(order: &Value) -> String {
    event(Payload::StockRejected(payload::Reservation {
        order_id: uuid(order, "order_id"),
        lines: priced_lines(order),
        reason: Some("out_of_stock".to_owned()),
        version: 1,
    }))
}

/// What the deadline of an order is: its placement, delivered again much later.
pub(crate) fn order_placed(order: &Value) -> String {
    event(Payload::OrderPlaced(payload::Order {
        order_id: uuid(order, "order_id"),
        user_id: uuid(order, "user_id"),
        items: priced_lines(order),
        total: None,
        reason: None,
        version: 1,
        created_at: Timestamp::now(),
    }))
}

fn user(user: &User) -> payload::User {
    payload::User { user_id: user.id, role: "customer".to_owned(), version: 2, created_at: Timestamp::now() }
}

pub(crate) fn user_deleted(gone: &User) -> String {
    event(Payload::UserDeleted(user(gone)))
}

pub(crate) fn user_updated(changed: &User) -> String {
    event(Payload::UserUpdated(user(changed)))
}
