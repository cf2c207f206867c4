use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use super::{CHECKS, Evidence, Finding};
use crate::{
    drain::{Drained, Message},
    journal::{Attempt, Deed, Outcome, What},
    ledger::Outage,
    recorder::{Change, Published, Recording, TABLES},
    stores::{Entry, ReportRows},
    story::LogLine,
    visit::{Reports, Visit},
};

pub(super) const PRODUCT: &str = "00000000-0000-7000-8000-000000000001";
pub(super) const CUSTOMER: &str = "00000000-0000-7000-8000-000000000002";
pub(super) const GONE: &str = "00000000-0000-7000-8000-000000000003";
pub(super) const CONFIRMED: &str = "00000000-0000-8000-8000-000000000004";
pub(super) const CANCELLED: &str = "00000000-0000-8000-8000-000000000005";
pub(super) const REJECTED: &str = "00000000-0000-8000-8000-000000000006";
/// When everything was made.
const PLACED: &str = "2026-11-22T09:30:00.000Z";
/// What the one who is gone gave.
pub(super) const MARK: &str = "fee1dead-0000-4000-8000-000000000007";

/// A shop in which a product was made and its stock changed, one order was shipped, one cancelled and one rejected, and
/// somebody deleted their account.
pub(super) struct Scene {
    pub(super) deeds: Vec<Deed>,
    pub(super) recording: Recording,
    pub(super) drained: Drained,
    pub(super) poison: Vec<String>,
    pub(super) messages: Vec<Message>,
    pub(super) log: Vec<LogLine>,
    /// What the tables say instead of what was recorded.
    pub(super) kept: BTreeMap<(&'static str, String), Option<Value>>,
    pub(super) outages: Vec<Outage>,
    pub(super) report: ReportRows,
    pub(super) cache: Vec<Entry>,
    pub(super) visit: Visit,
    pub(super) reports: Reports,
    pub(super) verified: Vec<String>,
    /// Milliseconds since 1970; everything takes its time.
    clock: u64,
}

impl Scene {
    pub(super) fn new() -> Self {
        let mut scene = Self {
            deeds: Vec::new(),
            recording: Recording::default(),
            drained: Drained::default(),
            poison: vec!["poison-1".to_owned()],
            messages: Vec::new(),
            log: Vec::new(),
            kept: BTreeMap::new(),
            outages: Vec::new(),
            report: report(),
            cache: vec![entry("dev:products:v1:product:1", "{}")],
            visit: Visit::default(),
            reports: reports(),
            verified: Vec::new(),
            clock: 1_795_000_000_000,
        };
        scene.drained.dead_letters = vec![message("dev-stock-requests-dlq", r#"{"poison":"poison-1"}"#)];
        scene.users();
        let product = |version, stock: i64| json!({ "product_id": PRODUCT, "name": "Mug", "category": "kitchen", "stock": stock, "version": version, "created_at": PLACED });
        scene.answer(What::CreateProduct { stock: 10 }, 201, product(1, 10));
        scene.write("products", PRODUCT, product(1, 10));
        scene.answer(scene.stock_change(5, "key-1"), 200, product(2, 15));
        scene.write("products", PRODUCT, product(2, 15));
        let key = format!("stock-change#{PRODUCT}#1");
        scene.write("products", &key, json!({ "product_id": key, "stock_change": 5, "expires_at": 1 }));

        scene.order(CONFIRMED, CUSTOMER, 2, &["CONFIRMED", "SHIPPED"], None);
        scene.reservation(CONFIRMED, 2, &["RESERVED"]);
        scene.write("products", PRODUCT, product(3, 13));
        scene.answer(What::Ship { order_id: CONFIRMED.to_owned() }, 200, Value::Null);

        scene.order(CANCELLED, GONE, 3, &["CONFIRMED", "CANCELLED"], Some("account_deleted"));
        scene.reservation(CANCELLED, 3, &["RESERVED", "RELEASED"]);
        scene.write("products", PRODUCT, product(4, 10));
        scene.write("products", PRODUCT, product(5, 13));

        scene.order(REJECTED, CUSTOMER, 99, &["REJECTED"], Some("out_of_stock"));
        scene.reservation(REJECTED, 99, &["REJECTED"]);
        scene.visit.products.insert(PRODUCT.to_owned(), (200, product(5, 13)));
        for list in [None, Some("kitchen".to_owned())] {
            scene.visit.lists.insert(list, vec![product(5, 13)]);
        }
        scene
    }

    fn users(&mut self) {
        let gone = (format!("{MARK}@chaos.example"), format!("Ada {MARK}"));
        let stays = ("stays@chaos.example".to_owned(), "Grace".to_owned());
        for (user_id, (email, name)) in [(GONE, &gone), (CUSTOMER, &stays)] {
            let user = json!({
                "user_id": user_id, "email": email, "name": name, "role": "customer", "version": 1,
            });
            self.answer(What::Register { email: email.clone() }, 201, user.clone());
            self.write("users", user_id, user);
            let claim = format!("email#{email}");
            self.write("users", &claim, json!({ "user_id": claim, "owner": user_id }));
        }
        self.remove("users", &format!("email#{}", gone.0));
        self.remove("users", GONE);
        self.answer(What::DeleteAccount { user_id: GONE.to_owned() }, 204, Value::Null);
    }

    pub(super) fn stock_change(&self, change: i64, key: &str) -> What {
        What::ChangeStock { product_id: PRODUCT.to_owned(), change, key: key.to_owned() }
    }

    /// An order with all its versions, and the request for it.
    fn order(&mut self, id: &str, user_id: &str, units: i64, then: &[&str], reason: Option<&str>) {
        let items = json!([{ "product_id": PRODUCT, "quantity": units }]);
        let priced = json!([{ "product_id": PRODUCT, "quantity": units, "unit_price": price() }]);
        let mut order = json!({
            "order_id": id, "user_id": user_id, "status": "PENDING", "items": items, "version": 1,
            "history": [{ "status": "PENDING", "at": PLACED }], "created_at": PLACED,
        });
        let what = What::Place {
            user_id: user_id.to_owned(),
            key: format!("key of {id}"),
            items: vec![(PRODUCT.to_owned(), units)],
        };
        self.answer(what, 201, order.clone());
        self.write("orders", id, order.clone());
        for status in then {
            order["status"] = (*status).into();
            order["version"] = (order["version"].as_i64().unwrap() + 1).into();
            order["history"].as_array_mut().unwrap().push(json!({ "status": status, "at": at(status) }));
            if *status == "CONFIRMED" {
                order["items"] = priced.clone();
                order["total"] = json!({ "amount": 5 * units, "currency": "EUR" });
            }
            if then.last() == Some(status)
                && let Some(reason) = reason
            {
                order["reason"] = reason.into();
            }
            self.write("orders", id, order.clone());
        }
    }

    fn reservation(&mut self, order: &str, units: i64, states: &[&str]) {
        let key = format!("reservation#{order}");
        for (index, state) in states.iter().enumerate() {
            let price = price();
            self.write(
                "products",
                &key,
                json!({
                    "product_id": key, "order_id": order, "state": state, "version": index + 1,
                    "lines": [{ "product_id": PRODUCT, "quantity": units, "unit_price": price }],
                }),
            );
        }
    }

    /// Somebody wants something and is told this.
    pub(super) fn answer(&mut self, what: What, status: u16, body: Value) {
        self.attempt(what, Outcome::Answer { status, etag: None, body, request_id: None });
    }

    /// Somebody wants something, with this outcome.
    pub(super) fn attempt(&mut self, what: What, outcome: Outcome) {
        let attempt = Attempt { at: self.now(), took: Duration::from_millis(5), skewed: false, outcome };
        let number = self.deeds.len();
        self.deeds.push(Deed { number, shopper: 0, what, attempts: vec![attempt], complaints: Vec::new() });
    }

    /// A row is written, and whatever event that is, is published.
    pub(super) fn write(&mut self, table: &'static str, key: &str, row: Value) {
        self.change(table, key, Some(row));
    }

    pub(super) fn remove(&mut self, table: &'static str, key: &str) {
        self.change(table, key, None);
    }

    fn change(&mut self, table: &'static str, key: &str, after: Option<Value>) {
        let id = format!("change-{}", self.recording.changes.len());
        let at = self.now();
        self.recording.changes.push(Change { at, table, id: id.clone(), key: key.to_owned(), after });
        let announced = self.recording.announcements().into_iter().find(|(change, _)| change.id == id);
        if let Some((_, event)) = announced {
            let body = json!({
                "id": id, "type": event.kind, "subject": event.subject, "data": { "version": event.version },
            });
            let at = self.now();
            self.recording.events.push(Published { at, table, body });
        }
    }

    /// Somebody reads the product and is shown this version.
    pub(super) fn read(&mut self, version: i64) {
        let row = json!({ "product_id": PRODUCT, "version": version });
        self.answer(What::ReadProduct { product_id: PRODUCT.to_owned() }, 200, row);
    }

    /// A row of the reports.
    pub(super) fn reported(&mut self, table: &str, id: &str) -> &mut Value {
        let rows = self.report.get_mut(table).unwrap();
        rows.iter_mut().find(|row| row["order_id"] == id || row["product_id"] == id).unwrap()
    }

    /// Nothing happens for so long.
    pub(super) fn wait(&mut self, seconds: u64) {
        self.clock += seconds * 1000;
    }

    /// The last recorded change of a row.
    pub(super) fn last(&mut self, table: &str, key: &str) -> &mut Value {
        let changes = self.recording.changes.iter_mut().rev();
        let mut of_row = changes.filter(|change| change.table == table && change.key == key);
        of_row.next().unwrap().after.as_mut().unwrap()
    }

    pub(super) fn now(&mut self) -> SystemTime {
        self.clock += 7;
        UNIX_EPOCH + Duration::from_millis(self.clock)
    }

    /// The promises that are not kept, with what was found.
    pub(super) fn broken(&self) -> Vec<(&'static str, Vec<String>)> {
        let rows = self.recording.rows();
        let mut tables: BTreeMap<&'static str, BTreeMap<String, Value>> =
            TABLES.into_iter().map(|table| (table, BTreeMap::new())).collect();
        let recorded =
            rows.iter().flat_map(|(table, rows)| rows.iter().map(|(key, all)| (*table, *key, all)));
        for (table, key, changes) in recorded {
            let last = changes.last().unwrap().after.clone();
            let kept = self.kept.get(&(table, key.to_owned())).cloned().unwrap_or(last);
            tables.get_mut(table).unwrap().extend(kept.map(|row| (key.to_owned(), row)));
        }
        let evidence = Evidence {
            environment: "dev",
            faults: Vec::new(),
            outages: self.outages.clone(),
            deeds: &self.deeds,
            recording: &self.recording,
            drained: &self.drained,
            poison: &self.poison,
            rows,
            tables,
            messages: self.messages.clone(),
            log: self.log.clone(),
            report: self.report.clone(),
            cache: self.cache.clone(),
            visit: self.visit.clone(),
            reports: self.reports.clone(),
            verified: self.verified.clone(),
        };
        let found = |findings: Vec<Finding>| findings.into_iter().map(|finding| finding.found).collect();
        let judged = CHECKS.iter().map(|(promise, check)| (*promise, found(check(&evidence))));
        judged.filter(|(_, found): &(_, Vec<String>)| !found.is_empty()).collect()
    }
}

fn price() -> Value {
    json!({ "amount": 5, "currency": "EUR" })
}

/// When an order became this.
fn at(status: &str) -> &'static str {
    match status {
        "CONFIRMED" => "2026-11-22T09:31:00.000Z",
        "SHIPPED" => "2026-11-22T09:33:00.000Z",
        _ => "2026-11-22T09:32:00.000Z",
    }
}

/// What PostgreSQL has of that shop.
fn report() -> ReportRows {
    let order = |id: &str,
                 version,
                 user: Option<&str>,
                 status: &str,
                 reason: Option<&str>,
                 total: Option<i64>| {
        json!({
            "order_id": id, "version": version, "user_id": user, "status": status, "reason": reason, "total": total,
            "currency": total.map(|_| "EUR"), "placed_at": PLACED, "confirmed_at": total.map(|_| at("CONFIRMED")),
            "rejected_at": null, "cancelled_at": null, "shipped_at": null, "delivered_at": null,
        })
    };
    let mut shipped = order(CONFIRMED, 3, Some(CUSTOMER), "SHIPPED", None, Some(10));
    // As PostgreSQL writes it.
    shipped["shipped_at"] = "2026-11-22T09:33:00+00:00".into();
    let mut cancelled = order(CANCELLED, 3, None, "CANCELLED", Some("account_deleted"), Some(15));
    cancelled["cancelled_at"] = at("CANCELLED").into();
    let mut rejected = order(REJECTED, 2, Some(CUSTOMER), "REJECTED", Some("out_of_stock"), None);
    rejected["rejected_at"] = at("REJECTED").into();
    let line = |order: &str, units, revenue: Option<i64>, sold| {
        json!({
            "order_id": order, "product_id": PRODUCT, "units": units, "revenue": revenue, "sold": sold,
            "currency": revenue.map(|_| "EUR"), "placed_at": PLACED,
        })
    };
    let lines = vec![
        line(CONFIRMED, 2, Some(10), true),
        line(CANCELLED, 3, Some(15), false),
        line(REJECTED, 99, None, false),
    ];
    let product = json!({ "product_id": PRODUCT, "version": 1, "name": "Mug", "category": "kitchen", "deleted": false });
    let erased = json!({ "user_id": GONE, "erased_at": PLACED });
    let tables = [
        ("report.orders", vec![shipped, cancelled, rejected]),
        ("report.order_lines", lines),
        ("report.products", vec![product]),
        ("public.erased_customers", vec![erased]),
    ];
    tables.into_iter().map(|(table, rows)| (table.to_owned(), rows)).collect()
}

/// What the API reports of that shop.
fn reports() -> Reports {
    let sold = |of: &str, name: &str| {
        let revenue = json!({ "amount": 10, "currency": "EUR" });
        json!({ "items": [{ of: name, "orders": 1, "units": 2, "revenue": revenue }], "next_cursor": null })
    };
    let funnel = json!({
        "placed": 3, "confirmed": 2, "shipped": 1, "delivered": 0, "cancelled": 1,
        "rejected": { "orders": 1, "by_reason": [{ "reason": "out_of_stock", "orders": 1 }] },
        "open": { "pending": 0, "confirmed": 0, "shipped": 1 },
    });
    let sales = [
        ("day", sold("period", "2026-11-22")),
        ("product", sold("product_id", PRODUCT)),
        ("category", sold("category", "kitchen")),
    ];
    Reports { sales: sales.into(), funnel }
}

pub(super) fn entry(key: &str, value: &str) -> Entry {
    Entry { key: key.to_owned(), value: value.to_owned(), expires_in: Some(Duration::from_secs(30)) }
}

pub(super) fn message(queue: &str, body: &str) -> Message {
    Message { queue: queue.to_owned(), id: "message-1".to_owned(), body: body.to_owned() }
}
