use domain_events::{Payload, payload};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    numbered, problem,
    sale::{Sale, product},
};
use crate::{harness::Reports, story};

/// From here to there.
const YEAR: &str = "from=2026-12-01&to=2027-02-01";

fn sold(period: &str, starts: &str, orders: i64, units: i64, amount: i64, currency: &str) -> Value {
    let revenue = json!({"amount": amount, "currency": currency});
    json!({"period": period, "starts": starts, "orders": orders, "units": units, "revenue": revenue})
}

#[tokio::test]
async fn sales_count_when_they_were_placed_by_days_iso_weeks_and_months_of_utc() {
    let (reports, mug) = (Reports::open().await, Uuid::now_v7());
    let at = |moment, currency, units| Sale::new(moment, currency, &[(mug, units, 100)]);
    reports
        .sell(&[
            // A Sunday, a Monday, New Year's Day, and the first Monday after it.
            at("2026-12-27T23:59:59.999Z", "EUR", 1),
            at("2026-12-28T00:00:00.000Z", "EUR", 2),
            at("2026-12-28T12:00:00.000Z", "USD", 4),
            at("2026-12-28T23:59:59.999Z", "EUR", 8),
            at("2027-01-01T00:00:00.000Z", "EUR", 16),
            at("2027-01-04T00:00:00.000Z", "EUR", 32),
        ])
        .await;
    let items = async |query: &str| reports.figures(&format!("sales?{query}")).await["items"].clone();
    assert_eq!(
        items(&format!("{YEAR}&by=day")).await,
        json!([
            sold("2026-12-27", "2026-12-27", 1, 1, 100, "EUR"),
            sold("2026-12-28", "2026-12-28", 2, 10, 1000, "EUR"),
            sold("2026-12-28", "2026-12-28", 1, 4, 400, "USD"),
            sold("2027-01-01", "2027-01-01", 1, 16, 1600, "EUR"),
            sold("2027-01-04", "2027-01-04", 1, 32, 3200, "EUR"),
        ])
    );
    // ISO 8601: 2026 has 53 weeks, the last of which ends in 2027.
    assert_eq!(
        items(&format!("{YEAR}&by=week")).await,
        json!([
            sold("2026-W52", "2026-12-21", 1, 1, 100, "EUR"),
            sold("2026-W53", "2026-12-28", 3, 26, 2600, "EUR"),
            sold("2026-W53", "2026-12-28", 1, 4, 400, "USD"),
            sold("2027-W01", "2027-01-04", 1, 32, 3200, "EUR"),
        ])
    );
    assert_eq!(
        items(&format!("{YEAR}&by=month")).await,
        json!([
            sold("2026-12", "2026-12-01", 3, 11, 1100, "EUR"),
            sold("2026-12", "2026-12-01", 1, 4, 400, "USD"),
            sold("2027-01", "2027-01-01", 2, 48, 4800, "EUR"),
        ])
    );
    // The start of a range is part of it, its end is not, whatever time zone they are written in; and of a week that
    // the range has a part of, that part counts.
    for (range, expected) in [
        ("from=2026-12-28&to=2026-12-29", sold("2026-W53", "2026-12-28", 2, 10, 1000, "EUR")),
        ("from=2026-12-28T00:00:00.001Z&to=2026-12-28T23:59:59.999Z", Value::Null),
        ("from=2026-12-28T00:00:00.001Z&to=2026-12-29", sold("2026-W53", "2026-12-28", 1, 8, 800, "EUR")),
        (
            "from=2026-12-28T02:00:00%2B02:00&to=2026-12-28T22:59:59.999-01:00",
            sold("2026-W53", "2026-12-28", 1, 2, 200, "EUR"),
        ),
    ] {
        let items = items(&format!("{range}&by=week")).await;
        let euros =
            items.as_array().unwrap().iter().find(|item| item["revenue"]["currency"] == "EUR").cloned();
        assert_eq!(euros.unwrap_or_default(), expected, "{range}");
    }
}

