//! How many orders a second the shop can take on AWS, computed from what it calls and from AWS's limits.
//!
//! What an order takes follows from the table of calls that also the [bill](crate::bill) is made of. The tables of
//! `docs/SCALING.md` are written by the binary `scaling` and compared by `tests/scaling.rs`.

/// The tables of the document.
mod document;
/// The limits, and what one order takes of each.
mod limits;
/// What one order leads to.
mod order;

use std::path::{Path, PathBuf};

pub use document::refreshed;

/// Where the document is.
pub fn document_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/SCALING.md")
}
