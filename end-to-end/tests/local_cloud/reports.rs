//! Reports: what the shop does is in them soon, they agree with the tables, and are made anew when they don't.

use std::{
    cell::Cell,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use domain_events::Timestamp;
use operations::{
    doctor::{self, Reach, State},
    reports::{Progress, Rebuild, Rebuilt, Reports, Sum, Verification, Verify},
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    client::{Client, PATIENCE, eventually},
    cloud,
};

/// What differs for longer than an event may take that nothing holds up.
const SETTLE: Duration = Duration::from_secs(20);
const PRICE: i64 = 4200;

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn what_becomes_of_orders_is_in_the_reports_soon() {
    let _turn = turn();
    let (admin, customer) = (Client::admin(), Client::customer());
    let product = admin.new_product(10);
    let delivered = customer.order(&product, 3);
    let cancelled = customer.order(&product, 2);
    let rejected = customer.order(&product, 1000);
    for order in [&delivered, &cancelled, &rejected] {
        customer.settled(order);
    }
    for step in ["ship", "deliver"] {
        admin.post(&format!("/api/orders/{delivered}/{step}"), &json!({})).expect(200);
    }
    customer.post(&format!("/api/orders/{cancelled}/cancel"), &json!({})).expect(200);

    let sold = json!([{
        "product_id": product, "name": "Slide rule", "category": "instruments",
        "orders": 1, "units": 3, "revenue": { "amount": 3 * PRICE, "currency": "EUR" },
    }]);
    eventually("the sale of the product", || (sales_of(&admin, &product) == sold).then_some(()));
    let path = format!("/api/reports/customers/{}", customer.user_id);
    let report = eventually("what became of the orders", || {
        let report = admin.get(&path);
        let statuses = ["CANCELLED", "DELIVERED", "REJECTED"];
        (report.status == 200 && statuses.iter().all(|status| report.body.contains(status)))
            .then(|| report.json())
    });
    assert_eq!((&report["orders"], &report["spent"]), (&json!(3), &json!([sold[0]["revenue"]])), "{report}");

    let funnel = admin.get(&format!("/api/reports/funnel?{}", today())).expect(200);
    assert!(funnel["delivered"].as_u64() >= Some(1) && funnel["cancelled"].as_u64() >= Some(1), "{funnel}");
    assert!(funnel["rejected"].to_string().contains("out_of_stock"), "{funnel}");

    let accept = [("accept", "text/csv".to_owned())];
    let path = format!("/api/reports/sales?by=day&{}", today());
    let csv = admin.send("GET", &path, &accept, None);
    assert_eq!(csv.status, 200, "{}", csv.body);
    assert!(csv.header("content-type").unwrap().starts_with("text/csv"), "{csv:?}");
    let lines: Vec<_> = csv.body.lines().collect();
    assert!(lines[0].starts_with("period,") && lines[1].ends_with(",EUR"), "{lines:?}");
    println!("{}", csv.body);
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn reports_are_for_administrators() {
    let customer = Client::customer();
    for report in ["sales?by=day", "top-products?by=units", "funnel?"] {
        let path = format!("/api/reports/{report}&{}", today()).replace("?&", "?");
        assert_eq!(Client::default().get(&path).status, 401, "{path}");
        assert_eq!(customer.get(&path).status, 403, "{path}");
    }
    let own = format!("/api/reports/customers/{}", customer.user_id);
    assert_eq!(customer.get(&own).status, 403);
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn who_deletes_their_account_is_in_no_report() {
    let _turn = turn();
    let (admin, customer) = (Client::admin(), Client::customer());
    let product = admin.new_product(1);
    let order = customer.order(&product, 1);
    customer.settled(&order);
    admin.post(&format!("/api/orders/{order}/ship"), &json!({})).expect(200);
    let path = format!("/api/reports/customers/{}", customer.user_id);
    eventually("the customer's report", || (admin.get(&path).status == 200).then_some(()));

    customer.send("DELETE", "/api/users/me", &[], None).expect(204);
    eventually("there is none any more", || (admin.get(&path).status == 404).then_some(()));
    assert_eq!(sales_of(&admin, &product)[0]["units"], 1, "what was sold is sold");
    let known = sql(&format!("SELECT count(*) FROM report.orders WHERE user_id = '{}'", customer.user_id));
    assert_eq!(known, 0);
    // Nor after a rebuild, which finds the order with the customer's id.
    rebuild().unwrap();
    assert_eq!(admin.get(&path).status, 404);
    assert_clean(&verify());
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn the_reports_agree_with_the_tables_while_orders_are_placed() {
    let _turn = turn();
    let (admin, customer) = (Client::admin(), Client::customer());
    let product = admin.new_product(1000);
    let verified = while_ordering(&customer, &product, verify);
    assert_clean(&verified);
    assert_eq!(verified.table, verified.report);
    let confirmed = ("CONFIRMED".to_owned(), "EUR".to_owned());
    let Sum { orders, total } = verified.table.0[&confirmed];
    assert!(orders > 0 && total >= i128::from(PRICE), "{verified:?}");
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn damage_is_named_and_a_rebuild_heals_it_while_orders_are_placed() {
    let _turn = turn();
    let (admin, customer) = (Client::admin(), Client::customer());
    let product = admin.new_product(1000);
    let orders: Vec<String> = (0..5).map(|_| customer.order(&product, 2)).collect();
    orders.iter().for_each(|order| assert_eq!(customer.settled(order)["status"], "CONFIRMED"));
    let other = admin.new_product(1);
    let known = format!(
        "SELECT count(*) FROM report.orders WHERE status = 'CONFIRMED' AND order_id IN ({})",
        ids(&orders)
    );
    eventually("all are in the reports", || (sql(&known) == 5).then_some(()));
    eventually("the product is", || {
        (sql(&format!("SELECT count(*) FROM report.products WHERE product_id = '{other}'")) == 1)
            .then_some(())
    });

    let [status, total, missing, lines, erased] = [0, 1, 2, 3, 4].map(|index: usize| orders[index].as_str());
    let alone = Uuid::now_v7();
    for damage in [
        format!("UPDATE report.orders SET status = 'SHIPPED' WHERE order_id = '{status}'"),
        format!("UPDATE report.orders SET total = total + 1 WHERE order_id = '{total}'"),
        format!("DELETE FROM report.orders WHERE order_id = '{missing}'"),
        format!("UPDATE report.order_lines SET units = 3, revenue = 1 WHERE order_id = '{lines}'"),
        format!("UPDATE report.orders SET user_id = NULL WHERE order_id = '{erased}'"),
        format!(
            "INSERT INTO report.orders (order_id, version, status, placed_at) VALUES ('{alone}', 1, 'PENDING', now())"
        ),
        format!("UPDATE report.products SET name = 'Abacus' WHERE product_id = '{other}'"),
    ] {
        sql(&format!("WITH done AS ({damage} RETURNING 1) SELECT count(*) FROM done"));
    }
    let found = verify();
    let says = |id: &str| {
        let found: Vec<_> = found.differences.iter().filter(|found| found.id.to_string() == id).collect();
        assert_eq!(found.len(), 1, "{id}: {found:?}");
        found[0].says.clone()
    };
    assert_eq!(says(status), "status CONFIRMED in the table, SHIPPED in the report");
    assert_eq!(says(total), "total 8400 EUR in the table, 8401 EUR in the report");
    assert_eq!(says(missing), "it is missing in the report");
    assert_eq!(
        says(lines),
        "units 2 in the table, 3 in the report; sum of the lines 8400 in the table, 1 in the report"
    );
    assert_eq!(says(erased), "its customer, who is not gone, is erased in the report");
    assert_eq!(says(&alone.to_string()), "it is in the report alone");
    assert_eq!(says(&other), "name Slide rule in the table, Abacus in the report");
    assert_eq!(found.differences.len(), 7, "{:?}", found.differences);
    assert_ne!(found.table, found.report);

    let rebuilt = while_ordering(&customer, &product, || rebuild().unwrap());
    assert!(
        rebuilt.orders >= 5 && rebuilt.lines >= rebuilt.orders && rebuilt.unreadable.is_empty(),
        "{rebuilt:?}"
    );
    assert_clean(&verify());
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_second_rebuild_is_refused_unless_it_takes_the_place_of_the_first() {
    let _turn = turn();
    let reports = reports();
    // The first goes on with its customers only when the second has begun.
    let (began, second) = (Cell::new(false), || run_rebuild(&reports, "grace@desk", false, &|_| ()));
    let progress = |progress: &Progress| {
        if progress.step == "customers" && !began.replace(true) {
            thread::scope(|scope| {
                let refused = scope.spawn(|| run_rebuild(&self::reports(), "grace@desk", false, &|_| ()));
                let refused = format!("{:#}", refused.join().unwrap().unwrap_err());
                assert!(refused.contains("ada@desk") && refused.contains("under way"), "{refused}");
                let doubtful = scope.spawn(diagnosis).join().unwrap();
                assert!(doubtful.contains("ada@desk"), "{doubtful}");
                let restarted = scope.spawn(|| run_rebuild(&self::reports(), "grace@desk", true, &|_| ()));
                assert!(restarted.join().unwrap().unwrap().is_some());
            });
        }
    };
    let first = format!("{:#}", run_rebuild(&reports, "ada@desk", false, &progress).unwrap_err());
    assert!(began.get() && first.contains("another rebuild has taken the place"), "{first}");
    assert!(cloud::block_on(reports.status()).unwrap().rebuild.is_none());
    assert!(second().unwrap().is_some(), "it can be run again");
    assert_clean(&verify());
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_rebuild_that_is_stopped_leaves_the_reports_as_they_were() {
    let _turn = turn();
    let (admin, customer) = (Client::admin(), Client::customer());
    let product = admin.new_product(1);
    customer.settled(&customer.order(&product, 1));
    eventually("the sale", || (sales_of(&admin, &product) != json!([])).then_some(()));

    let (reports, (stop, stopped)) = (reports(), watch::channel(false));
    let progress = |progress: &Progress| {
        stop.send_replace(progress.step == "orders");
    };
    let rebuild = Rebuild { by: "ada@desk", restart: false, stop: stopped, progress: &progress };
    assert_eq!(cloud::block_on(reports.rebuild(&rebuild)).unwrap(), None);
    assert!(cloud::block_on(reports.status()).unwrap().rebuild.is_none());
    let left = sql("SELECT count(*) FROM information_schema.schemata WHERE schema_name = 'report_next'");
    assert_eq!(left, 0);
    assert_eq!(sales_of(&admin, &product)[0]["units"], 1);
    assert_clean(&verify());
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn the_schema_is_as_the_code_expects_it_and_migrating_again_changes_nothing() {
    let _turn = turn();
    let reports = reports();
    let migrations = thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| cloud::block_on(self::reports().migrate()).unwrap()));
        both.map(|migration| migration.join().unwrap())
    });
    let status = cloud::block_on(reports.status()).unwrap();
    assert_eq!(status.schema, status.expected);
    for migration in migrations {
        assert_eq!(
            (migration.from, migration.to, migration.applied.len()),
            (status.schema, status.schema, 0)
        );
    }
    assert!(diagnosis().starts_with(&format!("schema {}, ", status.schema)));
}

/// Those who damage the reports, and those who look for damage, come one after the other. The first one makes the reports
/// anew: there were orders before there were reports.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    static CAUGHT_UP: OnceLock<()> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    CAUGHT_UP.get_or_init(|| drop(run_rebuild(&reports(), "tests", true, &|_| ()).unwrap()));
    turn
}

fn reports() -> Reports {
    cloud::block_on(Reports::find(&cloud::config(), &cloud::environment())).unwrap()
}

fn rebuild() -> anyhow::Result<Rebuilt> {
    Ok(run_rebuild(&reports(), "tests", false, &|_| ())?.unwrap())
}

fn run_rebuild(
    reports: &Reports,
    by: &str,
    restart: bool,
    progress: &dyn Fn(&Progress),
) -> anyhow::Result<Option<Rebuilt>> {
    let rebuild = Rebuild { by, restart, stop: watch::channel(false).1, progress };
    cloud::block_on(reports.rebuild(&rebuild))
}

fn verify() -> Verification {
    let verify = Verify { settle: SETTLE, progress: &|_| () };
    cloud::block_on(reports().verify(&verify)).unwrap()
}

fn assert_clean(found: &Verification) {
    assert!(found.is_clean(), "{found:#?}");
}

/// What the doctor says of the reports.
fn diagnosis() -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (config, environment) = (cloud::config(), cloud::environment());
    let examined = doctor::examine(&config, &environment, &root, Reach { orders: 0 });
    let findings = cloud::block_on(examined).unwrap();
    let reports = findings.into_iter().find(|finding| finding.subject == "reports").unwrap();
    assert_ne!(reports.state, State::Ill, "{reports:?}");
    reports.says
}

/// Does something while a customer places one order after the other.
fn while_ordering<T: Send>(customer: &Client, product: &str, work: impl Fn() -> T + Send + Sync) -> T {
    let (done, placed) = (std::sync::atomic::AtomicBool::new(false), Mutex::new(Vec::new()));
    let outcome = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                placed.lock().unwrap().push(customer.order(product, 1));
            }
        });
        let outcome = scope.spawn(&work).join();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        outcome.unwrap()
    });
    let placed = placed.into_inner().unwrap();
    assert!(!placed.is_empty());
    println!("{} orders meanwhile", placed.len());
    placed.iter().for_each(|order| drop(customer.settled(order)));
    outcome
}

