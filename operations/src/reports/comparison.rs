use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    time::{Duration, Instant},
};

use serde::Deserialize;
use uuid::Uuid;

use super::tables::{Item, OrderRow, ProductRow};

/// Something that the reports and a table do not agree about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// `order` or `product`.
    pub kind: &'static str,
    /// Its id.
    pub id: Uuid,
    /// What differs, in words.
    pub says: String,
}

/// Orders of one status and currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub orders: u64,
    /// What they cost together, in minor units.
    pub total: i128,
}

/// Orders by status and, once it is known, currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals(pub BTreeMap<(String, String), Sum>);

/// Something that both a table and the reports have.
pub(super) trait Entry: Clone + PartialEq {
    const KIND: &'static str;

    fn id(&self) -> Uuid;

    /// What the reports should say differently, if they know this; `table` is what it should be.
    fn differences(table: &Self, report: &Self) -> Vec<String>;

    /// Whether the reports may know something that the table does not have.
    fn may_be_alone(&self) -> bool;
}

/// An order as the reports have it, or should have it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Order {
    pub(super) order_id: Uuid,
    version: u64,
    status: String,
    /// Nobody's once the account is gone.
    pub(super) user_id: Option<Uuid>,
    currency: Option<String>,
    total: Option<i64>,
    units: u64,
    lines: u64,
    /// What the lines cost together.
    revenue: Option<i64>,
}

/// A product as the reports have it, or should have it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Product {
    product_id: Uuid,
    version: u64,
    name: String,
    category: String,
    deleted: bool,
}

impl From<OrderRow> for Order {
    fn from(row: OrderRow) -> Self {
        let (currency, total) = row.total.map(|total| (total.currency, total.amount)).unzip();
        let products: HashSet<_> = row.items.iter().map(|item| item.product_id).collect();
        let cost = |item: &Item| Some(item.unit_price.as_ref()?.amount.saturating_mul(item.quantity.into()));
        Self {
            order_id: row.order_id,
            version: row.version,
            status: row.status,
            user_id: Some(row.user_id),
            currency,
            total,
            units: row.items.iter().map(|item| u64::from(item.quantity)).sum(),
            revenue: row.items.iter().filter_map(cost).reduce(i64::saturating_add),
            lines: products.len() as u64,
        }
    }
}

impl From<ProductRow> for Product {
    fn from(ProductRow { product_id, version, name, category }: ProductRow) -> Self {
        Self { product_id, version, name, category, deleted: false }
    }
}

impl Entry for Order {
    const KIND: &'static str = "order";

    fn id(&self) -> Uuid {
        self.order_id
    }

    fn differences(table: &Self, report: &Self) -> Vec<String> {
        let mut found = Differences::default();
        found.compare("status", &table.status, &report.status);
        let total = |order: &Self| match (order.total, &order.currency) {
            (None, None) => "none".to_owned(),
            (total, currency) => {
                let total = total.map_or("?".to_owned(), |total| total.to_string());
                format!("{total} {}", currency.as_deref().unwrap_or("?"))
            }
        };
        found.compare("total", &total(table), &total(report));
        found.compare("units", &table.units, &report.units);
        found.compare("lines", &table.lines, &report.lines);
        let revenue = |order: &Self| order.revenue.map_or("none".to_owned(), |revenue| revenue.to_string());
        found.compare("sum of the lines", &revenue(table), &revenue(report));
        match (table.user_id, report.user_id) {
            (table, report) if table == report => {}
            (None, Some(_)) => found.add("its customer, who is gone, is still in the report"),
            (Some(_), None) => found.add("its customer, who is not gone, is erased in the report"),
            (Some(table), Some(report)) => found.compare("customer", &table, &report),
            (None, None) => {}
        }
        found.versions(table.version, report.version);
        found.0
    }

    fn may_be_alone(&self) -> bool {
        false
    }
}

impl Entry for Product {
    const KIND: &'static str = "product";

    fn id(&self) -> Uuid {
        self.product_id
    }

    fn differences(table: &Self, report: &Self) -> Vec<String> {
        let mut found = Differences::default();
        found.compare("name", &table.name, &report.name);
        found.compare("category", &table.category, &report.category);
        if report.deleted {
            found.add("it is deleted in the report alone");
        }
        found.versions(table.version, report.version);
        found.0
    }

