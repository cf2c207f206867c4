//! The three functions, what is in their tables, and what they were seen to call.

use std::collections::BTreeMap;

use access_token::{AccessTokens, Role};
use end_to_end::bill::A_FILE;
use serde_json::{Value, json};
use service_config::{ApiSecret, SecretCache, Version, Versions};
use test_support::{
    CountingEndpoint, TestTable,
    door::{self, HttpAnswer, HttpEvent, http_v2},
};
use uuid::Uuid;

use crate::{
    filters::Filters,
    function::{Function, bucket},
    ledger::Measured,
};

pub(crate) const API_KEY: &str = "test-api-key";
const JWT_SECRET: &str = "a secret of at least thirty-two bytes";
const TRACEPARENT: &str = "00-6921a0b24c1d2e3f5a6b7c8d9e0f1a2b-53995c3f42cd8ad8-01";

pub(crate) struct Shop {
    endpoint: CountingEndpoint,
    services: BTreeMap<&'static str, (Function, TestTable, Filters)>,
    tokens: AccessTokens,
    pub(crate) ledger: Vec<Measured>,
}

impl Shop {
    /// All functions, started and warm; what their starts called is in the ledger.
    pub(crate) async fn open() -> Self {
        let secret = json!({ "api_key": API_KEY, "jwt_secret": JWT_SECRET });
        let endpoint = CountingEndpoint::start(secret.to_string());
        let secret = ApiSecret::new(API_KEY, JWT_SECRET).unwrap();
        let current = Version { id: "v1".to_owned(), value: secret };
        let tokens = AccessTokens::new(SecretCache::fixed(Versions { current, previous: None }));
        let mut shop = Self { endpoint, services: BTreeMap::new(), tokens, ledger: Vec::new() };
        for (collection, service, table, filters) in [
            ("users", "user-service", TestTable::users(), "UserTable"),
            ("products", "product-service", TestTable::products(), "ProductTable"),
            ("orders", "order-service", TestTable::orders(), "OrderTable"),
        ] {
            let function = Function::start(service, &table, &shop.endpoint);
            shop.services.insert(collection, (function, table, Filters::of(filters)));
            // The first answer comes when the start is over, and calls nothing itself.
            shop.send(http_v2("GET", &format!("/api/{collection}/health/live")), collection).await;
            shop.record(collection, &format!("start of {service}"), "");
        }
        shop
    }

    pub(crate) fn token(&self, user_id: Uuid, role: Role) -> String {
        self.tokens.issue(user_id, role).unwrap().token
    }

    /// A request that the table has a line for.
    pub(crate) async fn route(
        &mut self,
        route: &str,
        case: &str,
        token: &str,
        path: &str,
        dress: impl FnOnce(HttpEvent) -> HttpEvent,
    ) -> HttpAnswer {
        let (method, pattern) = route.split_once(' ').unwrap();
        assert!(matches(pattern, path), "{path} is not of the route {pattern}");
        let answer = self.prepare(method, token, path, dress).await;
        self.record_route(route, case, path, &answer);
        answer
    }

    /// A request that the table has a line for, and that is refused.
    pub(crate) async fn refused(
        &mut self,
        route: &str,
        case: &str,
        path: &str,
        dress: impl FnOnce(HttpEvent) -> HttpEvent,
    ) {
        let (method, _) = route.split_once(' ').unwrap();
        let answer = self.request(method, "", path, dress).await;
        assert!((400..500).contains(&answer.status), "{route} {case}: {}", answer.body);
        self.record_route(route, case, path, &answer);
    }

    fn record_route(&mut self, route: &str, case: &str, path: &str, answer: &HttpAnswer) {
        self.record(path.split(['/', '?']).nth(2).unwrap(), route, case);
        self.ledger.last_mut().unwrap().answer_bytes = answer.body.len();
    }

