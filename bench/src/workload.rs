//! The events that targets are called with, and a shop in which they make sense.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    event::Event,
    function::{Function, Launch},
    store::{API_KEY, ORDERS, Store},
    targets::{Job, PAGE, Program, parsed},
};

/// A token is valid for 15 minutes.
const TOKEN_LIFE: Duration = Duration::from_secs(5 * 60);
/// How many products the shop has.
const PRODUCT_COUNT: usize = 100;
/// More than all measurements take.
const STOCK: u32 = 900_000_000;

/// The events of all jobs, and a shop in which they make sense.
#[derive(Debug)]
pub struct Workload {
    events: PathBuf,
    samples: BTreeMap<(&'static str, &'static str), Event>,
    user_service: Function,
    token: String,
    token_since: Instant,
    products: Vec<String>,
    /// A pending order, as it is stored.
    order: Value,
}

impl Workload {
    /// Fills the store's tables through the services themselves, from samples in the folder `events`.
    pub fn new(events: &Path, store: &mut Store, launch: &dyn Fn(Program, &Store) -> Launch) -> Result<Self> {
        let (user_service, _) = Function::start(&launch(Program::UserService, store))?;
        let mut workload = Self {
            events: events.to_owned(),
            samples: BTreeMap::new(),
            user_service,
            token: String::new(),
            token_since: Instant::now(),
            products: Vec::new(),
            order: Value::Null,
        };
        workload.make_admin()?;
        let (mut product_service, _) = Function::start(&launch(Program::ProductService, store))?;
        for number in 0..PRODUCT_COUNT {
            let mut event = workload.sample("product-service", "create-product")?;
            let mut body = body_of(&event)?;
            body["name"] = format!("Product {number}").into();
            body["stock"] = STOCK.into();
            event["body"] = body.to_string().into();
            let product = ask(&mut product_service, &event, 201)?;
            workload.products.push(text(&product, "product_id")?);
        }
        let (mut order_service, _) = Function::start(&launch(Program::OrderService, store))?;
        let order = ask(&mut order_service, &workload.sample("order-service", "place-order")?, 201)?;
        workload.order = store.row(ORDERS, "order_id", &text(&order, "order_id")?)?;
        Ok(workload)
    }

    /// Events for so many calls, with everything in the store that they need.
    pub fn events(&mut self, job: Job, count: usize, store: &mut Store) -> Result<Vec<String>> {
        self.renew_token()?;
        (0..count).map(|_| Ok(self.event(job, store)?.to_string())).collect()
    }

    /// A request of a path, made from a sample.
    pub(crate) fn read(
        &mut self,
        service: &'static str,
        sample: &'static str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<String> {
        self.renew_token()?;
        Ok(self.request(service, sample, path, query)?.to_string())
    }

    /// Ids of the products.
    pub(crate) fn products(&self) -> &[String] {
        &self.products
    }

    /// A pending order of the customer who asks for orders, as it is stored.
    pub(crate) fn order(&self) -> &Value {
        &self.order
    }

    fn renew_token(&mut self) -> Result<()> {
        if self.token_since.elapsed() > TOKEN_LIFE { self.log_in() } else { Ok(()) }
    }

    fn request(
        &mut self,
        service: &'static str,
        sample: &'static str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Event> {
        let mut event = self.sample(service, sample)?;
        event["rawPath"] = path.into();
        event["requestContext"]["http"]["path"] = path.into();
        if let Some(proxy) = event["pathParameters"].get_mut("proxy") {
            *proxy = path.rsplit('/').next().into();
        }
        if !query.is_empty() {
            let pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
            event["rawQueryString"] = pairs.join("&").into();
            event["queryStringParameters"] = query.iter().copied().collect();
        }
        Ok(event)
    }

    fn event(&mut self, job: Job, store: &mut Store) -> Result<Event> {
        match job {
            Job::GetProduct | Job::Nothing => {
                let path = format!("/api/products/{}", self.products[0]);
                self.request("product-service", "get-product", &path, &[])
            }
            Job::ListProducts => {
                let limit = PAGE.to_string();
                self.request("product-service", "list-products", "/api/products", &[("limit", &limit)])
            }
            Job::Register => {
                let mut event = self.sample("user-service", "register")?;
                let mut body = body_of(&event)?;
                body["email"] = format!("{}@example.com", Uuid::now_v7()).into();
                event["body"] = body.to_string().into();
                Ok(event)
            }
            Job::Login => self.sample("user-service", "login"),
            Job::PlaceOrder => {
                let mut event = self.sample("order-service", "place-order")?;
                event["headers"]["idempotency-key"] = Uuid::now_v7().to_string().into();
                Ok(event)
            }
            Job::StockRequests(messages) => {
                let products = self.products.clone();
                self.batch("product-service", "order-placed", messages, |number, event, order_id| {
                    let data = &mut event["data"];
                    data["order_id"] = order_id.into();
                    data["items"][0]["product_id"] = products[number % products.len()].as_str().into();
                })
            }
            Job::OrderProcessing(messages) => self.about_pending_orders("stock-reserved", messages, store),
            Job::OrderChanges(records) => {
                self.changes("order-service", "order-changes", 0, records, |change| {
                    let id = Uuid::now_v7().to_string();
                    change["Keys"]["order_id"]["S"] = id.as_str().into();
                    change["NewImage"]["order_id"]["S"] = id.into();
                })
            }
            Job::PutRow => {
                let mut event = self.sample("order-service", "place-order")?;
                let mut row = body_of(&event)?;
                let now = "2026-11-22T09:44:00.120Z";
                row["product_id"] = Uuid::now_v7().to_string().into();
                row["user_id"] = Uuid::now_v7().to_string().into();
                row["status"] = "PENDING".into();
                row["history"] = json!([{"status": "PENDING", "at": now}]);
                row["request_hash"] =
                    "7bdd551b4ff37a89fd9bd8fcc96f779a0f42e85c057630d96c4ea3228ca1b1ac".into();
                row["version"] = 1.into();
                row["created_at"] = now.into();
                row["updated_at"] = now.into();
                event["body"] = row.to_string().into();
                Ok(event)
            }
        }
    }

