//! What PostgreSQL has for reports, against what the tables have.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Evidence, Finding, accounts::deleted, number, stock::LIVE, text};
use crate::announcements::is_id;

const ORDERS: &str = "report.orders";
const LINES: &str = "report.order_lines";
const PRODUCTS: &str = "report.products";
const ERASED: &str = "public.erased_customers";

/// What says when an order became what it is.
const MOMENTS: [(&str, &str); 5] = [
    ("CONFIRMED", "confirmed_at"),
    ("REJECTED", "rejected_at"),
    ("CANCELLED", "cancelled_at"),
    ("SHIPPED", "shipped_at"),
    ("DELIVERED", "delivered_at"),
];

/// Every order is there once, as its last event left it, and no other.
pub(super) fn orders_are_reported(evidence: &Evidence<'_>) -> Vec<Finding> {
    let gone: BTreeSet<&str> = deleted(evidence).collect();
    let announced = announced(evidence);
    let expected = evidence.entities("orders").map(|(key, order)| {
        let user = Some(text(order, "user_id")).filter(|user| !gone.contains(user));
        let mut row = json!({
            "version": announced.get(key),
            "user_id": user,
            "status": order["status"],
            "reason": order["reason"],
            "currency": order["total"]["currency"],
            "total": order["total"]["amount"],
            "placed_at": millis(&order["created_at"]),
        });
        for (status, column) in MOMENTS {
            let mut steps = order["history"].as_array().into_iter().flatten();
            let step = steps.rfind(|step| step["status"] == status);
            row[column] = step.map_or(Value::Null, |step| millis(&step["at"]));
        }
        (key.to_owned(), row)
    });
    let found = rows(evidence, ORDERS).map(|row| {
        let key = text(row, "order_id");
        let mut same: Map<String, Value> = ["user_id", "status", "reason", "currency", "total"]
            .into_iter()
            .map(|column| (column.to_owned(), row[column].clone()))
            .collect();
        let columns = MOMENTS.into_iter().map(|(_, column)| column).chain(["placed_at"]);
        // The row of a customer who is gone is written once more, without an event: who reads the table knows of it.
        let (announced, written) = (announced.get(key).copied(), evidence.row("orders", key));
        let version = row["version"].as_i64();
        let is_known = version >= announced && version <= written.map(|order| number(order, "version"));
        same.insert("version".to_owned(), if is_known { announced } else { version }.into());
        same.extend(columns.map(|column| (column.to_owned(), millis(&row[column]))));
        (key.to_owned(), same.into())
    });
    differences("order", expected.collect(), found.collect())
}

/// So are the lines of orders: of several lines for one product, their sum.
pub(super) fn lines_are_reported(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut expected = BTreeMap::new();
    for (key, order) in evidence.entities("orders") {
        for (product, line) in sums(order) {
            let line = json!({
                "units": line.units,
                "revenue": line.revenue,
                "currency": line.currency,
                "sold": LIVE.contains(&text(order, "status")),
                "placed_at": millis(&order["created_at"]),
            });
            expected.insert(format!("{key} {product}"), line);
        }
    }
    let found = rows(evidence, LINES).map(|row| {
        let line = json!({
            "units": row["units"],
            "revenue": row["revenue"],
            "currency": row["currency"],
            "sold": row["sold"],
            "placed_at": millis(&row["placed_at"]),
        });
        (format!("{} {}", text(row, "order_id"), text(row, "product_id")), line)
    });
    differences("line", expected, found.collect())
}

/// So are products, also those that are gone, by the last names that they had. Of changes of their stock alone nothing has
/// to be known.
pub(super) fn products_are_reported(evidence: &Evidence<'_>) -> Vec<Finding> {
    let product = |row: &Value, deleted| json!({ "name": row["name"], "category": row["category"], "deleted": deleted });
    let mut expected = BTreeMap::new();
    for (key, changes) in evidence.histories("products").filter(|(key, _)| is_id(key)) {
        let last = changes.iter().rev().find_map(|change| change.after.as_ref());
        let is_gone = evidence.row("products", key).is_none();
        expected.extend(last.map(|row| (key.to_owned(), product(row, is_gone.into()))));
    }
    let found = rows(evidence, PRODUCTS)
        .map(|row| (text(row, "product_id").to_owned(), product(row, row["deleted"].clone())));
    differences("product", expected, found.collect())
}

/// So many orders, units and amounts are reported for each currency and status, and sold of each product and in each
/// category, as there are.
pub(super) fn totals_are_reported(evidence: &Evidence<'_>) -> Vec<Finding> {
    differences("total", kept_totals(evidence), reported_totals(evidence))
}

/// An operator who compares the reports with the tables finds no difference.
pub(super) fn verification_is_clean(evidence: &Evidence<'_>) -> Vec<Finding> {
    evidence.verified.iter().map(|difference| Finding::new("", difference)).collect()
}

/// Who is gone is nobody's customer here, and it is remembered that they are.
pub(super) fn erased_are_gone(evidence: &Evidence<'_>) -> Vec<Finding> {
    let gone: BTreeSet<&str> = deleted(evidence).collect();
    let remembered: BTreeSet<&str> = rows(evidence, ERASED).map(|row| text(row, "user_id")).collect();
    let mut findings: Vec<Finding> = rows(evidence, ORDERS)
        .filter(|row| gone.contains(&text(row, "user_id")))
        .map(|row| Finding::new(text(row, "order_id"), format!("whose customer is gone: {row}")))
        .collect();
    let differ = gone.symmetric_difference(&remembered);
    findings.extend(differ.map(|user| {
        let found = if gone.contains(user) { "is gone and not remembered" } else { "is erased and not gone" };
        Finding::new(*user, format!("user {user} {found}"))
    }));
    findings
}