#[tokio::test]
async fn only_what_is_confirmed_shipped_or_delivered_is_sold() {
    let (reports, mug) = (Reports::open().await, Uuid::now_v7());
    let at_noon = |units| Sale::new("2026-12-24T12:00:00Z", "EUR", &[(mug, units, 100)]);
    let shipped = [("CONFIRMED", 1), ("SHIPPED", 2)];
    let mut order = at_noon(8).steps(&[("CONFIRMED", 1)]);
    reports
        .sell(&[
            at_noon(1).steps(&[]),
            at_noon(2).rejected("out_of_stock", 5),
            at_noon(4).steps(&[("CANCELLED", 5)]),
            order.clone(),
            at_noon(16).steps(&shipped),
            at_noon(32).steps(&[shipped.as_slice(), &[("DELIVERED", 3)]].concat()),
        ])
        .await;
    let units = async || {
        let mut units = Vec::new();
        for by in ["day", "week", "month", "product", "category"] {
            let report = reports.figures(&format!("sales?{YEAR}&by={by}")).await;
            units.push(report["items"][0]["units"].as_i64().unwrap());
        }
        for by in ["by=units", "by=revenue&currency=EUR"] {
            let report = reports.figures(&format!("top-products?{YEAR}&{by}")).await;
            units.push(report["items"][0]["units"].as_i64().unwrap());
        }
        units
    };
    assert_eq!(units().await, [56; 7]);
    // What is cancelled afterwards was never sold.
    order.steps.push(("CANCELLED", 60_000));
    reports.sell(&[order]).await;
    assert_eq!(units().await, [48; 7]);
}

#[tokio::test]
async fn products_and_categories_are_called_what_they_are_called_now() {
    let reports = Reports::open().await;
    let [mug, plate, gone, unknown] = [1, 2, 3, 4].map(numbered);
    reports
        .sell(&[
            Sale::new("2026-12-24T12:00:00Z", "EUR", &[(mug, 2, 500), (plate, 1, 700)]),
            Sale::new("2026-12-24T13:00:00Z", "EUR", &[(plate, 3, 700), (unknown, 1, 10)]),
            Sale::new("2026-12-24T14:00:00Z", "USD", &[(mug, 1, 600), (gone, 1, 900)]),
        ])
        .await;
    let deleted = payload::Product {
        product_id: gone,
        name: "Bowl".to_owned(),
        category: "Kitchen".to_owned(),
        price: story::eur(1),
        stock: 0,
        version: 1,
        created_at: story::at(0),
    };
    reports
        .takes([
            product(mug, 1, "Cup", "Kitchen"),
            product(plate, 1, "Plate", "Kitchen"),
            product(gone, 1, "Bowl", "Kitchen"),
            story::event(Payload::ProductDeleted(deleted), story::at(9)),
        ])
        .await;
    let row = |id: Uuid, name: Option<&str>, category: Option<&str>, orders, units, amount, currency| {
        let revenue = json!({"amount": amount, "currency": currency});
        json!({"product_id": id, "name": name, "category": category, "orders": orders, "units": units,
            "revenue": revenue})
    };
    let items = async |by| reports.figures(&format!("sales?{YEAR}&by={by}")).await["items"].clone();
    assert_eq!(
        items("product").await,
        json!([
            row(mug, Some("Cup"), Some("Kitchen"), 1, 2, 1000, "EUR"),
            row(mug, Some("Cup"), Some("Kitchen"), 1, 1, 600, "USD"),
            row(plate, Some("Plate"), Some("Kitchen"), 2, 4, 2800, "EUR"),
            row(gone, Some("Bowl"), Some("Kitchen"), 1, 1, 900, "USD"),
            row(unknown, None, None, 1, 1, 10, "EUR"),
        ])
    );
    let category = |category: Option<&str>, units, amount, currency| json!({"category": category, "units": units, "revenue": {"amount": amount, "currency": currency}});
    assert_eq!(
        items("category").await,
        json!([
            category(Some("Kitchen"), 6, 3800, "EUR"),
            category(Some("Kitchen"), 2, 1500, "USD"),
            category(None, 1, 10, "EUR"),
        ])
    );
    reports.takes([product(mug, 2, "Mug", "Bar"), product(unknown, 1, "Spoon", "Bar")]).await;
    assert_eq!(items("product").await[0], row(mug, Some("Mug"), Some("Bar"), 1, 2, 1000, "EUR"));
    assert_eq!(
        items("category").await,
        json!([
            category(Some("Bar"), 3, 1010, "EUR"),
            category(Some("Bar"), 1, 600, "USD"),
            category(Some("Kitchen"), 4, 2800, "EUR"),
            category(Some("Kitchen"), 1, 900, "USD"),
        ])
    );
}

