//! What is measured: the functions, what they are called for, and what has to come back.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::store::{ORDERS, PRODUCTS, Store, Transport, USERS};

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
    /// The service.
    ReportService,
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
            Self::ReportService => "report-service",
            Self::NoOp => "no-op",
            Self::Lean => "lean",
            Self::Naive => "naive",
        }
    }

    /// Whether it belongs to the shop.
    pub fn is_service(self) -> bool {
        matches!(self, Self::UserService | Self::ProductService | Self::OrderService | Self::ReportService)
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
            ("BUCKET_NAME", "dev-product-images-000000000000"),
            ("DATABASE_SECRET_ID", "dev/microservices/database"),
            ("ENVIRONMENT", "dev"),
            ("EVENTS_TOPIC_ARN", &topic),
            ("LANG", "en_US.UTF-8"),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/000000000000/dev-report-events"),
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

/// Products of a page.
pub(crate) const PAGE: usize = 20;

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

/// Text as JSON; null if it is none.
pub(crate) fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
