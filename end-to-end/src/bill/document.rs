//! The tables of `docs/performance/costs.md`.

use std::fmt::Write;

use super::{
    calls::{EVENTS, Log, ROUTES, SAGA, STARTS, Work, work_of},
    costs::{Bill, PIECES, billed_ms, invocation},
    optional,
    prices::{
        ALARMS, DASHBOARDS, KEY_CALLS, LOOKED_UP, METRICS, MILLION, PRICES, QUEUES, REGION, SECRET_CALLS,
        SECRETS, TRACES,
    },
};
use crate::parts::{NoSuchPart, thousands, with_parts};

/// Records per batch in a busy shop.
const BUSY: usize = 10;
/// Why writing can't fail.
const TEXT: &str = "a text takes any text";
/// Hours of a month.
const HOURS: f64 = 730.0;

/// The document with its generated parts as they are now.
pub fn refreshed(document: &str) -> Result<String, NoSuchPart> {
    let parts = [
        ("prices", prices()),
        ("pieces", pieces()),
        ("order", order()),
        ("month", month()),
        ("optional", optional::tables()),
        ("example", example()),
        ("calls", calls()),
    ];
    with_parts(document, &parts)
}

fn prices() -> String {
    let mut text = format!("Region {REGION}, looked up on {LOOKED_UP}.\n\n");
    text += "| unit | US dollars | listed in |\n|---|--:|---|\n";
    for price in PRICES {
        let per = match price.per {
            1.0 => String::new(),
            per => format!(" per {}", thousands(per)),
        };
        writeln!(text, "| {} | {}{per} | {} |", price.unit, price.dollars, price.page).expect(TEXT);
    }
    text
}

fn pieces() -> String {
    let mut text = header("a million times");
    for piece in &PIECES {
        if piece.triggers.len() == 1 {
            text += &row(piece.name, piece.of_a_million(1));
        } else {
            text += &row(&format!("{}, one at a time", piece.name), piece.of_a_million(1));
            text += &row(&format!("{}, {BUSY} at a time", piece.name), piece.of_a_million(BUSY));
        }
    }
    text
}

fn order() -> String {
    let mut text = String::from(
        "| step | calls | write units | index write units | read units | ms billed | one at a time | 10 at a time |\n\
         |---|---|--:|--:|--:|--:|--:|--:|\n",
    );
    for trigger in SAGA {
        let work = work_of(trigger);
        let Work { calls, reads, table_writes, index_writes, .. } = work;
        let dollars = |batch| invocation(work, batch).total() * MILLION;
        writeln!(
            text,
            "| {trigger} | {calls} | {table_writes} | {index_writes} | {reads} | {} | {:.2} | {:.2} |",
            billed_ms(work, 1),
            dollars(1),
            dollars(BUSY),
        )
        .expect(TEXT);
    }
    text
}

/// What is paid whether anybody orders or not.
fn monthly() -> Vec<(&'static str, String, f64)> {
    // Five pollers wait for 20 seconds each.
    let receives = 6.0 * 5.0 * 3.0 * 60.0 * HOURS;
    let refreshes = 12.0 * HOURS;
    // A key is asked for every five minutes: twice by each topic, once by each table.
    let keys = (3.0 * 2.0 + 3.0) * 12.0 * HOURS;
    vec![
        (
            "X-Ray, where it is on, at most: the first request of each second, in three functions",
            "3 functions × 3,600 s × 730 h".to_owned(),
            TRACES.of(3.0 * 3600.0 * HOURS),
        ),
        (
            "receives of six empty queues",
            "6 queues × 5 pollers × 180 / h × 730 h".to_owned(),
            QUEUES.of(receives),
        ),
        ("secrets", "2".to_owned(), SECRETS.of(2.0)),
        (
            "refreshing the secret, per busy environment",
            "12 / h × 730 h".to_owned(),
            SECRET_CALLS.of(refreshes),
        ),
        ("KMS for topics and tables, at most", "9 calls × 12 / h × 730 h".to_owned(), KEY_CALLS.of(keys)),
        ("metrics of orders: how long they take, in all and by outcome", "4".to_owned(), METRICS.of(4.0)),
        ("essential alarms", "12".to_owned(), ALARMS.of(12.0)),
        ("the dashboard", "1".to_owned(), DASHBOARDS.of(1.0)),
    ]
}

fn month() -> String {
    let mut text = String::from("| every month | units | US dollars |\n|---|---|--:|\n");
    for (name, units, dollars) in monthly() {
        writeln!(text, "| {name} | {units} | {dollars:.2} |").expect(TEXT);
    }
    text
}

fn example() -> String {
    let mut text = header("for a million orders");
    let mut sum = Bill::default();
    for piece in PIECES.iter().filter(|piece| piece.per_order > 0.0) {
        let bill = piece.of_a_million(BUSY) * piece.per_order;
        sum += bill;
        text += &row(&format!("{} × {}", piece.per_order, piece.name), bill);
    }
    text + &row("**sum**", sum)
}

fn calls() -> String {
    let mut text = String::new();
    let parts = [("start", STARTS), ("request", ROUTES), ("record of a queue or stream", EVENTS)];
    for (kind, works) in parts {
        write!(
            text,
            "| {kind} | calls | write units | index write units | read units |\n|---|---|--:|--:|--:|\n"
        )
        .expect(TEXT);
        for Work { trigger, case, calls, reads, table_writes, index_writes } in works {
            let case = if case.is_empty() { String::new() } else { format!(" ({case})") };
            let calls = if calls.is_empty() { "none" } else { calls };
            writeln!(text, "| {trigger}{case} | {calls} | {table_writes} | {index_writes} | {reads} |")
                .expect(TEXT);
        }
        text.push('\n');
    }
    let bytes = |kind: Log| kind.bytes();
    writeln!(
        text,
        "Bytes that the functions log per invocation: {} for a request, {} for a batch of a queue, {} for one of a \
         stream; and {} for each order that is settled, which are its metrics.",
        bytes(Log::Request),
        bytes(Log::Queue),
        bytes(Log::Stream),
        work_of("order-processing: stock_reserved").metric_bytes(),
    ).expect(TEXT);
    text
}

fn header(first: &str) -> String {
    let columns = Bill::COLUMNS.join(" | ");
    let rule = "--:|".repeat(Bill::COLUMNS.len() + 1);
    format!("| {first} | {columns} | **all** |\n|---|{rule}\n")
}

fn row(name: &str, bill: Bill) -> String {
    let parts: Vec<String> =
        bill.0.iter().map(|part| if *part == 0.0 { String::new() } else { format!("{part:.2}") }).collect();
    format!("| {name} | {} | **{:.2}** |\n", parts.join(" | "), bill.total())
}
