//! Typed access to one DynamoDB table: items, pages, conditional writes, transactions.
//!
//! The crate knows no business names. It hides expressions, placeholders, unprocessed keys, look-ahead
//! paging, cancellation reasons and the retries that DynamoDB leaves to its callers.
//!
//! ```no_run
//! # use dynamodb_store::{Consistency, Key, StoreError, Table};
//! # use serde::{Deserialize, Serialize};
//! #[derive(Serialize, Deserialize)]
//! struct Row { order_id: String, status: String, version: i64 }
//!
//! # async fn example(table: Table, row: Row) -> Result<(), StoreError> {
//! table.create("order_id", &row).await?;
//! let key = Key::new("order_id", &row.order_id);
//! let read: Option<Row> = table.get(&key, Consistency::Strong).await?;
//! let shipped: Row = table
//!     .update(key)
//!     .set("status", "SHIPPED")
//!     .bump_version()
//!     .if_equals("status", "CONFIRMED")
//!     .send()
//!     .await?;
//! # Ok(()) }
//! ```
//!
//! - A failed condition is [`StoreError::ConditionFailed`] and carries the row as it is, so that its meaning
//!   can be decided without a second read. No other error is ever reported as an absent row.
//! - The SDK repeats a call whose answer was lost. A conditional write that did happen can therefore report a
//!   failed condition: compare the returned row with the intended one where that matters.
//! - Rows are read with [`Consistency`] spelled out; index queries are always eventually consistent.

/// Jittered exponential waiting between repeated calls.
mod backoff;
/// Positions in lists, sealed for the way through a client's hands.
mod cursor;
/// What can go wrong, by what a caller can do about it.
mod error;
/// Placeholders for names and values, shared by writes and queries.
mod expression;
/// Newest first over all rows, without a scan and without one hot partition.
mod feed;
/// Rows of one partition, page by page.
mod query;
/// The table: reads, and the start of every write.
mod table;
/// Several writes, all or nothing.
mod transaction;
/// One conditional write.
mod write;

pub use cursor::{CursorError, Cursors};
pub use error::StoreError;
pub use feed::{Feed, FeedEntry};
pub use query::{Page, Position, Query};
pub use table::{Consistency, Item, Key, Table, from_item, to_item};
pub use transaction::{Reason, Transaction, TransactionError};
pub use write::{Change, Delete, Removal, Update, Write};
