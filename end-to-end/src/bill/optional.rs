//! What the cache and the reports cost, where they are switched on.

use std::fmt::Write;

use super::{
    calls::Log,
    costs::work_in,
    prices::{
        ADDRESSES, ALARMS, CACHE_NODES, CAPACITY, GATEWAYS, LOGS, MEMORY_GB, MILLION, PROXIES, QUEUES, READS,
        REQUESTS, SECRETS, STORE_MS, TIME, TRACED, TRACES,
    },
};

/// What report-service hears of an order of two lines that is delivered in the end, and how often.
pub const REPORTED: [(&str, usize); 5] = [
    ("order_placed", 1),
    // Both products have another stock.
    ("product_updated", 2),
    ("order_confirmed", 1),
    ("order_shipped", 1),
    ("order_delivered", 1),
];

/// Milliseconds that a message takes: a transaction of four calls to the database, two transactions at a time.
const PROJECTION_MS: f64 = 4.0;
/// Hours of a month.
const HOURS: f64 = 730.0;
/// The least capacity of the database, and the least that a proxy is paid for.
const LEAST_CAPACITY: f64 = 0.5;
const LEAST_CAPACITY_OF_A_PROXY: f64 = 8.0;
/// Milliseconds until Redis has answered a call.
const CACHE_MS: f64 = 1.0;
/// Why writing can't fail.
const TEXT: &str = "a text takes any text";

/// What reports cost per order, what both cost per month, and from when on the cache pays for itself.
pub(super) fn tables() -> String {
    let mut text =
        String::from("| reports, for a million orders | one at a time | 10 at a time |\n|---|--:|--:|\n");
    let rows = [1, 10].map(messages);
    for ((name, one), (_, ten)) in rows[0].iter().zip(&rows[1]) {
        writeln!(text, "| {name} | {one:.2} | {ten:.2} |").expect(TEXT);
    }
    let sums = rows.map(|rows| rows.iter().map(|(_, dollars)| dollars).sum::<f64>());
    writeln!(text, "| **sum** | **{:.2}** | **{:.2}** |\n", sums[0], sums[1]).expect(TEXT);

    text += "| every month | units | US dollars |\n|---|---|--:|\n";
    for (name, units, dollars) in monthly() {
        writeln!(text, "| {name} | {units} | {dollars:.2} |").expect(TEXT);
    }

    let rest = CACHE_NODES.of(2.0 * HOURS) + SECRETS.of(1.0) + network();
    text += "\n| what Redis answers | saved by a million | a month's, to pay for nodes, secret and network | a second |\n";
    text += "|---|--:|--:|--:|\n";
    for (name, case) in [
        ("a product", ("GET /api/products/{id}", "")),
        ("the first page of all products", ("GET /api/products", "")),
        ("the first page of a category", ("GET /api/products", "of a category")),
    ] {
        let (saved, hits) = (saved_by_a_hit(case) * MILLION, rest / saved_by_a_hit(case));
        let (billions, a_second) = (hits / 1e9, hits / (HOURS * 3600.0));
        writeln!(text, "| {name} | {saved:.2} | {billions:.1} billion | {a_second:.0} |").expect(TEXT);
    }
    text
}

/// What a million orders cost more, by what it is paid for, where the queue delivers `batch` messages at a time.
#[expect(clippy::cast_precision_loss, reason = "batches are small")]
fn messages(batch: usize) -> Vec<(&'static str, f64)> {
    let messages = REPORTED.iter().map(|(_, times)| *times as f64).sum::<f64>() * MILLION;
    let invocations = messages / batch as f64;
    let seconds = (PROJECTION_MS * batch as f64).ceil() / 1e3;
    vec![
        // SNS puts a message into a queue one at a time; Lambda takes them out and deletes them by the batch.
        ("SQS: six messages", QUEUES.of(messages + 2.0 * invocations)),
        ("Lambda", REQUESTS.of(invocations) + TIME.of(invocations * seconds * MEMORY_GB)),
        ("logs", LOGS.of(invocations * Log::Queue.bytes() as f64)),
        ("X-Ray", TRACES.of(invocations * TRACED)),
    ]
}

fn network() -> f64 {
    GATEWAYS.of(HOURS) + ADDRESSES.of(HOURS)
}

fn monthly() -> Vec<(&'static str, String, f64)> {
    vec![
        ("both: one NAT gateway and its address", "2 × 730 h".to_owned(), network()),
        ("`Cache`: two nodes of `cache.r7g.large`", "2 × 730 h".to_owned(), CACHE_NODES.of(2.0 * HOURS)),
        ("`Cache`: its secret", "1".to_owned(), SECRETS.of(1.0)),
        (
            "`Reporting`: an instance of half a capacity unit (two in prod)",
            "0.5 × 730 h".to_owned(),
            CAPACITY.of(LEAST_CAPACITY * HOURS),
        ),
        ("`Reporting`: secrets", "2".to_owned(), SECRETS.of(2.0)),
        (
            "`Reporting`: receives of an empty queue",
            "5 pollers × 180 / h × 730 h".to_owned(),
            QUEUES.of(5.0 * 180.0 * HOURS),
        ),
        ("`Reporting`: the alarm on dead letters", "1".to_owned(), ALARMS.of(1.0)),
        (
            "`ReportingProxy`: eight capacity units at least",
            "8 × 730 h".to_owned(),
            PROXIES.of(LEAST_CAPACITY_OF_A_PROXY * HOURS),
        ),
    ]
}

/// Dollars that a read costs less if Redis has it: the table's read units, and the milliseconds in which it is faster.
fn saved_by_a_hit((trigger, case): (&str, &str)) -> f64 {
    let work = work_in(trigger, case);
    READS.of(work.reads) + TIME.of((STORE_MS - CACHE_MS) / 1e3 * MEMORY_GB)
}