#[tokio::test]
async fn products_are_ranked_by_units_or_by_the_revenue_in_one_currency() {
    let reports = Reports::open().await;
    let [many, dear, dollars, tied] = [1, 2, 3, 4].map(numbered);
    reports
        .sell(&[
            Sale::new("2026-12-24T12:00:00Z", "EUR", &[(many, 9, 10), (dear, 2, 5000), (tied, 2, 5000)]),
            Sale::new("2026-12-24T13:00:00Z", "USD", &[(dollars, 8, 99_999), (many, 1, 10)]),
            Sale::new("2026-12-31T13:00:00Z", "EUR", &[(many, 1, 10)]),
        ])
        .await;
    reports.takes([product(many, 1, "Pin", "Office")]).await;
    let ranking = async |query: &str| {
        let report = reports.figures(&format!("top-products?from=2026-12-24&to=2026-12-31&{query}")).await;
        let items = report["items"].as_array().unwrap().iter();
        let item = |item: &Value| {
            let id: Uuid = item["product_id"].as_str().unwrap().parse().unwrap();
            (item["rank"].as_i64().unwrap(), id, item["units"].as_i64().unwrap(), item["revenue"].clone())
        };
        (report["currency"].clone(), items.map(item).collect::<Vec<_>>())
    };
    let money = |amount, currency| json!({"amount": amount, "currency": currency});
    // Units of all currencies can be added up, amounts can't.
    assert_eq!(
        ranking("by=units").await,
        (
            Value::Null,
            vec![
                (1, many, 10, Value::Null),
                (2, dollars, 8, Value::Null),
                (3, dear, 2, Value::Null),
                (4, tied, 2, Value::Null),
            ]
        )
    );
    assert_eq!(
        ranking("by=units&currency=EUR&limit=2").await,
        (json!("EUR"), vec![(1, many, 9, money(90, "EUR")), (2, dear, 2, money(10_000, "EUR"))])
    );
    assert_eq!(
        ranking("by=revenue&currency=EUR").await.1,
        [
            (1, dear, 2, money(10_000, "EUR")),
            (2, tied, 2, money(10_000, "EUR")),
            (3, many, 9, money(90, "EUR")),
        ]
    );
    assert_eq!(ranking("by=revenue&currency=CHF").await.1, []);
    let report = reports.figures("top-products?from=2026-12-01&to=2027-01-01&by=units&limit=1").await;
    let first = json!({"rank": 1, "product_id": many, "name": "Pin", "category": "Office", "orders": 3, "units": 11,
        "revenue": null});
    assert_eq!(report["items"], json!([first]));
}

#[tokio::test]
async fn the_funnel_says_how_far_orders_have_come_and_how_long_it_took_to_settle_them() {
    let (reports, mug) = (Reports::open().await, Uuid::now_v7());
    let placed = || Sale::new("2026-12-24T12:00:00Z", "EUR", &[(mug, 1, 100)]);
    let confirmed = ("CONFIRMED", 1000);
    reports
        .sell(&[
            placed().steps(&[]),
            placed().steps(&[("CONFIRMED", 2000)]),
            placed().steps(&[confirmed, ("SHIPPED", 90_000)]),
            placed().steps(&[confirmed, ("SHIPPED", 90_000), ("DELIVERED", 180_000)]),
            placed().steps(&[("CONFIRMED", 1500), ("SHIPPED", 90_000), ("DELIVERED", 180_000)]),
            placed().steps(&[("CONFIRMED", 10_250), ("CANCELLED", 60_000)]),
            placed().steps(&[("CANCELLED", 60_000)]),
            placed().rejected("out_of_stock", 3000),
            placed().rejected("out_of_stock", 4000),
            placed().rejected("unknown_product", 5000),
            // Before the range, and after it.
            Sale::new("2026-12-23T23:59:59.999Z", "EUR", &[(mug, 1, 100)]),
            Sale::new("2026-12-25T00:00:00.000Z", "EUR", &[(mug, 1, 100)]),
        ])
        .await;
    assert_eq!(
        reports.figures("funnel?from=2026-12-24&to=2026-12-25").await,
        json!({
            "from": "2026-12-24T00:00:00.000Z",
            "to": "2026-12-25T00:00:00.000Z",
            "placed": 10,
            "confirmed": 5,
            "shipped": 3,
            "delivered": 2,
            "rejected": {"orders": 3, "by_reason": [
                {"reason": "out_of_stock", "orders": 2}, {"reason": "unknown_product", "orders": 1},
            ]},
            "cancelled": 2,
            "open": {"pending": 1, "confirmed": 1, "shipped": 1},
            // Of 1, 1, 1.5, 2, 3, 4, 5 and 10.25 seconds.
            "seconds_to_settle": {"p50": 2.0, "p95": 10.25},
        })
    );
    let nothing = reports.figures("funnel?from=2026-11-24&to=2026-11-25").await;
    assert_eq!((&nothing["placed"], &nothing["seconds_to_settle"]), (&json!(0), &Value::Null));
}