/// The version of each order that its last event tells of.
fn announced<'e>(evidence: &'e Evidence<'_>) -> BTreeMap<&'e str, i64> {
    let announcements = evidence.recording.announcements().into_iter();
    let orders = announcements.filter(|(change, _)| change.table == "orders");
    orders.map(|(change, event)| (change.key.as_str(), event.version)).collect()
}

/// What is ordered of a product.
#[derive(Default)]
pub(super) struct Line {
    pub(super) units: i64,
    pub(super) revenue: Option<i64>,
    pub(super) currency: Option<String>,
}

/// What an order has of each product.
pub(super) fn sums(order: &Value) -> BTreeMap<&str, Line> {
    let mut sums = BTreeMap::<&str, Line>::new();
    for item in order["items"].as_array().into_iter().flatten() {
        let line = sums.entry(text(item, "product_id")).or_default();
        let units = number(item, "quantity");
        line.units += units;
        if let Some(price) = item["unit_price"]["amount"].as_i64() {
            line.revenue = Some(line.revenue.unwrap_or_default() + price * units);
            line.currency = item["unit_price"]["currency"].as_str().map(str::to_owned);
        }
    }
    sums
}

/// How many, and for how much.
#[derive(Default)]
struct Total {
    orders: i64,
    units: i64,
    revenue: i64,
}

#[derive(Default)]
struct Totals(BTreeMap<String, Total>);

impl Totals {
    fn add(&mut self, group: String, orders: i64, units: i64, revenue: i64) {
        let total = self.0.entry(group).or_default();
        total.orders += orders;
        total.units += units;
        total.revenue += revenue;
    }

    fn rows(self) -> BTreeMap<String, Value> {
        let row = |(group, Total { orders, units, revenue })| {
            (group, json!({ "orders": orders, "units": units, "revenue": revenue }))
        };
        self.0.into_iter().map(row).collect()
    }
}

fn kept_totals(evidence: &Evidence<'_>) -> BTreeMap<String, Value> {
    let mut totals = Totals::default();
    let category = |product: &str| {
        let versions = evidence.history("products", product).iter().rev();
        versions.filter_map(|change| change.after.as_ref()).map(|row| text(row, "category")).next()
    };
    for (_, order) in evidence.entities("orders") {
        let lines = sums(order);
        let status = text(order, "status");
        let group = format!("{status} {}", order["total"]["currency"]);
        let units = lines.values().map(|line| line.units).sum();
        totals.add(group, 1, units, number(&order["total"], "amount"));
        for (product, line) in lines.iter().filter(|_| LIVE.contains(&status)) {
            let Line { units, revenue, currency } = line;
            let currency = currency.as_deref().unwrap_or_default();
            totals.add(format!("{product} {currency}"), 1, *units, revenue.unwrap_or_default());
            let category = category(product).unwrap_or_default();
            totals.add(format!("{category} {currency}"), 1, *units, revenue.unwrap_or_default());
        }
    }
    totals.rows()
}

fn reported_totals(evidence: &Evidence<'_>) -> BTreeMap<String, Value> {
    let mut totals = Totals::default();
    let mut units = BTreeMap::<&str, i64>::new();
    let categories: BTreeMap<&str, &str> =
        rows(evidence, PRODUCTS).map(|row| (text(row, "product_id"), text(row, "category"))).collect();
    for line in rows(evidence, LINES) {
        *units.entry(text(line, "order_id")).or_default() += number(line, "units");
        if line["sold"] == true {
            let (product, currency) = (text(line, "product_id"), text(line, "currency"));
            let category = categories.get(product).copied().unwrap_or_default();
            for group in [format!("{product} {currency}"), format!("{category} {currency}")] {
                totals.add(group, 1, number(line, "units"), number(line, "revenue"));
            }
        }
    }
    for order in rows(evidence, ORDERS) {
        let units = units.get(text(order, "order_id")).copied().unwrap_or_default();
        totals.add(
            format!("{} {}", text(order, "status"), order["currency"]),
            1,
            units,
            number(order, "total"),
        );
    }
    totals.rows()
}

fn rows<'e>(evidence: &'e Evidence<'_>, table: &str) -> impl Iterator<Item = &'e Value> {
    evidence.report.get(table).into_iter().flatten()
}

/// A moment in milliseconds since 1970; what is none stays what it is.
fn millis(moment: &Value) -> Value {
    let moment = moment.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    moment.map_or(Value::Null, |moment| moment.as_millisecond().into())
}

/// What is missing, what is too much, and what is not the same.
fn differences(
    what: &str,
    expected: BTreeMap<String, Value>,
    found: BTreeMap<String, Value>,
) -> Vec<Finding> {
    let keys: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let mut findings = Vec::new();
    for key in keys {
        let (expected, found) = (expected.get(key), found.get(key));
        if expected == found {
            continue;
        }
        let entity = key.split(' ').next().unwrap_or_default();
        let text = |row: Option<&Value>| row.map_or_else(|| "nothing".to_owned(), Value::to_string);
        let found = format!("{what} {key} is reported as {}, and is {}", text(found), text(expected));
        findings.push(Finding::new(if is_id(entity) { entity } else { "" }, found));
    }
    findings
}
