/// New products, and what is remembered of those that may be asked for repeatedly.
mod creations;
/// The pictures of products: coming and going together with the rows of their uploads.
mod images;
/// The rows of stock reservations, and the transactions that take and return stock.
mod reservations;
/// Changes of the stock, and what is remembered of those that may be repeated.
mod stock;

use std::sync::Arc;

use domain_events::{Money, Timestamp};
use dynamodb_store::{
    Consistency, Feed, FeedEntry, Key, Page, Position, Reason, StoreError, Table, Transaction,
    TransactionError, Update, from_item,
};
use image_uploads::UploadError;
use serde::{Deserialize, Serialize};
use telemetry::Trace;
use uuid::Uuid;

pub(crate) use self::{
    creations::CreationRow,
    reservations::{Outcome, ReservationRow, Together},
    stock::{StockChangeRow, StockOrder},
};
use crate::domain::{Category, Description, Product, ProductChange, ProductImage, ProductName, Stock};

const KEY: &str = "product_id";
/// How long it is remembered what was done under a key: far longer than any client goes on trying.
const KEPT_SECONDS: i64 = 7 * 24 * 60 * 60;
const CATEGORY_INDEX: &str = "category-created_at-index";
const FEED_INDEX: &str = "feed-position-index";

/// The service's table: products, and the reservations of their stock.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    table: Table,
    feed: Feed,
}

/// A product after something that was to be done once.
#[derive(Debug)]
pub(crate) struct Answered {
    /// As it is by now.
    pub(crate) product: Product,
    /// It had been done before, under the same key.
    pub(crate) replayed: bool,
}

/// Why a product could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProductError {
    #[error("there is no such product")]
    NotFound,
    #[error("the product is not at the expected version")]
    StaleVersion,
    #[error("only {available} units are in stock")]
    InsufficientStock { available: u32 },
    #[error("stock would exceed {}", Stock::MAX)]
    TooMuchStock,
    #[error("the key was used for something else")]
    KeyReused,
    #[error("the product has as many pictures as it can have")]
    TooManyImages,
    #[error("the product has no such picture")]
    NoSuchImage,
    #[error(transparent)]
    Uploads(#[from] UploadError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Of a read that several have waited for.
    #[error("{0}")]
    Read(#[from] Arc<StoreError>),
}

/// A product as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ProductRow {
    product_id: Uuid,
    name: ProductName,
    description: Description,
    category: Category,
    price: Money,
    stock: u32,
    images: Vec<ProductImage>,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(flatten)]
    feed: FeedEntry,
    /// Trace of the request that caused the last change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) traceparent: Option<String>,
}

impl Repository {
    pub(crate) fn new(table: Table) -> Self {
        let feed = Feed::new(&table, FEED_INDEX);
        Self { table, feed }
    }

    /// The cheapest call that shows whether the table answers.
    pub(crate) async fn reach(&self) -> Result<(), StoreError> {
        self.table.get::<ProductRow>(&Key::new(KEY, "-"), Consistency::Eventual).await.map(drop)
    }

    pub(crate) async fn product(&self, id: Uuid, consistency: Consistency) -> Result<Product, ProductError> {
        self.find(id, consistency).await?.ok_or(ProductError::NotFound)
    }

    /// A product, if there is one with this id.
    pub(crate) async fn find(
        &self,
        id: Uuid,
        consistency: Consistency,
    ) -> Result<Option<Product>, StoreError> {
        let row: Option<ProductRow> = self.table.get(&Key::new(KEY, id), consistency).await?;
        Ok(row.map(Product::from))
    }

    /// Those products that there are, as they are now.
    pub(crate) async fn find_many(&self, ids: &[Uuid]) -> Result<Vec<Product>, StoreError> {
        let keys: Vec<Key> = ids.iter().map(|id| Key::new(KEY, id)).collect();
        let rows: Vec<ProductRow> = self.table.get_many(&keys, Consistency::Strong).await?;
        Ok(rows.into_iter().map(Product::from).collect())
    }

