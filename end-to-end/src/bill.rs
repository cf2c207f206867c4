//! What the shop costs on AWS, computed from what it calls.
//!
//! `calls` is the table that `tests/aws_calls` counts against. Times prices it makes the tables of
//! `docs/performance/costs.md`, which the binary `costs` writes and `tests/costs.rs` compares.

/// The calls of each invocation.
mod calls;
/// From calls to dollars.
mod costs;
/// The tables of the document.
mod document;
/// What is optional.
mod optional;
/// The price list, and what is taken for granted.
mod prices;

use std::path::{Path, PathBuf};

pub use calls::{A_FILE, EVENTS, Log, ROUTES, SAGA, STARTS, Work, is_store_call, work_of};
pub(crate) use costs::billed_ms;
pub use costs::{PIECES, Piece};
pub use document::refreshed;
pub use optional::REPORTED;

/// Where the document is.
pub fn document_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance/costs.md")
}
