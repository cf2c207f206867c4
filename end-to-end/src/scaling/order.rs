//! What one order leads to: the requests of the bill's example, and its saga in batches of ten.

use crate::bill::{PIECES, Piece, Work, billed_ms, work_of};

/// Records that queues and streams deliver at a time in a busy shop.
const BUSY: usize = 10;
/// Records of a stream's batch under load, as the template has it.
const STREAM_BATCH: usize = 100;
/// Of orders, and of looks at products, this part is about the product that is wanted most.
pub(super) const HOT_PRODUCT: f64 = 0.1;
/// Of the products in orders, and of the pages of categories, this part is in the largest category.
pub(super) const LARGEST_CATEGORY: f64 = 0.2;
/// Products of an order.
pub(super) const PRODUCTS: f64 = 2.0;

/// How often customers do something per order.
pub(super) fn times(name: &str) -> f64 {
    piece(name).per_order
}

/// Requests per order.
pub(super) fn requests() -> f64 {
    PIECES.iter().map(|piece| piece.per_order).sum()
}

/// Invocations of functions per order.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
pub(super) fn invocations() -> f64 {
    let of = |piece: &Piece| piece.per_order * (1.0 + (piece.triggers.len() - 1) as f64 / BUSY as f64);
    PIECES.iter().map(of).sum()
}

/// Seconds of invocations per order: so many run at once for one order a second.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
pub(super) fn seconds() -> f64 {
    let of = |piece: &Piece| {
        let batch = |index: usize| if index == 0 { 1 } else { BUSY };
        let works = piece.works().enumerate();
        let ms: f64 =
            works.map(|(index, work)| f64::from(billed_ms(work, batch(index))) / batch(index) as f64).sum();
        piece.per_order * ms / 1e3
    };
    PIECES.iter().map(of).sum()
}

/// The first call of a piece.
pub(super) fn first(name: &str) -> &'static Work {
    piece(name).works().next().unwrap_or_else(|| panic!("{name} has no call"))
}

/// Events that are published per order.
pub(super) fn events() -> f64 {
    // Both products of an order change.
    let records = |trigger: &&&str| if trigger.ends_with("product_updated") { PRODUCTS } else { 1.0 };
    stream_triggers("stream of ").iter().map(records).sum()
}

/// Records of a table's stream per order.
pub(super) fn records(table: &str) -> f64 {
    let records = |trigger: &&&str| if trigger.ends_with("product_updated") { PRODUCTS } else { 1.0 };
    stream_triggers(table).iter().map(records).sum()
}

fn stream_triggers(beginning: &str) -> Vec<&'static &'static str> {
    piece("order").triggers.iter().filter(|trigger| trigger.starts_with(beginning)).collect()
}

/// Records that one shard's invocations, one after the other, publish in a second.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
pub(super) fn records_per_shard() -> f64 {
    let ms = billed_ms(work_of("stream of orders: order_placed"), STREAM_BATCH);
    STREAM_BATCH as f64 / f64::from(ms) * 1e3
}

/// Messages that the invocations of one queue handle in a second, as many at once as the template allows.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
pub(super) fn messages_per_queue(at_once: f64) -> f64 {
    at_once * BUSY as f64 / f64::from(billed_ms(work_of("stock-requests: order_placed"), BUSY)) * 1e3
}

fn piece(name: &str) -> &'static Piece {
    PIECES.iter().find(|piece| piece.name == name).unwrap_or_else(|| panic!("{name} is no piece of the bill"))
}