    /// A request whose calls are not of interest.
    pub(crate) async fn prepare(
        &mut self,
        method: &str,
        token: &str,
        path: &str,
        dress: impl FnOnce(HttpEvent) -> HttpEvent,
    ) -> HttpAnswer {
        let answer = self.request(method, token, path, dress).await;
        assert!(answer.status < 400, "{method} {path}: {}", answer.body);
        answer
    }

    async fn request(
        &mut self,
        method: &str,
        token: &str,
        path: &str,
        dress: impl FnOnce(HttpEvent) -> HttpEvent,
    ) -> HttpAnswer {
        let collection = path.split(['/', '?']).nth(2).unwrap().to_owned();
        self.forget(&collection);
        let request = dress(http_v2(method, path).header("traceparent", TRACEPARENT));
        let request = if token.is_empty() { request } else { request.bearer(token) };
        self.send(request, &collection).await
    }

    async fn send(&mut self, request: HttpEvent, collection: &str) -> HttpAnswer {
        let (function, ..) = self.services.get_mut(collection).unwrap();
        HttpAnswer::parse(&function.invoke(request.build()).await)
    }

    /// Lets Lambda read a table's stream; answers the events that were published. With a case, the ledger gets a line
    /// per invocation.
    ///
    /// Products, their reservations and their uploads are in different partitions of one table, and so in different shards
    /// of its stream: they come in invocations of their own.
    pub(crate) async fn stream(&mut self, collection: &str, case: Option<&str>) -> Vec<String> {
        let (_, table, filters) = &self.services[collection];
        let mut kinds: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for record in table.new_stream_records().into_iter().filter(|record| filters.let_through(record)) {
            let keys = record["dynamodb"]["Keys"].as_object().unwrap();
            let key = keys.values().find_map(|key| key["S"].as_str()).unwrap();
            let kind = key.split_once('#').map_or("", |(kind, _)| kind).to_owned();
            kinds.entry(kind).or_default().push(record);
        }
        let mut events = Vec::new();
        for records in kinds.into_values().rev() {
            self.forget(collection);
            let before = self.endpoint.topic().published().len();
            let (function, ..) = self.services.get_mut(collection).unwrap();
            let answer = function.invoke(door::stream(records)).await;
            assert!(door::failures(&answer).is_empty(), "{answer}");
            let published = self.endpoint.topic().published().split_off(before);
            assert_eq!(self.endpoint.topic().sent(), [], "a record was set aside");
            if let Some(case) = case {
                let mut types: Vec<_> =
                    published.iter().filter_map(|event| event.event_type.clone()).collect();
                types.sort();
                types.dedup();
                let types = if types.is_empty() { "nothing".to_owned() } else { types.join(", ") };
                self.record(collection, &format!("stream of {collection}: {types}"), case);
            }
            events.extend(published.into_iter().map(|published| published.message));
        }
        events
    }

    /// Hands a batch of messages to the function that reads the queue.
    pub(crate) async fn queue(&mut self, queue: &str, case: Option<&str>, bodies: &[String]) {
        assert!(!bodies.is_empty(), "nothing for {queue}");
        let collection = match queue {
            "avatar-uploads" => "users",
            "stock-requests" | "image-uploads" => "products",
            _ => "orders",
        };
        self.forget(collection);
        let (function, ..) = self.services.get_mut(collection).unwrap();
        let answer = function.invoke(door::sqs(&format!("test-{queue}"), bodies)).await;
        assert!(door::failures(&answer).is_empty(), "{queue}: {answer}\n{}", function.new_log());
        if let Some(case) = case {
            self.record(collection, &format!("{queue}: {}", event_type(&bodies[0])), case);
        }
    }

    fn forget(&mut self, collection: &str) {
        self.endpoint.take();
        let (function, ..) = self.services.get_mut(collection).unwrap();
        function.new_log();
    }

    fn record(&mut self, collection: &str, trigger: &str, case: &str) {
        let (function, ..) = self.services.get_mut(collection).unwrap();
        let log = function.new_log();
        self.ledger.push(Measured::new(trigger, case, &self.endpoint.take(), &log));
    }
}