    /// A batch of so many messages to order-service, each about another pending order.
    pub(crate) fn about_pending_orders(
        &mut self,
        name: &'static str,
        messages: usize,
        store: &mut Store,
    ) -> Result<Event> {
        let mut orders = Vec::new();
        let row = self.order.clone();
        let batch = self.batch("order-service", name, messages, |_, event, order_id| {
            event["data"]["order_id"] = order_id.into();
            let mut row = row.clone();
            row["order_id"]["S"] = order_id.into();
            orders.push(row);
        })?;
        store.write_rows(ORDERS, &orders)?;
        Ok(batch)
    }

    /// A stream's batch of so many copies of a record of a sample.
    pub(crate) fn changes(
        &mut self,
        service: &'static str,
        name: &'static str,
        record: usize,
        records: usize,
        vary: impl Fn(&mut Value),
    ) -> Result<Event> {
        let mut event = self.sample(service, name)?;
        let record = event["Records"][record].clone();
        let records = (0..records).map(|number| {
            let mut record = record.clone();
            record["eventID"] = Uuid::now_v7().simple().to_string().into();
            let change = &mut record["dynamodb"];
            vary(change);
            change["SequenceNumber"] = format!("40000000000000004990{number:05}").into();
            record
        });
        event["Records"] = records.collect();
        Ok(event)
    }

    /// A queue's batch of so many copies of a sample message, each about an order of its own.
    pub(crate) fn batch(
        &mut self,
        service: &'static str,
        name: &'static str,
        messages: usize,
        mut change: impl FnMut(usize, &mut Value, &str),
    ) -> Result<Event> {
        let mut event = self.sample(service, name)?;
        let record = event["Records"][0].clone();
        let mut records = Vec::new();
        for number in 0..messages {
            let mut record = record.clone();
            let mut message = body_of(&record)?;
            let order_id = Uuid::now_v7().to_string();
            message["id"] = Uuid::now_v7().simple().to_string().into();
            message["subject"] = order_id.as_str().into();
            change(number, &mut message, &order_id);
            record["messageId"] = Uuid::now_v7().to_string().into();
            record["body"] = message.to_string().into();
            records.push(record);
        }
        event["Records"] = records.into();
        Ok(event)
    }

    fn sample(&mut self, service: &'static str, name: &'static str) -> Result<Event> {
        if !self.samples.contains_key(&(service, name)) {
            let path = self.events.join(service).join(name).with_extension("json");
            let text = fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
            let event = Event::new(text).with_context(|| format!("{}", path.display()))?;
            self.samples.insert((service, name), event);
        }
        let mut event = self.samples[&(service, name)].clone();
        if let Some(authorization) = event["headers"].get_mut("authorization") {
            *authorization = format!("Bearer {}", self.token).into();
        }
        Ok(event)
    }

    /// The user of the samples, with the rights of an admin.
    fn make_admin(&mut self) -> Result<()> {
        let event = self.sample("user-service", "register")?;
        let user_id = text(&ask(&mut self.user_service, &event, 201)?, "user_id")?;
        let mut event = self.sample("user-service", "change-role")?;
        let path = format!("/api/users/{user_id}/role");
        event["rawPath"] = path.as_str().into();
        event["requestContext"]["http"]["path"] = path.into();
        event["headers"]["x-api-key"] = API_KEY.into();
        ask(&mut self.user_service, &event, 200)?;
        self.log_in()
    }

    fn log_in(&mut self) -> Result<()> {
        let event = self.sample("user-service", "login")?;
        self.token = text(&ask(&mut self.user_service, &event, 200)?, "access_token")?;
        self.token_since = Instant::now();
        Ok(())
    }
}

/// Sends a request to a function and answers the body of the answer.
fn ask(function: &mut Function, event: &Event, status: u16) -> Result<Value> {
    let answer = function.invoke(&event.to_string())?.body;
    let answer = answer.unwrap_or_else(|error| format!("a failed invocation: {error}"));
    let path = event["rawPath"].as_str().unwrap_or_default();
    ensure!(
        parsed(&answer)["statusCode"] == status,
        "{path}: expected status {status}, got {answer}{}",
        function.last_words()
    );
    Ok(parsed(parsed(&answer)["body"].as_str().unwrap_or_default()))
}

fn body_of(event: &Value) -> Result<Value> {
    let body = event["body"].as_str().context("a sample without a body")?;
    Ok(serde_json::from_str(body)?)
}

fn text(value: &Value, name: &str) -> Result<String> {
    Ok(value[name].as_str().with_context(|| format!("no {name} in {value}"))?.to_owned())
}
