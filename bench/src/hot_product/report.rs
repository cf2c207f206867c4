use std::fmt::Write;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::stats::Summary;

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Orders of one unit each.
    pub orders: usize,
    /// Units that there were.
    pub stock: usize,
    /// Environments at once.
    pub environments: u16,
    /// Messages of a batch.
    pub batch: u16,
    /// Milliseconds until the store answered.
    pub store_latency_ms: u64,
    /// Milliseconds more for a transaction, in which it kept its rows.
    pub transaction_ms: u64,
    /// Orders that got their unit.
    pub reserved: usize,
    /// Orders that were turned away.
    pub rejected: usize,
    /// Units that were not taken.
    pub stock_left: usize,
    /// Until the last order was decided, without the waiting below.
    pub seconds: f64,
    /// Seconds in which there was nothing to do but to wait for messages that had failed, which were left out.
    pub waited_seconds: f64,
    /// First, second and third deliveries of messages.
    pub deliveries: [u64; 3],
    /// Messages that failed, each time counted.
    pub failed: usize,
    /// Messages that went to the dead-letter queue.
    pub dead: usize,
    /// Transactions that were tried.
    pub transactions: u64,
    /// Transactions that were refused because of others for the same product.
    pub conflicts: u64,
    /// Transactions that were refused because the product was written too often.
    pub throttled: u64,
    /// Reads of the order's rows.
    pub reads: u64,
    /// How long batches took, in microseconds.
    pub batch_latency: Summary,
}

impl Report {
    /// An error unless every order was decided as it should be: as many as there were units, and none lost.
    pub fn check(&self) -> Result<()> {
        let expected = self.orders.min(self.stock);
        ensure!(self.dead == 0, "{} messages went to the dead-letter queue", self.dead);
        ensure!(
            (self.reserved, self.rejected, self.stock_left)
                == (expected, self.orders - expected, self.stock - expected),
            "{} of {} orders should have got their unit, {} did, and {} units are left",
            expected,
            self.orders,
            self.reserved,
            self.stock_left
        );
        Ok(())
    }

    /// All of it, for a terminal.
    pub fn text(&self) -> String {
        let per_order = |count: u64| count as f64 / self.orders as f64;
        let rows = [
            ("orders, units in stock", format!("{}, {}", self.orders, self.stock)),
            ("environments × batch", format!("{} × {}", self.environments, self.batch)),
            ("reserved, rejected", format!("{}, {}", self.reserved, self.rejected)),
            (
                "settled after",
                format!(
                    "{:.1} s, and {:.1} s of waiting that were left out",
                    self.seconds, self.waited_seconds
                ),
            ),
            ("orders per second", format!("{:.0}", self.orders as f64 / self.seconds)),
            (
                "transactions tried",
                format!("{}, {:.2} per order", self.transactions, per_order(self.transactions)),
            ),
            (
                "refused by conflicts",
                format!("{}, {:.2} per order", self.conflicts, per_order(self.conflicts)),
            ),
            (
                "refused by throttling",
                format!("{}, {:.2} per order", self.throttled, per_order(self.throttled)),
            ),
            ("reads", format!("{}, {:.2} per order", self.reads, per_order(self.reads))),
            ("deliveries", self.deliveries.map(|count| count.to_string()).join(", ")),
            ("failed messages", self.failed.to_string()),
            ("dead letters", self.dead.to_string()),
            (
                "a batch, p50 / p99 / max",
                [self.batch_latency.p50, self.batch_latency.p99, self.batch_latency.max]
                    .map(|micros| format!("{:.0} ms", micros / 1000.0))
                    .join(" / "),
            ),
        ];
        let mut text = String::new();
        for (name, value) in rows {
            // Writing to a string can't fail.
            writeln!(text, "  {name:<26} {value}").ok();
        }
        text
    }
}
