//! The shop as a whole: what no single service can show.
//!
//! - [`openapi`]: the API of all services in one document.
//! - `tests/openapi.rs`: the committed documents are those that the code generates.
//! - `tests/template.rs`: what the template says in the words of the code. What else it promises is checked in
//!   `template-checks/`.
//! - `tests/shop`: all services in one process, events carried between them by the subscriptions of the template, in
//!   any order and any number of times. Needs nothing but Rust.
//! - `tests/local_cloud`: the deployed stack on the local cloud. `cargo xtask test` runs them; on their own they are
//!   ignored.

/// What the shop costs.
pub mod bill;
/// Generated parts of documents.
mod parts;
/// How many orders a second the shop can take.
pub mod scaling;

use std::path::{Path, PathBuf};

use order_service::OrderService;
pub use parts::NoSuchPart;
use product_service::ProductService;
use report_service::ReportService;
use user_service::UserService;
use utoipa::openapi::OpenApi;

/// The OpenAPI document of all services together.
pub fn openapi() -> OpenApi {
    let mut document = lambda_dispatch::openapi::<UserService>();
    document.merge(lambda_dispatch::openapi::<ProductService>());
    document.merge(lambda_dispatch::openapi::<OrderService>());
    document.merge(lambda_dispatch::openapi::<ReportService>());
    document.info.title = "Shop".to_owned();
    document.info.description =
        Some("Users, products and orders of an online shop, and reports on them.".to_owned());
    document
}

/// Every OpenAPI document that is committed: the path of its file, and its text. Services serve their own.
pub fn openapi_documents() -> Result<Vec<(PathBuf, String)>, serde_json::Error> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let documents = [
        ("docs/openapi.json", openapi()),
        ("functions/user-service/openapi.json", lambda_dispatch::openapi::<UserService>()),
        ("functions/product-service/openapi.json", lambda_dispatch::openapi::<ProductService>()),
        ("functions/order-service/openapi.json", lambda_dispatch::openapi::<OrderService>()),
        ("functions/report-service/openapi.json", lambda_dispatch::openapi::<ReportService>()),
    ];
    let text = |(path, document): (&str, OpenApi)| Ok((root.join(path), document.to_pretty_json()? + "\n"));
    documents.into_iter().map(text).collect()
}