    /// What is gone from the shop keeps its name where it was sold.
    fn may_be_alone(&self) -> bool {
        self.deleted
    }
}

#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn add(&mut self, says: impl Into<String>) {
        self.0.push(says.into());
    }

    fn compare<T: PartialEq + fmt::Display>(&mut self, what: &str, table: &T, report: &T) {
        if table != report {
            self.add(format!("{what} {table} in the table, {report} in the report"));
        }
    }

    /// The report's version may be lower, as not every change of a row is told to others: that of an order whose customer's
    /// address was removed is not. It says where a difference comes from, and is none by itself unless it is higher.
    fn versions(&mut self, table: u64, report: u64) {
        if report > table || !self.0.is_empty() {
            self.compare("version", &table, &report);
        }
    }
}

/// What both sides have of one thing, and for how long they have had it.
#[derive(Debug, Clone)]
pub(super) struct Pair<T> {
    pub(super) table: Option<T>,
    pub(super) report: Option<T>,
    since: Instant,
}

impl<T: Entry> Pair<T> {
    pub(super) fn new(table: Option<T>, report: Option<T>, now: Instant) -> Self {
        Self { table, report, since: now }
    }

    /// What a new look at both sides has shown.
    pub(super) fn look(&mut self, table: Option<T>, report: Option<T>, now: Instant) {
        if self.table != table || self.report != report {
            *self = Self::new(table, report, now);
        }
    }

    pub(super) fn id(&self) -> Option<Uuid> {
        self.table.as_ref().or(self.report.as_ref()).map(T::id)
    }

    /// Whether what it is now is how it stays: it has not changed for so long.
    pub(super) fn has_settled(&self, time: Duration, now: Instant) -> bool {
        now.duration_since(self.since) >= time
    }

    /// How the two sides differ, if they do.
    pub(super) fn difference(&self) -> Option<Difference> {
        let (id, says) = match (&self.table, &self.report) {
            (None, None) => return None,
            (Some(table), None) => (table.id(), vec!["it is missing in the report".to_owned()]),
            (None, Some(report)) if report.may_be_alone() => return None,
            (None, Some(report)) => (report.id(), vec!["it is in the report alone".to_owned()]),
            (Some(table), Some(report)) => (table.id(), T::differences(table, report)),
        };
        (!says.is_empty()).then(|| Difference { kind: T::KIND, id, says: says.join("; ") })
    }
}

impl Totals {
    pub(super) fn add(&mut self, order: &Order) {
        let currency = order.currency.clone().unwrap_or_default();
        let sum = self.0.entry((order.status.clone(), currency)).or_default();
        sum.orders += 1;
        sum.total += i128::from(order.total.unwrap_or_default());
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.kind, self.id, self.says)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUSTOMER: Uuid = Uuid::from_u128(7);

    fn order() -> Order {
        Order {
            order_id: Uuid::from_u128(1),
            version: 3,
            status: "SHIPPED".to_owned(),
            user_id: Some(CUSTOMER),
            currency: Some("EUR".to_owned()),
            total: Some(1000),
            units: 4,
            lines: 2,
            revenue: Some(1000),
        }
    }

    fn product() -> Product {
        Product {
            product_id: Uuid::from_u128(2),
            version: 5,
            name: "Slide rule".to_owned(),
            category: "instruments".to_owned(),
            deleted: false,
        }
    }

    fn says<T: Entry>(table: Option<T>, report: Option<T>) -> Option<String> {
        Pair::new(table, report, Instant::now()).difference().map(|difference| difference.says)
    }

