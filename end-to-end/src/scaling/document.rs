//! The tables of `docs/SCALING.md`.

use std::fmt::Write;

use super::{
    limits::{LOOKED_UP, Limit, NEW_ENVIRONMENTS, NEW_TABLE_WRITES, Source, limits},
    order,
};
use crate::{
    bill::work_of,
    parts::{NoSuchPart, thousands, with_parts},
};

/// Orders in a second.
const RATES: [f64; 3] = [10.0, 100.0, 10_000.0];
/// Why writing can't fail.
const TEXT: &str = "a text takes any text";

/// The document with its generated parts as they are now.
pub fn refreshed(document: &str) -> Result<String, NoSuchPart> {
    let limits = limits();
    let parts = [
        ("order", one_order()),
        ("limits", table(&limits)),
        ("design", design(&limits)),
        ("bursts", bursts()),
        ("sources", sources(&limits)),
    ];
    with_parts(document, &parts)
}

fn one_order() -> String {
    let rows = [
        ("requests", format!("{}", order::requests())),
        ("invocations", format!("{:.1}", order::invocations())),
        ("seconds of invocations", format!("{:.2}", order::seconds())),
        ("events", format!("{}", order::events())),
        ("orders for the product that is wanted most", format!("{}", order::HOT_PRODUCT)),
        ("products in the largest category", format!("{} of {}", order::LARGEST_CATEGORY, order::PRODUCTS)),
    ];
    let mut text = String::from("| for one order | |\n|---|--:|\n");
    for (what, value) in rows {
        writeln!(text, "| {what} | {value} |").expect(TEXT);
    }
    text
}

/// How much of each limit is used.
fn table(limits: &[Limit]) -> String {
    let rates: Vec<String> = RATES.iter().map(|rate| format!("{}/s", thousands(*rate))).collect();
    let mut text = format!(
        "| limit | there is | one order takes | {} | reached at |\n|---|--:|---|{}--:|\n",
        rates.join(" | "),
        "--:|".repeat(RATES.len())
    );
    for limit in limits {
        let Limit { what, figure, unit, per_order, arithmetic, .. } = limit;
        let used = RATES.map(|rate| percent(rate * per_order / figure));
        writeln!(
            text,
            "| {what} | {} {unit} | {arithmetic} | {} | {}/s |",
            thousands(*figure),
            used.join(" | "),
            thousands(limit.reached_at())
        )
        .expect(TEXT);
    }
    text
}

fn percent(part: f64) -> String {
    match part * 100.0 {
        over if over >= 100.0 => format!("**{} %**", thousands(over)),
        below if below < 1.0 => "< 1 %".to_owned(),
        below => format!("{below:.0} %"),
    }
}

fn design(limits: &[Limit]) -> String {
    let mut text = String::from("| limit | what the design does | what to change before |\n|---|---|---|\n");
    for Limit { what, design, change, .. } in limits {
        writeln!(text, "| {what} | {design} | {change} |").expect(TEXT);
    }
    text
}

/// From a shop in which nobody is to so many orders a second, at once.
fn bursts() -> String {
    let mut text = String::from(
        "| orders/s, from none | environments | until there are as many | write units of products | doublings of a new \
         table, 30 minutes each |\n|--:|--:|--:|--:|--:|\n",
    );
    for rate in RATES {
        let environments = rate * order::seconds();
        // The functions get theirs side by side, and user-service and product-service need most of them.
        let seconds = environments / NEW_ENVIRONMENTS * 10.0;
        let writes = rate * work_of("stock-requests: order_placed").table_writes;
        let doublings = (writes / NEW_TABLE_WRITES).log2().ceil().max(0.0);
        writeln!(
            text,
            "| {} | {} | {} | {} | {doublings:.0} |",
            thousands(rate),
            thousands(environments.ceil()),
            if seconds < 1.0 { "at once".to_owned() } else { format!("{seconds:.0} s") },
            thousands(writes)
        )
        .expect(TEXT);
    }
    text
}

fn sources(limits: &[Limit]) -> String {
    let mut text = format!("Looked up on {LOOKED_UP}.\n\n| limit | figure | from |\n|---|--:|---|\n");
    for Limit { what, figure, unit, source, .. } in limits {
        let from = match source {
            Source::Page(name, address) => format!("[{name}]({address})"),
            Source::Template(name) => format!("`template.yaml`, `{name}`"),
            Source::Measured(path, name) => format!("measured: [{name}]({path})"),
        };
        writeln!(text, "| {what} | {} {unit} | {from} |", thousands(*figure)).expect(TEXT);
    }
    text
}
