//! Who the shop's customers and admins are: registration, login, sessions, accounts.
//!
//! One Lambda function takes the requests under `/api/users`, the change stream of its own table, and the messages about
//! uploaded pictures. No other service reads that table: they learn ids and roles from access tokens and events, never
//! a name or an address.

/// Use cases: registering, logging in and staying so, changing and deleting accounts, and their pictures.
mod app;
/// Users, what can change about them, and the values that they are made of.
mod domain;
/// What is done about files, and which event a change of a row is.
mod events;
/// Routes, bodies, and what an error means to a client.
mod http;
/// What a password has to be, and what is kept of it.
mod password;
/// What keeps a session going, and what is kept of it.
mod refresh_token;
/// Rows, keys, and the unique e-mail address.
mod repository;

use access_token::AccessTokens;
use aws_types::SdkConfig;
use axum::{Router, extract::FromRef};
use domain_events::Clock;
use dynamodb_store::{Cursors, Table};
use image_uploads::{ImageUploads, Kind};
use lambda_dispatch::{Change, Fact, HandlerError, Message, Service};
use service_config::{ApiSecret, DEFAULT_TTL, SecretCache, required};
use utoipa::openapi::OpenApi;

use crate::{
    app::{Accounts, Avatars, Sessions},
    repository::{Throttles, Users},
};

/// The pictures that this service keeps.
pub const AVATARS: Kind = Kind { prefix: "avatars", key: "user_id" };

/// The service with all that it needs: state of its routes, and what its function runs.
#[derive(Debug, Clone)]
pub struct UserService {
    accounts: Accounts,
    sessions: Sessions,
    avatars: Avatars,
    users: Users,
    tokens: AccessTokens,
    secret: SecretCache<ApiSecret>,
    cursors: Cursors,
}

impl UserService {
    /// The service as the environment describes it: `TABLE_NAME`, `SECRET_ID`, `BUCKET_NAME`, and `CDN_URL` if there is one.
    pub async fn connect(config: &SdkConfig) -> Result<Self, HandlerError> {
        let table = Table::new(config, required("TABLE_NAME")?);
        let secret_id = required("SECRET_ID")?;
        let images = ImageUploads::connect(config, table.clone(), AVATARS)?;
        let users = Users::new(table.clone());
        let (secret, warm) = tokio::join!(SecretCache::load(config, secret_id, DEFAULT_TTL), users.ping());
        telemetry::can_fail("warming up the table", warm);
        Ok(Self::new(table, images, secret?, Clock::default()))
    }

    /// The service on a given table, with given pictures, secret and clock.
    pub fn new(table: Table, images: ImageUploads, secret: SecretCache<ApiSecret>, clock: Clock) -> Self {
        let throttles = Throttles::new(table.clone(), secret.clone());
        let (users, tokens) = (Users::new(table), AccessTokens::new(secret.clone()));
        let cursors = Cursors::new(secret.clone());
        let sessions = Sessions::new(users.clone(), tokens.clone(), clock.clone());
        let avatars = Avatars::new(users.clone(), images, clock.clone());
        let accounts = Accounts::new(users.clone(), throttles, sessions.clone(), clock);
        Self { accounts, sessions, avatars, users, tokens, secret, cursors }
    }
}

impl Service for UserService {
    const NAME: &'static str = "user-service";
    const COLLECTION: &'static str = "users";
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
        Ok(self.users.ping().await?)
    }

    async fn on_message(&self, message: Message) -> Result<(), HandlerError> {
        events::handle(self, message).await
    }

    fn event_of(&self, change: &Change) -> Result<Option<Fact>, HandlerError> {
        events::event_of(change)
    }
}

impl FromRef<UserService> for AccessTokens {
    fn from_ref(service: &UserService) -> Self {
        service.tokens.clone()
    }
}