    #[test]
    fn each_thing_that_an_order_can_differ_in_is_named() {
        let table = order;
        let is = |report: Order| says(Some(table()), Some(report)).unwrap_or_default();
        assert_eq!(is(order()), "");
        assert_eq!(
            is(Order { status: "CONFIRMED".to_owned(), version: 2, ..order() }),
            "status SHIPPED in the table, CONFIRMED in the report; version 3 in the table, 2 in the report"
        );
        assert_eq!(
            is(Order { total: Some(999), ..order() }),
            "total 1000 EUR in the table, 999 EUR in the report"
        );
        assert_eq!(
            is(Order { currency: Some("USD".to_owned()), ..order() }),
            "total 1000 EUR in the table, 1000 USD in the report"
        );
        assert_eq!(
            is(Order { total: None, currency: None, ..order() }),
            "total 1000 EUR in the table, none in the report"
        );
        assert_eq!(is(Order { units: 5, ..order() }), "units 4 in the table, 5 in the report");
        assert_eq!(is(Order { lines: 1, ..order() }), "lines 2 in the table, 1 in the report");
        assert_eq!(
            is(Order { revenue: None, ..order() }),
            "sum of the lines 1000 in the table, none in the report"
        );
        assert_eq!(is(Order { version: 4, ..order() }), "version 3 in the table, 4 in the report");
        assert_eq!(
            is(Order { user_id: None, ..order() }),
            "its customer, who is not gone, is erased in the report"
        );
        assert!(is(Order { user_id: Some(Uuid::nil()), ..order() }).starts_with("customer "));
        assert_eq!(says(Some(order()), None).unwrap(), "it is missing in the report");
        assert_eq!(says(None, Some(order())).unwrap(), "it is in the report alone");
    }

    #[test]
    fn a_customer_who_is_gone_has_to_be_gone_in_the_report() {
        let table = Order { user_id: None, ..order() };
        assert_eq!(
            says(Some(table.clone()), Some(order())).unwrap(),
            "its customer, who is gone, is still in the report"
        );
        assert_eq!(says(Some(table.clone()), Some(table)), None);
    }

    #[test]
    fn a_change_that_is_told_to_nobody_is_no_difference() {
        assert_eq!(says(Some(order()), Some(Order { version: 2, ..order() })), None);
    }

    #[test]
    fn each_thing_that_a_product_can_differ_in_is_named() {
        let is = |report: Product| says(Some(product()), Some(report)).unwrap_or_default();
        assert_eq!(is(product()), "");
        assert!(is(Product { name: "Ruler".to_owned(), ..product() }).starts_with("name Slide rule in the"));
        assert!(is(Product { category: "x".to_owned(), ..product() }).starts_with("category "));
        assert_eq!(is(Product { deleted: true, ..product() }), "it is deleted in the report alone");
        assert_eq!(is(Product { version: 6, ..product() }), "version 5 in the table, 6 in the report");
        assert_eq!(says(Some(product()), None).unwrap(), "it is missing in the report");
        assert_eq!(says(None, Some(product())).unwrap(), "it is in the report alone");
        assert_eq!(says(None, Some(Product { deleted: true, ..product() })), None);
    }

    #[test]
    fn what_is_under_way_has_not_settled() {
        let (start, time) = (Instant::now(), Duration::from_secs(30));
        let after = |seconds| start + Duration::from_secs(seconds);
        let pending = || Some(Order { status: "PENDING".to_owned(), version: 1, ..order() });
        let mut pair = Pair::new(Some(order()), pending(), start);
        pair.look(Some(order()), pending(), after(29));
        assert!(!pair.has_settled(time, after(29)));
        // It moves, on either side: whoever waits begins anew.
        pair.look(Some(order()), Some(Order { version: 2, ..order() }), after(29));
        assert!(!pair.has_settled(time, after(58)));
        pair.look(Some(Order { version: 4, ..order() }), Some(Order { version: 2, ..order() }), after(58));
        assert!(!pair.has_settled(time, after(87)) && pair.has_settled(time, after(88)));
    }

    #[test]
    fn totals_are_by_status_and_currency_and_never_mixed() {
        let mut totals = Totals::default();
        totals.add(&order());
        totals.add(&Order { total: Some(i64::MAX), ..order() });
        totals.add(&Order { currency: Some("USD".to_owned()), ..order() });
        totals.add(&Order { status: "PENDING".to_owned(), total: None, currency: None, ..order() });
        let sum = |status: &str, currency: &str| totals.0[&(status.to_owned(), currency.to_owned())];
        assert_eq!(sum("SHIPPED", "EUR"), Sum { orders: 2, total: i128::from(i64::MAX) + 1000 });
        assert_eq!(sum("SHIPPED", "USD"), Sum { orders: 1, total: 1000 });
        assert_eq!(sum("PENDING", ""), Sum { orders: 1, total: 0 });
    }
}
