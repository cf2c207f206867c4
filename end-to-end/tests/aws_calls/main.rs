//! What AWS is asked to do, and so what is paid for: every route and every event, against the committed table.
//!
//! The functions are whole processes, as Lambda starts them. Everything that they call goes through one endpoint that
//! counts.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod filters;
mod function;
mod ledger;
mod metrics;
mod pictures;
mod saga;
mod shop;
mod table;