/// Sales of a product today, a row for each currency.
fn sales_of(admin: &Client, product: &str) -> Value {
    let first = format!("/api/reports/sales?by=product&limit=1000&{}", today());
    let (mut found, mut page) = (Vec::new(), admin.get(&first).expect(200));
    loop {
        let rows = page["items"].as_array().unwrap().iter();
        found.extend(rows.filter(|row| row["product_id"] == product).cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { return found.into() };
        page = admin.get(&format!("{first}&cursor={cursor}")).expect(200);
    }
}

/// From before these tests began until after they will have ended.
fn today() -> String {
    let (now, hour) = (Timestamp::now().as_millis(), 3_600_000);
    let [from, to] = [now - 12 * hour, now + 12 * hour].map(Timestamp::from_millis);
    format!("from={from}&to={to}")
}

fn ids(orders: &[String]) -> String {
    orders.iter().map(|order| format!("'{order}'")).collect::<Vec<_>>().join(",")
}

/// The one number that a statement answers, asked past the service.
fn sql(statement: &str) -> i64 {
    let address = format!("postgres://postgres@{}/microservices", cloud::variable("SHOP_DATABASE"));
    cloud::block_on(async {
        let mut connection = PgConnection::connect(&address).await.unwrap();
        let number = sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(&mut connection);
        let number = tokio::time::timeout(PATIENCE, number).await.unwrap().unwrap();
        connection.close().await.unwrap();
        number
    })
}
