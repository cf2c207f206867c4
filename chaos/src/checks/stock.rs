use std::collections::BTreeMap;

use super::{Evidence, Finding, lines, number, text};
use crate::{announcements::is_id, journal::What};

/// Statuses of orders whose units are out of stock.
pub(super) const LIVE: [&str; 3] = ["CONFIRMED", "SHIPPED", "DELIVERED"];

/// How often a product's stock was changed by so many units.
type Differences = BTreeMap<i64, i64>;

/// No version of a product ever had less than nothing.
pub(super) fn is_never_negative(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (key, changes) in evidence.histories("products").filter(|(key, _)| is_id(key)) {
        for after in changes.iter().filter_map(|change| change.after.as_ref()) {
            // What is no number at all is no stock either.
            if after["stock"].as_i64().is_none_or(|stock| stock < 0) {
                let found = format!("product {key} at version {}: {}", after["version"], after["stock"]);
                findings.push(Finding::new(key, found));
            }
        }
    }
    findings
}

/// What is left of a product is what there was at first, with every change that somebody made, without the units of the
/// orders that are CONFIRMED, SHIPPED or DELIVERED.
pub(super) fn adds_up(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut sold = BTreeMap::<String, i64>::new();
    for (_, order) in evidence.entities("orders").filter(|(_, order)| LIVE.contains(&text(order, "status"))) {
        for (product, units) in lines(order, "items") {
            *sold.entry(product).or_default() += units;
        }
    }
    let changes = happened(evidence);
    let mut findings = Vec::new();
    for (key, product) in evidence.entities("products") {
        let first = evidence.history("products", key).first().and_then(|first| first.after.as_ref());
        let initial = first.map_or(0, |first| number(first, "stock"));
        let changed: i64 = changes.get(key).into_iter().flatten().map(|(units, times)| units * times).sum();
        let sold = sold.get(key).copied().unwrap_or_default();
        let stock = number(product, "stock");
        if stock != initial + changed - sold {
            let found = format!("product {key}: {stock} in stock, not {initial} + {changed} - {sold}");
            findings.push(Finding::new(key, found));
        }
    }
    findings
}

/// Each change leaves a row beside the product. There is one for each that was answered with 200, and for no more than
/// were asked for and never answered.
pub(super) fn changes_once(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut requests = BTreeMap::<(&str, &str, i64), Told>::new();
    for deed in evidence.deeds {
        if let What::ChangeStock { product_id, change, key } = &deed.what {
            // All under one key are one change.
            let told = requests.entry((product_id, key, *change)).or_default();
            told.answered |= deed.attempts.iter().any(|attempt| attempt.outcome.status() == Some(200));
            told.unknown |= deed.attempts.iter().any(|attempt| attempt.outcome.is_unknown());
        }
    }
    let mut bounds = BTreeMap::<(&str, i64), (i64, i64)>::new();
    for ((product, _, units), told) in requests {
        let (at_least, at_most) = bounds.entry((product, units)).or_default();
        *at_least += i64::from(told.answered);
        *at_most += i64::from(told.answered || told.unknown);
    }
    let happened = happened(evidence);
    let counts = |product: &str, units| happened.get(product).and_then(|counts| counts.get(&units)).copied();
    for (product, counts) in &happened {
        for units in counts.keys() {
            bounds.entry((product, *units)).or_default();
        }
    }
    let mut findings = Vec::new();
    for ((product, units), (at_least, at_most)) in bounds {
        let happened = counts(product, units).unwrap_or_default();
        if !(at_least..=at_most).contains(&happened) {
            let found = format!(
                "product {product}: changed by {units} {happened} times, which {at_least} were told, and {at_most} asked for"
            );
            findings.push(Finding::new(product, found));
        }
    }
    findings
}

/// What became of a request, as far as its sender knows.
#[derive(Default)]
struct Told {
    answered: bool,
    unknown: bool,
}

/// The changes of each product's stock that were made, by the rows that remember them.
fn happened<'e>(evidence: &'e Evidence<'_>) -> BTreeMap<&'e str, Differences> {
    let mut happened = BTreeMap::<&str, Differences>::new();
    for (key, changes) in evidence.histories("products") {
        let Some((product, _)) = key.strip_prefix("stock-change#").and_then(|rest| rest.split_once('#'))
        else {
            continue;
        };
        for row in changes.iter().filter_map(|change| change.after.as_ref()) {
            *happened.entry(product).or_default().entry(number(row, "stock_change")).or_default() += 1;
        }
    }
    happened
}