#[tokio::test]
async fn a_customer_has_spent_what_is_sold_in_each_currency() {
    let (reports, mug, customer) = (Reports::open().await, Uuid::now_v7(), Uuid::now_v7());
    let placed = |at, currency, units| Sale::new(at, currency, &[(mug, units, 100)]).by(customer);
    reports
        .sell(&[
            placed("2024-02-29T08:00:00.125Z", "EUR", 1),
            placed("2026-12-24T12:00:00Z", "EUR", 2).steps(&[("CONFIRMED", 1), ("SHIPPED", 2)]),
            placed("2026-12-24T12:00:00Z", "EUR", 4).steps(&[("CONFIRMED", 1), ("CANCELLED", 2)]),
            placed("2026-12-25T12:00:00Z", "USD", 8),
            placed("2026-12-26T12:00:00Z", "EUR", 16).rejected("out_of_stock", 5),
            Sale::new("2026-12-24T12:00:00Z", "EUR", &[(mug, 32, 100)]),
        ])
        .await;
    let path = format!("customers/{customer}");
    assert_eq!(
        reports.figures(&path).await,
        json!({
            "customer_id": customer,
            "orders": 5,
            "by_status": [
                {"status": "CANCELLED", "orders": 1},
                {"status": "CONFIRMED", "orders": 2},
                {"status": "REJECTED", "orders": 1},
                {"status": "SHIPPED", "orders": 1},
            ],
            "spent": [{"amount": 300, "currency": "EUR"}, {"amount": 800, "currency": "USD"}],
            "first_order_at": "2024-02-29T08:00:00.125Z",
            "last_order_at": "2026-12-26T12:00:00.000Z",
        })
    );
    for nobody in [Uuid::now_v7().to_string(), "me".to_owned()] {
        assert_eq!(reports.report(&format!("customers/{nobody}")).await.status, 404, "{nobody}");
    }
    // Whose account is gone has nothing any more; what was sold stays sold.
    let sales = reports.figures(&format!("sales?{YEAR}&by=month")).await;
    reports.takes([story::user_deleted(customer)]).await;
    assert_eq!(reports.report(&path).await.status, 404);
    assert_eq!(reports.figures(&format!("sales?{YEAR}&by=month")).await, sales);
}

#[tokio::test]
async fn a_sum_that_can_not_be_represented_is_an_error_of_its_own() {
    let (reports, gold) = (Reports::open().await, Uuid::now_v7());
    let dear = |at| Sale::new(at, "EUR", &[(gold, 1, i64::MAX)]);
    reports.sell(&[dear("2026-12-24T12:00:00Z"), dear("2026-12-25T12:00:00Z")]).await;
    let largest = reports.figures("sales?from=2026-12-24&to=2026-12-26&by=day").await;
    assert_eq!(largest["items"][1]["revenue"]["amount"], i64::MAX);
    for report in
        ["sales?by=month", "sales?by=product", "sales?by=category", "top-products?by=revenue&currency=EUR"]
    {
        let answer = reports.report(&format!("{report}&from=2026-12-24&to=2026-12-26")).await;
        assert_eq!(problem(&answer), (422, "sum-too-large".to_owned()), "{report}");
    }
}
