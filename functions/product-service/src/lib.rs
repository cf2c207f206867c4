//! product-service: what the shop sells, and how much of it is left.
//!
//! Over HTTP it shows products to everybody and lets admins keep them. From the queue `stock-requests` it learns of
//! orders and takes or returns their stock: everything that an order takes, and the reservation that says so, in one
//! transaction. Pictures are uploaded to a bucket, which tells of them in the queue `image-uploads`. What changes in the
//! table becomes events on its topic.

/// Reserving and releasing the stock of orders; making products; their pictures.
mod app;
/// Products in Redis, where there is one.
mod cache;
/// Products, reservations, and the decision about an order. No input or output.
mod domain;
/// Messages that it accepts, and the events that changes of its rows mean.
mod events;
/// Routes, bodies, and the mapping from errors to problems.
mod http;
/// Keys, rows and conditional writes of its table.
mod repository;

use access_token::AccessTokens;
use aws_types::SdkConfig;
use axum::{Router, extract::FromRef};
use domain_events::Clock;
use dynamodb_store::{Cursors, Table};
use image_uploads::{ImageUploads, Kind};
use lambda_dispatch::{Change, Fact, HandlerError, Message, Service};
use service_config::{ApiSecret, SecretCache};
use utoipa::openapi::OpenApi;

pub use crate::cache::{Cache, CacheSecret, CacheSettings, Limits};
use crate::{
    app::{Counters, KnownOffers},
    repository::Repository,
};

/// The pictures of products, in their bucket and in the table.
pub const IMAGES: Kind = Kind { prefix: "images", key: "product_id" };

/// The service: its table, the bucket of its pictures, and the secret with which it knows admins and its own cursors.
#[derive(Clone, Debug)]
pub struct ProductService {
    repository: Repository,
    secret: SecretCache<ApiSecret>,
    tokens: AccessTokens,
    cursors: Cursors,
    known_offers: KnownOffers,
    counters: Counters,
    images: ImageUploads,
    clock: Clock,
    /// What products are read through, if it is there: see [`Cache`].
    cache: Option<Cache>,
}

impl ProductService {
    /// The service as its environment describes it: `TABLE_NAME`, `BUCKET_NAME`, `SECRET_ID`, and `CDN_URL` and `CACHE_URL`
    /// with `CACHE_SECRET_ID` if there is one.
    pub async fn connect(aws: &SdkConfig) -> Result<Self, HandlerError> {
        let table = Table::new(aws, service_config::required("TABLE_NAME")?);
        let secret_id = service_config::required("SECRET_ID")?;
        let images = ImageUploads::connect(aws, table.clone(), IMAGES)?;
        let repository = Repository::new(table.clone());
        // The first call opens the connection to the table: better now than in somebody's request.
        let clock = Clock::default();
        let (secret, warm_up, cache) = tokio::join!(
            SecretCache::load(aws, secret_id, service_config::DEFAULT_TTL),
            repository.reach(),
            Cache::from_env(aws, &clock)
        );
        telemetry::can_fail("warming up the table", warm_up);
        Ok(Self { cache: cache?, ..Self::new(table, images, secret?, clock) })
    }

    /// The service over a given table, pictures, secret and clock.
    pub fn new(table: Table, images: ImageUploads, secret: SecretCache<ApiSecret>, clock: Clock) -> Self {
        let (tokens, cursors) = (AccessTokens::new(secret.clone()), Cursors::new(secret.clone()));
        Self {
            repository: Repository::new(table),
            tokens,
            secret,
            cursors,
            known_offers: KnownOffers::default(),
            counters: Counters::default(),
            images,
            clock,
            cache: None,
        }
    }

    /// The service with a cache of its products.
    pub fn with_cache(self, cache: Cache) -> Self {
        Self { cache: Some(cache), ..self }
    }
}

impl Service for ProductService {
    const NAME: &'static str = "product-service";
    const COLLECTION: &'static str = "products";
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
        Ok(self.repository.reach().await?)
    }

    async fn on_message(&self, message: Message) -> Result<(), HandlerError> {
        events::handle(self, message).await
    }

    async fn on_changes(&self, changes: &[&Change]) {
        if let Some(cache) = &self.cache {
            cache.tell(events::news(changes)).await;
        }
    }

    fn event_of(&self, change: &Change) -> Result<Option<Fact>, HandlerError> {
        events::fact(change)
    }
}

impl FromRef<ProductService> for AccessTokens {
    fn from_ref(service: &ProductService) -> Self {
        service.tokens.clone()
    }
}
