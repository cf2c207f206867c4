//! What is measured: the functions, what they are called with, and what has to come back.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    event::Event,
    function::{Function, Launch},
    store::{API_KEY, ORDERS, PRODUCTS, Store, Transport, USERS},
};

/// A function that can be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// The service.
    UserService,
    /// The service.
    ProductService,
    /// The service.
    OrderService,
    /// The least that a function can do.
    NoOp,
    /// The leanest handler with the SDK.
    Lean,
    /// All defaults.
    Naive,
}

/// What a function is called with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// `GET /api/products/{id}`.
    GetProduct,
    /// `GET /api/products?limit=20`.
    ListProducts,
    /// `POST /api/users`, a new address each time.
    Register,
    /// `POST /api/users/login`.
    Login,
    /// `POST /api/orders`, a new key each time.
    PlaceOrder,
    /// So many messages to product-service, each a new order of another product.
    StockRequests(usize),
    /// So many messages to order-service, each about another pending order.
    OrderProcessing(usize),
    /// So many changes of the orders table, each a new order.
    OrderChanges(usize),
    /// An order-like row for a reference, a new one each time.
    PutRow,
    /// Any request at all.
    Nothing,
}

/// A function with a job.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What it is called in results.
    pub name: &'static str,
    /// The function.
    pub program: Program,
    /// What it is called with.
    pub job: Job,
    /// Whether the function's cold start is measured with this job.
    pub cold: bool,
    /// Of the calls that others get, one in so many is enough: it takes long.
    pub share: usize,
}

/// All of them.
pub const TARGETS: [Target; 16] = [
    target("product-get", Program::ProductService, Job::GetProduct).started_cold(),
    target("product-list", Program::ProductService, Job::ListProducts),
    target("user-register", Program::UserService, Job::Register).one_in(10),
    target("user-login", Program::UserService, Job::Login).one_in(10).started_cold(),
    target("order-post", Program::OrderService, Job::PlaceOrder).started_cold(),
    target("stock-requests-1", Program::ProductService, Job::StockRequests(1)).one_in(4),
    target("stock-requests-10", Program::ProductService, Job::StockRequests(10)).one_in(4),
    target("order-processing-1", Program::OrderService, Job::OrderProcessing(1)).one_in(4),
    target("order-processing-10", Program::OrderService, Job::OrderProcessing(10)).one_in(4),
    target("order-changes-1", Program::OrderService, Job::OrderChanges(1)),
    target("order-changes-10", Program::OrderService, Job::OrderChanges(10)),
    target("no-op", Program::NoOp, Job::Nothing).started_cold(),
    target("lean-get", Program::Lean, Job::GetProduct).started_cold(),
    target("lean-put", Program::Lean, Job::PutRow),
    target("naive-get", Program::Naive, Job::GetProduct).started_cold(),
    target("naive-put", Program::Naive, Job::PutRow),
];

const fn target(name: &'static str, program: Program, job: Job) -> Target {
    Target { name, program, job, cold: false, share: 1 }
}

impl Target {
    const fn started_cold(self) -> Self {
        Self { cold: true, ..self }
    }

    const fn one_in(self, share: usize) -> Self {
        Self { share, ..self }
    }
}

impl Program {
    /// The name that folder and binary share.
    pub fn name(self) -> &'static str {
        match self {
            Self::UserService => "user-service",
            Self::ProductService => "product-service",
            Self::OrderService => "order-service",
            Self::NoOp => "no-op",
            Self::Lean => "lean",
            Self::Naive => "naive",
        }
    }

    /// Whether it belongs to the shop.
    pub fn is_service(self) -> bool {
        matches!(self, Self::UserService | Self::ProductService | Self::OrderService)
    }

    /// All that it finds in its environment, as Lambda and the template set it, but for the Runtime API's address.
    pub fn environment(self, store: &Store, transport: Transport) -> Vec<(String, String)> {
        let name = self.name();
        let collection = match self {
            Self::UserService => "user",
            Self::OrderService => "order",
            _ => "product",
        };
        let table = match self {
            Self::UserService => USERS,
            Self::OrderService => ORDERS,
            _ => PRODUCTS,
        };
        let log_group = format!("/aws/lambda/dev-{name}");
        let topic = format!("arn:aws:sns:us-east-1:000000000000:dev-{collection}-events");
        let queue = format!("https://sqs.us-east-1.amazonaws.com/000000000000/dev-{collection}s-stream-dlq");
        let own = [
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
            ("AWS_LAMBDA_FUNCTION_NAME", name),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", &log_group),
            ("AWS_LAMBDA_LOG_LEVEL", "INFO"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/22/[$LATEST]0123456789abcdef0123456789abcdef"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            ("AWS_SESSION_TOKEN", "a-session-token-of-nobody"),
            ("ENVIRONMENT", "dev"),
            ("EVENTS_TOPIC_ARN", &topic),
            ("LANG", "en_US.UTF-8"),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("SECRET_ID", "dev/microservices/api-gateway"),
            ("STREAM_DLQ_URL", &queue),
            ("TABLE_NAME", table),
            ("TZ", ":UTC"),
            ("_HANDLER", "bootstrap"),
        ];
        let own = own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        own.chain(store.environment(transport)).collect()
    }
}

