use std::collections::BTreeMap;

use domain_events::Timestamp;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::Value;

use super::{
    numbered,
    sale::{Sale, product},
};
use crate::harness::Reports;

/// 2026-12-01 and 2027-02-01, in milliseconds: two months, ten weeks, two years.
const RANGE: std::ops::Range<i64> = 1_796_083_200_000..1_801_440_000_000;

const WAYS: [&[(&str, i64)]; 6] = [
    &[],
    &[("REJECTED", 10)],
    &[("CANCELLED", 10)],
    &[("CONFIRMED", 10)],
    &[("CONFIRMED", 10), ("CANCELLED", 20)],
    &[("CONFIRMED", 10), ("SHIPPED", 20), ("DELIVERED", 30)],
];

/// Orders in the range and a little around it.
fn orders() -> impl Strategy<Value = Vec<Sale>> {
    let moment = (RANGE.start - 100_000_000..RANGE.end + 100_000_000).prop_map(Timestamp::from_millis);
    // Units and price by the number of the product.
    let lines = prop::collection::btree_map(1..6_u16, (1..5_u32, 0..1000_i64), 1..4);
    let lines = lines.prop_map(|lines| {
        lines
            .into_iter()
            .map(|(product, (units, price))| (numbered(product), units, price))
            .collect::<Vec<_>>()
    });
    let currency = prop::sample::select(vec!["EUR", "USD", "JPY"]);
    let order = (moment, currency, lines, prop::sample::select(WAYS.to_vec()));
    let sale = |(moment, currency, lines, way): (Timestamp, _, Vec<_>, &[_])| {
        Sale::new(&moment.to_string(), currency, &lines).steps(way)
    };
    prop::collection::vec(order.prop_map(sale), 0..25)
}

/// Units and amount per currency.
type Sums = BTreeMap<String, (i64, i64)>;

#[test]
fn days_weeks_months_products_and_categories_have_the_same_sums() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let reports = runtime.block_on(async {
        let reports = Reports::open().await;
        // Two of five are not known.
        reports.takes((1..4).map(|number| product(numbered(number), 1, "Thing", "Things"))).await;
        reports
    });
    let config = Config { cases: 24, max_shrink_iters: 50, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&orders(), |orders| {
        runtime.block_on(async {
            reports.place.psql("TRUNCATE report.orders, report.order_lines");
            reports.sell(&orders).await;
            let mut expected = Sums::new();
            for sale in &orders {
                if sale.is_sold() && RANGE.contains(&sale.placed_at.as_millis()) {
                    let sum = expected.entry(sale.currency.to_owned()).or_default();
                    sum.0 += sale.lines.iter().map(|(_, units, _)| i64::from(*units)).sum::<i64>();
                    sum.1 += sale.amount();
                }
            }
            for by in ["day", "week", "month", "product", "category"] {
                let report = format!("sales?from=2026-12-01&to=2027-02-01&by={by}&limit=1000");
                prop_assert_eq!(&sums(&reports.figures(&report).await), &expected, "by {}", by);
            }
            for (currency, (_, amount)) in &expected {
                let report =
                    format!("top-products?from=2026-12-01&to=2027-02-01&by=revenue&currency={currency}");
                let amounts = sums(&reports.figures(&report).await);
                prop_assert_eq!(amounts[currency].1, *amount);
            }
            Ok(())
        })
    });
    outcome.unwrap();
}

fn sums(report: &Value) -> Sums {
    let mut sums = Sums::new();
    for item in report["items"].as_array().unwrap() {
        let sum = sums.entry(item["revenue"]["currency"].as_str().unwrap().to_owned()).or_default();
        sum.0 += item["units"].as_i64().unwrap();
        sum.1 += item["revenue"]["amount"].as_i64().unwrap();
    }
    sums
}
