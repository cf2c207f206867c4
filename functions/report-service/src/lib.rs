//! What was sold: reports on orders, out of a database that the events of the other services keep up to date.
//!
//! The service changes nothing in the shop and publishes nothing. All that it has is a projection: it could be thrown away
//! and made anew from the tables of orders and products, which is what a rebuild does.

/// Use cases, shared by messages and tasks.
mod app;
/// The database: where it is, who may connect, what its failures mean.
mod database;
/// Orders and products, as far as reports need them.
mod domain;
/// Messages that are accepted.
mod events;
/// Routes, bodies, and what errors look like to clients.
mod http;
/// What reports are about, and how they are read.
mod reports;
/// Tables: what a change writes, rebuilds, the schema.
mod repository;
/// What operators ask for.
mod tasks;

use access_token::AccessTokens;
use aws_types::SdkConfig;
use axum::{Router, extract::FromRef};
use dynamodb_store::Cursors;
use lambda_dispatch::{Change, Fact, HandlerError, Message, Service, Task};
use serde_json::Value;
use service_config::{ApiSecret, ConfigError, DEFAULT_TTL, SecretCache};
use utoipa::openapi::OpenApi;

use crate::{app::Projection, reports::Reports, repository::Repository};

pub use crate::database::{Database, DatabaseError, Login, Place, SchemaMismatch, Transaction};

/// The service, and the state of its routes.
#[derive(Debug, Clone)]
pub struct ReportService {
    database: Database,
    projection: Projection,
    tokens: AccessTokens,
    secret: SecretCache<ApiSecret>,
    cursors: Cursors,
    reports: Reports,
}

impl ReportService {
    /// The service as `DATABASE_SECRET_ID` and `SECRET_ID` configure it. It connects to its database when it is first
    /// asked for something: the start of a function need not wait for a database that wakes up.
    pub async fn connect(aws: &SdkConfig) -> Result<Self, ConfigError> {
        let secret_id = service_config::required("SECRET_ID")?;
        let database_id = service_config::required("DATABASE_SECRET_ID")?;
        let (secret, database) =
            tokio::join!(SecretCache::load(aws, secret_id, DEFAULT_TTL), Database::load(aws, database_id));
        Ok(Self::new(database?, secret?))
    }

    /// The service on a given database, with a given secret.
    pub fn new(database: Database, secret: SecretCache<ApiSecret>) -> Self {
        let projection = Projection::new(Repository::new(database.clone()));
        let reports = Reports::new(database.clone());
        let (tokens, cursors) = (AccessTokens::new(secret.clone()), Cursors::new(secret.clone()));
        Self { database, projection, reports, tokens, secret, cursors }
    }
}

impl Service for ReportService {
    const NAME: &'static str = "report-service";
    const COLLECTION: &'static str = "reports";
    const PUBLISHES: bool = false;
    const OPENAPI: &'static str = include_str!("../openapi.json");

    fn routes() -> Router<Self> {
        http::routes()
    }

    fn documentation() -> OpenApi {
        http::documentation()
    }

    /// The secrets can be read, and the database answers and has the schema that this code knows.
    async fn ready(&self) -> Result<(), HandlerError> {
        self.secret.check()?;
        Ok(self.database.ready().await?)
    }

    async fn on_message(&self, message: Message) -> Result<(), HandlerError> {
        events::handle(&self.projection, message).await
    }

    async fn on_task(&self, task: Task) -> Result<Value, HandlerError> {
        tasks::handle(&self.projection, task).await
    }

    fn event_of(&self, _change: &Change) -> Result<Option<Fact>, HandlerError> {
        Err("report-service has no table".into())
    }
}

impl FromRef<ReportService> for AccessTokens {
    fn from_ref(service: &ReportService) -> Self {
        service.tokens.clone()
    }
}