/// A token is valid for 15 minutes.
const TOKEN_LIFE: Duration = Duration::from_secs(5 * 60);
/// How many products the shop has.
const PRODUCT_COUNT: usize = 100;
const PAGE: usize = 20;
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
            Job::OrderProcessing(messages) => {
                let mut orders = Vec::new();
                let row = self.order.clone();
                let batch =
                    self.batch("order-service", "stock-reserved", messages, |_, event, order_id| {
                        event["data"]["order_id"] = order_id.into();
                        let mut row = row.clone();
                        row["order_id"]["S"] = order_id.into();
                        orders.push(row);
                    })?;
                store.write_rows(ORDERS, &orders)?;
                Ok(batch)
            }
            Job::OrderChanges(records) => {
                let mut event = self.sample("order-service", "order-changes")?;
                let record = event["Records"][0].clone();
                let records = (0..records).map(|number| {
                    let mut record = record.clone();
                    let id = Uuid::now_v7().to_string();
                    record["eventID"] = Uuid::now_v7().simple().to_string().into();
                    let change = &mut record["dynamodb"];
                    change["Keys"]["order_id"]["S"] = id.as_str().into();
                    change["NewImage"]["order_id"]["S"] = id.into();
                    change["SequenceNumber"] = format!("40000000000000004990{number:05}").into();
                    record
                });
                event["Records"] = records.collect();
                Ok(event)
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

    /// A queue's batch of so many copies of a sample message, each about an order of its own.
    fn batch(
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

impl Job {
    /// How many events the function has to publish for one call.
    pub fn published(self) -> usize {
        match self {
            Self::OrderChanges(records) => records,
            _ => 0,
        }
    }

    /// Whether it is a batch, from a queue or a stream.
    pub fn is_batch(self) -> bool {
        matches!(self, Self::StockRequests(_) | Self::OrderProcessing(_) | Self::OrderChanges(_))
    }

    /// An error unless this is the right answer; it tells what was expected and what came.
    pub fn check(self, answer: &str) -> Result<()> {
        let is_right = match self {
            Self::GetProduct => answered(answer, 200, |body| body["product_id"].is_string()),
            Self::ListProducts => answered(answer, 200, |body| {
                body["items"].as_array().is_some_and(|items| items.len() == PAGE)
            }),
            Self::Register => answered(answer, 201, |body| body["user_id"].is_string()),
            Self::Login => answered(answer, 200, |body| body["access_token"].is_string()),
            Self::PlaceOrder => answered(answer, 201, |body| body["status"] == "PENDING"),
            Self::PutRow => answered(answer, 201, Value::is_object),
            Self::StockRequests(_) | Self::OrderProcessing(_) | Self::OrderChanges(_) => {
                parsed(answer)["batchItemFailures"].as_array().is_some_and(Vec::is_empty)
            }
            Self::Nothing => parsed(answer)["statusCode"] == 200,
        };
        ensure!(is_right, "expected {}, got {answer}", self.expectation());
        Ok(())
    }

    fn expectation(self) -> String {
        match self {
            Self::GetProduct => "status 200 and the product".to_owned(),
            Self::ListProducts => format!("status 200 and {PAGE} products"),
            Self::Register => "status 201 and the user".to_owned(),
            Self::Login => "status 200 and a token".to_owned(),
            Self::PlaceOrder => "status 201 and a pending order".to_owned(),
            Self::PutRow => "status 201".to_owned(),
            Self::StockRequests(_) | Self::OrderProcessing(_) | Self::OrderChanges(_) => {
                "no failed item".to_owned()
            }
            Self::Nothing => "status 200".to_owned(),
        }
    }
}

fn answered(answer: &str, status: u16, body: impl FnOnce(&Value) -> bool) -> bool {
    let answer = parsed(answer);
    answer["statusCode"] == status && body(&parsed(answer["body"].as_str().unwrap_or_default()))
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_answers_are_told_from_right_ones() {
        let http =
            |status: u16, body: Value| json!({"statusCode": status, "body": body.to_string()}).to_string();
        Job::GetProduct.check(&http(200, json!({"product_id": "p"}))).unwrap();
        Job::OrderChanges(2).check(r#"{"batchItemFailures":[]}"#).unwrap();
        for (job, wrong) in [
            (Job::GetProduct, http(200, json!({}))),
            (Job::GetProduct, http(304, json!({"product_id": "p"}))),
            (Job::ListProducts, http(200, json!({"items": [1, 2]}))),
            (Job::StockRequests(1), r#"{"batchItemFailures":[{"itemIdentifier":"m"}]}"#.to_owned()),
            (Job::StockRequests(1), "{}".to_owned()),
            (Job::Nothing, String::new()),
        ] {
            let error = job.check(&wrong).unwrap_err().to_string();
            assert!(error.contains("expected") && error.contains(&wrong), "{error}");
        }
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = TARGETS.iter().map(|target| target.name).collect();
        assert_eq!(names.len(), TARGETS.len());
    }
}
