//! The shop as a whole: what no single service can show.
//!
//! - [`openapi`]: the API of all services in one document.
//! - `tests/openapi.rs`: the committed document is the one that the code generates.
//! - `tests/template.rs`: what the template promises about permissions and queues.
//! - `tests/shop`: all services in one process, events carried between them by the subscriptions of the template, in
//!   any order and any number of times. Needs nothing but Rust.
//! - `tests/local_cloud`: the deployed stack on the local cloud. `cargo xtask test` runs them; on their own they are
//!   ignored.

use order_service::OrderService;
use product_service::ProductService;
use user_service::UserService;
use utoipa::openapi::OpenApi;

/// The OpenAPI document of all services together.
pub fn openapi() -> OpenApi {
    let mut document = lambda_dispatch::openapi::<UserService>();
    document.merge(lambda_dispatch::openapi::<ProductService>());
    document.merge(lambda_dispatch::openapi::<OrderService>());
    document.info.title = "Shop".to_owned();
    document.info.description = Some("Users, products and orders of an online shop.".to_owned());
    document
}

/// The same as the text that is committed as `docs/openapi.json`.
pub fn openapi_json() -> Result<String, serde_json::Error> {
    Ok(openapi().to_pretty_json()? + "\n")
}