/// What happens often in a shop.
impl Shop {
    /// Puts a file into the bucket of a service, as its uploader does; answers what the bucket tells of it.
    pub(crate) fn file(&self, service: &str, key: &str, bytes: &[u8]) -> String {
        let bucket = bucket(service);
        self.endpoint.buckets().put(&bucket, key, "image/png", bytes.to_vec());
        json!({ "Records": [{
            "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1",
            "eventName": "ObjectCreated:Put", "eventTime": "2026-11-22T09:44:00.000Z",
            "userIdentity": {}, "requestParameters": {}, "responseElements": {},
            "s3": { "bucket": { "name": bucket }, "object": { "key": key, "size": bytes.len() } },
        }]})
        .to_string()
    }

    pub(crate) async fn new_product(&mut self, admin: &str, category: &str) -> Uuid {
        let body = product(category);
        let answer = self.prepare("POST", admin, "/api/products", |request| request.json(&body)).await;
        id(&answer.json()["product_id"])
    }

    pub(crate) async fn place(&mut self, customer: &str, products: &[Uuid]) -> Uuid {
        let (key, body) = (Uuid::now_v7().to_string(), order(products));
        let dress = |request: HttpEvent| request.header("idempotency-key", key).json(&body);
        id(&self.prepare("POST", customer, "/api/orders", dress).await.json()["order_id"])
    }

    /// A new order of a line per product, its placement taken and its stock reserved; answers what product-service says.
    pub(crate) async fn reserved(&mut self, customer: &str, products: &[Uuid]) -> (Uuid, Vec<String>) {
        let order = self.place(customer, products).await;
        let placed = self.stream("orders", None).await;
        self.queue("stock-requests", None, &placed).await;
        let reserved = of_type(&self.stream("products", None).await, "stock_reserved");
        (order, reserved)
    }

    pub(crate) async fn confirmed(&mut self, customer: &str, products: &[Uuid]) -> Uuid {
        let (order, reserved) = self.reserved(customer, products).await;
        self.queue("order-processing", None, &reserved).await;
        self.stream("orders", None).await;
        order
    }
}

/// A product as shops have them: some 200 characters of description.
pub(crate) fn product(category: &str) -> Value {
    json!({
        "name": "Teapot for four, cast iron, black",
        "description": "Holds one litre and keeps it warm for an hour. The strainer is stainless steel and comes out \
            for cleaning; the handle folds down. Not for the dishwasher, and not for induction stoves either.",
        "category": category,
        "stock": 1000,
        "price": { "amount": 4995, "currency": "EUR" },
    })
}

/// An order with a shipping address.
pub(crate) fn order(products: &[Uuid]) -> Value {
    let items: Vec<Value> =
        products.iter().map(|product| json!({ "product_id": product, "quantity": 2 })).collect();
    json!({
        "items": items,
        "shipping_address": {
            "name": "Margaret Hamilton", "line1": "77 Massachusetts Avenue", "postal_code": "02139",
            "city": "Cambridge", "country": "US",
        },
    })
}

pub(crate) fn of_type(events: &[String], wanted: &str) -> Vec<String> {
    events.iter().filter(|event| event_type(event) == wanted).cloned().collect()
}

/// The type of an event; or what a bucket tells of.
fn event_type(message: &str) -> String {
    let message: Value = serde_json::from_str(message).unwrap();
    message["type"].as_str().unwrap_or(A_FILE).to_owned()
}

pub(crate) fn id(value: &Value) -> Uuid {
    value.as_str().unwrap().parse().unwrap()
}

/// Whether a path is one of a route's.
fn matches(pattern: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let mut parts = path.split('/');
    let fits = pattern.split('/').all(|wanted| {
        parts.next().is_some_and(|part| part == wanted || wanted.starts_with('{') && !part.is_empty())
    });
    fits && parts.next().is_none()
}
