//! Customers' orders: placed over HTTP, carried on by what product-service and user-service report.
//!
//! An order and everything that happens to it is one row; every change of it is one conditional write, whose
//! condition comes from the state machine in `domain`. The table's stream makes the events of it.

/// Use cases, shared by requests and messages.
mod app;
/// Orders, their parts, and what may happen to them in which status.
mod domain;
/// Messages that are accepted; events that row changes are.
mod events;
/// Routes, bodies, and what errors look like to clients.
mod http;
/// Keys, rows and conditional writes.
mod repository;

use access_token::AccessTokens;
use aws_types::SdkConfig;
use axum::{Router, extract::FromRef};
use dynamodb_store::{Cursors, Table};
use lambda_dispatch::{Change, Fact, HandlerError, Message, Service};
use service_config::{ApiSecret, ConfigError, DEFAULT_TTL, SecretCache};
use utoipa::openapi::OpenApi;

use crate::{app::Orders, repository::Repository};

/// The service, and the state of its routes.
#[derive(Debug, Clone)]
pub struct OrderService {
    orders: Orders,
    tokens: AccessTokens,
    secret: SecretCache<ApiSecret>,
    cursors: Cursors,
}

impl OrderService {
    /// The service as `TABLE_NAME` and `SECRET_ID` configure it, with its connections open.
    pub async fn connect(aws: &SdkConfig) -> Result<Self, ConfigError> {
        let table = Table::new(aws, service_config::required("TABLE_NAME")?);
        let secret_id = service_config::required("SECRET_ID")?;
        let repository = Repository::new(table.clone());
        let (secret, warm) = tokio::join!(SecretCache::load(aws, secret_id, DEFAULT_TTL), repository.ping());
        telemetry::can_fail("opening the connection to the table", warm);
        Ok(Self::new(table, secret?))
    }

    /// The service on a given table, with a given secret.
    pub fn new(table: Table, secret: SecretCache<ApiSecret>) -> Self {
        let (tokens, cursors) = (AccessTokens::new(secret.clone()), Cursors::new(secret.clone()));
        Self { orders: Orders::new(Repository::new(table)), tokens, secret, cursors }
    }
}

impl Service for OrderService {
    const NAME: &'static str = "order-service";
    const COLLECTION: &'static str = "orders";
    const OPENAPI: &'static str = include_str!("../openapi.json");

    fn routes() -> Router<Self> {
        http::routes()
    }

    fn documentation() -> OpenApi {
        http::documentation()
    }

    /// The secret can be read, and the table answers.
    async fn ready(&self) -> Result<(), HandlerError> {
        self.secret.check()?;
        Ok(self.orders.ready().await?)
    }

    async fn on_message(&self, message: Message) -> Result<(), HandlerError> {
        events::handle(&self.orders, message).await
    }

    fn event_of(&self, change: &Change) -> Result<Option<Fact>, HandlerError> {
        events::event_of(change)
    }
}

impl FromRef<OrderService> for AccessTokens {
    fn from_ref(service: &OrderService) -> Self {
        service.tokens.clone()
    }
}