    /// Products of one category or of all, newest first.
    pub(crate) async fn products(
        &self,
        category: Option<&Category>,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Page<Product>, StoreError> {
        let page: Page<ProductRow> = match category {
            Some(category) => {
                let query = self.table.query(Some(CATEGORY_INDEX)).partition("category", category);
                query.newest_first().start_after(after).page(limit).await?
            }
            None => self.feed.page(after, limit).await?,
        };
        Ok(Page { items: page.items.into_iter().map(Product::from).collect(), next: page.next })
    }

    /// Changes a product in one write; if a version is expected, only that one. A product that is as it shall be already
    /// stays at its version.
    pub(crate) async fn change(
        &self,
        id: Uuid,
        change: ProductChange,
        expected: Option<u64>,
        at: Timestamp,
    ) -> Result<Product, ProductError> {
        let update = self
            .table
            .update(Key::new(KEY, id))
            .set_opt("name", change.name.as_ref())
            .set_opt("description", change.description.as_ref())
            .set_opt("category", change.category.as_ref())
            .set_opt("price", change.price)
            .if_different();
        let mut update = touch(update, at);
        if let Some(version) = expected {
            update = update.if_version(version);
        }
        match update.send::<ProductRow>().await {
            Ok(row) => Ok(row.into()),
            Err(StoreError::ConditionFailed { item: Some(item) }) => {
                let product = Product::from(from_item::<ProductRow>(item)?);
                let at_expected = expected.is_none_or(|version| version == product.version);
                // The version after the expected one, written at this very moment, is this change: its first answer was
                // lost and the repetition met its own work.
                let own = expected == product.version.checked_sub(1) && product.updated_at == at;
                if change.is_made_to(&product) && (at_expected || own) {
                    Ok(product)
                } else {
                    Err(ProductError::StaleVersion)
                }
            }
            Err(error) => Err(ProductError::of_change(error)),
        }
    }

    /// Removes a product; if a version is expected, only that one.
    pub(crate) async fn remove(&self, id: Uuid, expected: Option<u64>) -> Result<(), ProductError> {
        let mut delete = self.table.delete(Key::new(KEY, id)).if_exists();
        if let Some(version) = expected {
            delete = delete.if_version(version);
        }
        // A transaction, for its token: a removal whose answer is lost finds no product when it is repeated.
        match Transaction::new(&self.table).delete(delete).commit().await {
            Ok(()) => Ok(()),
            Err(TransactionError::Cancelled(reasons)) => match reasons.as_slice() {
                [Reason::ConditionFailed(None)] => Err(ProductError::NotFound),
                [Reason::ConditionFailed(Some(_))] => Err(ProductError::StaleVersion),
                _ => Err(rejected(&reasons).into()),
            },
            Err(TransactionError::Store(error)) => Err(error.into()),
        }
    }
}

impl ProductError {
    /// What it means that a change failed: without a row there is no product.
    fn of_change(error: StoreError) -> Self {
        match error {
            StoreError::ConditionFailed { item: None } => Self::NotFound,
            error => Self::Store(error),
        }
    }
}

impl ProductRow {
    fn new(product: &Product) -> Self {
        let product = product.clone();
        Self {
            feed: Feed::entry(product.product_id, product.created_at),
            product_id: product.product_id,
            name: product.name,
            description: product.description,
            category: product.category,
            price: product.price,
            stock: product.stock,
            images: product.images,
            version: product.version,
            created_at: product.created_at,
            updated_at: product.updated_at,
            traceparent: traceparent(),
        }
    }
}

impl From<ProductRow> for Product {
    fn from(mut row: ProductRow) -> Self {
        // They are kept in the order in which their files arrived.
        row.images.sort_unstable_by_key(|image| image.image_id);
        Self {
            product_id: row.product_id,
            name: row.name,
            description: row.description,
            category: row.category,
            price: row.price,
            stock: row.stock,
            images: row.images,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// What every change of a row leaves behind.
fn touch(update: Update, at: Timestamp) -> Update {
    let update = update.bump_version().set("updated_at", at);
    match traceparent() {
        Some(traceparent) => update.set("traceparent", traceparent),
        // The trace of an earlier change would send whoever follows it to the wrong request.
        None => update.remove("traceparent"),
    }
}

fn traceparent() -> Option<String> {
    Trace::current().map(|trace| trace.to_string())
}

/// A transaction that was cancelled for a reason that neither a repetition nor a new decision mends.
fn rejected(reasons: &[Reason]) -> StoreError {
    StoreError::Rejected(format!("cancelled: {reasons:?}").into())
}
