//! The store against an emulator with the template's tables, and against scripted faults.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

/// Errors that an emulator doesn't make.
mod faults;
/// Queries and feeds.
mod lists;
/// Reads of single and many rows.
mod reads;
/// Several writes at once.
mod transactions;
/// Conditional writes of one row.
mod writes;

use dynamodb_store::Table;
use serde::{Deserialize, Serialize};
use test_support::{Emulator, TestTable};

/// A row of the orders table, as far as the store is concerned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    order_id: String,
    user_id: String,
    status: String,
    stock: i64,
    #[serde(default)]
    history: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    version: i64,
    created_at: String,
}

fn row(order_id: &str) -> Row {
    Row {
        order_id: order_id.to_owned(),
        user_id: "user".to_owned(),
        status: "PENDING".to_owned(),
        stock: 5,
        history: Vec::new(),
        reason: None,
        version: 1,
        created_at: "2026-11-22T09:44:00.000Z".to_owned(),
    }
}

fn orders() -> Table {
    Table::new(&Emulator::sdk_config(), TestTable::orders().name())
}
