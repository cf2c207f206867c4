//! How fast the functions start and answer: real `bootstrap` files behind a stand-in for the Lambda Runtime API, and
//! beside them references that are as lean, and as naive, as functions get.
//!
//! `cargo xtask bench` builds all of it and runs it. In front of the functions is [`runtime_api`], behind them the
//! [`store`], a process of its own; [`targets`] says what they are called with, and [`measure`] in which order.

/// Reads with a cache and without.
pub mod cache;
/// One clock for all processes; processor time.
pub mod clock;
/// A sample event, filled in.
mod event;
/// One started `bootstrap`.
pub mod function;
/// What becomes of calls when there are many rows.
pub mod growth;
/// Everybody orders one product.
pub mod hot_product;
/// HTTP/1.1, as little as is needed.
pub mod http1;
/// The deployed shop under load.
pub mod load;
/// The order of all measurements.
pub mod measure;
/// The size of a package.
mod package;
/// How far a phase is.
mod progress;
/// A share of a processor.
mod quota;
/// The table of results.
pub mod report;
/// Reports on many orders.
pub mod reports;
/// The stand-in for the Lambda Runtime API.
pub mod runtime_api;
/// Minutes under load: does anything grow?
pub mod soak;
/// Percentiles.
pub mod stats;
/// The stand-in for AWS.
pub mod store;
/// Functions, calls, and the right answers.
pub mod targets;
/// The events that targets are called with.
pub mod workload;

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// On Ctrl-C, and on being asked to end, lets the next step fail, so that everything that was started is ended in
/// order. A second time ends at once.
pub fn stop_on_signals() -> Result<()> {
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    })
    .context("can't handle Ctrl-C")
}

/// Whether this process was asked to end.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}
