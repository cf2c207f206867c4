//! At a million lines, every report is read along the index that is made for it, which holds all that it needs.

use domain_events::Timestamp;
use local_servers::Postgres;
use service_config::{SecretCache, Version, Versions};
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::*;
use crate::{
    database::{Login, Place},
    repository::Repository,
};

const SOLD_ORDERS: &str = "orders_placed_at_day_currency_total_units_idx";
const ALL_ORDERS: &str = "orders_placed_at_status_reason_settled_after_idx";
const CUSTOMERS: &str = "orders_user_id_placed_at_status_currency_total_idx";
const LINES_BY_TIME: &str = "order_lines_placed_at_product_id_currency_units_revenue_idx";
const LINES_BY_PRODUCT: &str = "order_lines_product_id_currency_placed_at_units_revenue_idx";

#[tokio::test]
async fn every_report_is_read_along_its_index_at_a_million_lines() {
    let server = Postgres::start().unwrap();
    let database = database(&server);
    Repository::new(database.clone()).migrate().await.unwrap();
    server.psql("reports", include_str!("../../tests/a-million-lines.sql")).unwrap();
    server.psql("reports", "VACUUM (ANALYZE)").unwrap();
    assert_eq!(server.psql("reports", "SELECT count(*) FROM report.order_lines").unwrap(), "1000000");

    let (year, month) = (range("2026-01-01", "2027-01-02"), range("2026-03-01", "2026-04-01"));
    let euros = Currency::try_from("EUR".to_owned()).unwrap();
    let customer: Uuid = "00000003-0000-7000-8000-000000000001".parse().unwrap();
    let explain = |sql: &str| AssertSqlSafe(format!("EXPLAIN {sql}"));
    let along = async |name: &str, statement: Statement<'_>, index: &str| {
        let plan = plan(&database, statement).await;
        assert!(plan.contains(&format!("Index Only Scan using {index} on")), "{name}:\n{plan}");
        let tables = ["Seq Scan on orders", "Seq Scan on order_lines", "Bitmap"];
        assert!(tables.iter().all(|table| !plan.contains(table)), "{name}:\n{plan}");
    };
    for period in [Period::Day, Period::Week, Period::Month] {
        let statement = by_period(explain(BY_PERIOD), month, period, None, 100);
        along(&format!("sales by {period:?}"), statement, SOLD_ORDERS).await;
    }
    along("funnel", in_range(explain(FUNNEL), month), ALL_ORDERS).await;
    along("time to settle", in_range(explain(SETTLED), month), ALL_ORDERS).await;
    // Of a whole year, as good as all lines are read: then it is the order that counts.
    for (length, range, lines) in [("month", month, LINES_BY_TIME), ("year", year, LINES_BY_PRODUCT)] {
        let statement = by_product(explain(BY_PRODUCT), range, None, 100);
        along(&format!("sales of a {length} by product"), statement, LINES_BY_PRODUCT).await;
        let statement = by_category(explain(BY_CATEGORY), range, None, 100);
        along(&format!("sales of a {length} by category"), statement, lines).await;
        for ranking in [Ranking::Units(None), Ranking::Units(Some(euros)), Ranking::Revenue(euros)] {
            let statement = top(explain(TOP), range, ranking, 20);
            along(&format!("top products of a {length}, {ranking:?}"), statement, lines).await;
        }
    }
    along("a customer", sqlx::query(explain(CUSTOMER)).bind(customer), CUSTOMERS).await;
    along("what a customer spent", sqlx::query(explain(SPENT)).bind(customer), CUSTOMERS).await;
}

async fn plan(database: &Database, statement: Statement<'_>) -> String {
    let mut transaction = database.read().await.unwrap();
    let lines = statement.persistent(false).fetch_all(&mut *transaction).await.unwrap();
    lines.iter().map(|line| format!("{}\n", line.get::<&str, _>(0))).collect()
}

fn database(server: &Postgres) -> Database {
    server.set_password("reports", "a password").unwrap();
    server.create_database("reports", "reports").unwrap();
    let (host, port) = server.host_and_port();
    let place = Place::new(&host, port, "reports", "the secret of the password");
    Database::new(fixed(place), fixed(Login::new("reports", "a password")), server.roots())
}

fn fixed<T: serde::de::DeserializeOwned + Send + Sync + 'static>(value: T) -> SecretCache<T> {
    SecretCache::fixed(Versions { current: Version { id: "v1".to_owned(), value }, previous: None })
}

fn range(from: &str, to: &str) -> Range {
    let midnight = |day: &str| Timestamp::try_from(format!("{day}T00:00:00Z")).unwrap();
    Range::new(midnight(from), midnight(to)).unwrap()
}
