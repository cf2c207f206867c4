use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use super::{
    numbered, problem,
    sale::{Sale, product},
};
use crate::harness::Reports;

const RANGE: &str = "from=2026-12-01&to=2027-01-01";

/// Sales of seven products in two currencies and three categories (one of them unknown), on seven days.
async fn shop() -> Reports {
    let reports = Reports::open().await;
    let mut sales = Vec::new();
    for number in 1..=7 {
        for currency in ["EUR", "USD"] {
            let line = (numbered(number), u32::from(number), 10);
            sales.push(Sale::new(&format!("2026-12-0{number}T12:00:00Z"), currency, &[line]));
        }
    }
    reports.sell(&sales).await;
    let named =
        (1..=5).map(|number| product(numbered(number), 1, "Thing", ["A", "B"][usize::from(number) % 2]));
    reports.takes(named).await;
    reports
}

/// The rows of all pages from this one on; each request is made by the address that the answer before gave.
async fn pages(reports: &Reports, by: &str, limit: usize, mut between: impl AsyncFnMut(usize)) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut next = Some(format!("sales?{RANGE}&by={by}&limit={limit}"));
    let mut page = 0;
    while let Some(path) = next {
        let answer = reports.report(&path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let body = answer.json();
        let items = body["items"].as_array().unwrap();
        assert!(items.len() <= limit && !items.is_empty(), "{path}: {body}");
        rows.extend(items.iter().cloned());
        let link = answer.header("link").map(|link| {
            let address =
                link.strip_prefix("</api/reports/").unwrap().strip_suffix(">; rel=\"next\"").unwrap();
            assert!(address.ends_with(body["next_cursor"].as_str().unwrap()), "{link}");
            address.to_owned()
        });
        assert_eq!(link.is_some(), body["next_cursor"].is_string());
        next = link;
        page += 1;
        between(page).await;
    }
    rows
}

#[tokio::test]
async fn pages_are_the_whole_in_parts() {
    let reports = shop().await;
    for by in ["day", "week", "month", "product", "category"] {
        let whole = reports.figures(&format!("sales?{RANGE}&by={by}&limit=1000")).await;
        assert_eq!(whole["next_cursor"], Value::Null);
        for limit in [1, 2, 3, 100] {
            let parts = pages(&reports, by, limit, async |_| ()).await;
            assert_eq!(Value::from(parts), whole["items"], "{by}, {limit} at a time");
        }
        // A file goes on where a list does.
        let first = reports.csv(&format!("sales?{RANGE}&by={by}&limit=1")).await;
        let next = first.header("link").unwrap().strip_prefix("</api/reports/").unwrap();
        let second = reports.figures(next.strip_suffix(">; rel=\"next\"").unwrap()).await;
        assert_eq!(second["items"][0], whole["items"][1], "{by}");
    }
}

#[tokio::test]
async fn what_is_sold_or_cancelled_meanwhile_neither_repeats_nor_hides_a_row() {
    for by in ["day", "product"] {
        let reports = shop().await;
        let mut before = Sale::new("2026-12-01T10:00:00Z", "EUR", &[(numbered(1), 1, 10)]);
        let rows = pages(&reports, by, 2, async |page| match page {
            // More of what was read already, and something new in front of it.
            1 => {
                let first = Sale::new("2026-12-01T00:00:00Z", "CHF", &[(numbered(0), 1, 10)]);
                reports.sell(&[before.clone(), first]).await;
            }
            // Something that is yet to be read.
            2 => {
                let later = Sale::new("2026-12-31T00:00:00Z", "EUR", &[(numbered(9), 1, 10)]);
                reports.sell(&[later]).await;
            }
            3 => {
                before.steps.push(("CANCELLED", 5000));
                reports.sell(&[before.clone()]).await;
            }
            _ => {}
        })
        .await;
        let key = |row: &Value| {
            (row["starts"].clone(), row["product_id"].clone(), row["revenue"]["currency"].clone())
        };
        let keys: BTreeSet<String> = rows.iter().map(|row| format!("{:?}", key(row))).collect();
        assert_eq!((rows.len(), keys.len()), (15, 15), "{by}: {rows:?}");
    }
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list() {
    let reports = shop().await;
    let first = reports.figures(&format!("sales?{RANGE}&by=product&limit=2")).await;
    let cursor = first["next_cursor"].as_str().unwrap();
    for path in [
        format!("sales?{RANGE}&by=day&cursor={cursor}"),
        format!("sales?from=2026-12-02&to=2027-01-01&by=product&cursor={cursor}"),
        format!("sales?from=2026-12-01&to=2026-12-31&by=product&cursor={cursor}"),
        format!("sales?{RANGE}&by=product&cursor={}", cursor.to_uppercase()),
        format!("sales?{RANGE}&by=product&cursor="),
        format!("sales?{RANGE}&by=product&cursor={}", Uuid::now_v7()),
    ] {
        let answer = reports.report(&path).await;
        assert_eq!(problem(&answer), (400, "invalid-input".to_owned()), "{path}");
        assert_eq!(answer.json()["errors"][0]["pointer"], "/cursor", "{path}");
    }
    // Another size is the same list.
    let rest = reports.figures(&format!("sales?{RANGE}&by=product&limit=50&cursor={cursor}")).await;
    assert_eq!(rest["items"].as_array().unwrap().len(), 12);
}
