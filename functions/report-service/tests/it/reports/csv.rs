use uuid::Uuid;

use super::{
    numbered,
    sale::{Sale, product},
};
use crate::harness::Reports;

const DAY: &str = "from=2026-12-24&to=2026-12-25";

#[tokio::test]
async fn every_report_is_there_as_a_table() {
    let (reports, customer) = (Reports::open().await, Uuid::now_v7());
    let [mug, unknown] = [1, 2].map(numbered);
    reports
        .sell(&[
            Sale::new("2026-12-24T12:00:00Z", "EUR", &[(mug, 2, 500), (unknown, 1, 10)]).by(customer),
            Sale::new("2026-12-24T12:00:00Z", "USD", &[(mug, 1, 600)]),
            Sale::new("2026-12-24T12:00:00Z", "USD", &[(mug, 1, 600)]).rejected("out_of_stock", 2500),
        ])
        .await;
    reports.takes([product(mug, 1, "Mug", "Kitchen")]).await;
    for (path, name, lines) in [
        (
            format!("sales?{DAY}&by=week"),
            "sales-by-week",
            vec![
                "period,starts,orders,units,revenue_amount,revenue_currency".to_owned(),
                "2026-W52,2026-12-21,1,3,1010,EUR".to_owned(),
                "2026-W52,2026-12-21,1,1,600,USD".to_owned(),
            ],
        ),
        (
            format!("sales?{DAY}&by=product"),
            "sales-by-product",
            vec![
                "product_id,name,category,orders,units,revenue_amount,revenue_currency".to_owned(),
                format!("{mug},Mug,Kitchen,1,2,1000,EUR"),
                format!("{mug},Mug,Kitchen,1,1,600,USD"),
                format!("{unknown},,,1,1,10,EUR"),
            ],
        ),
        (
            format!("sales?{DAY}&by=category"),
            "sales-by-category",
            vec![
                "category,units,revenue_amount,revenue_currency".to_owned(),
                "Kitchen,2,1000,EUR".to_owned(),
                "Kitchen,1,600,USD".to_owned(),
                ",1,10,EUR".to_owned(),
            ],
        ),
        (
            format!("top-products?{DAY}&by=units"),
            "top-products-by-units",
            vec![
                "rank,product_id,name,category,orders,units,revenue_amount,revenue_currency".to_owned(),
                format!("1,{mug},Mug,Kitchen,2,3,,"),
                format!("2,{unknown},,,1,1,,"),
            ],
        ),
        (
            format!("top-products?{DAY}&by=revenue&currency=USD"),
            "top-products-by-revenue",
            vec![
                "rank,product_id,name,category,orders,units,revenue_amount,revenue_currency".to_owned(),
                format!("1,{mug},Mug,Kitchen,1,1,600,USD"),
            ],
        ),
        (
            format!("funnel?{DAY}"),
            "funnel",
            [
                "figure,of,value",
                "placed,,3",
                "confirmed,,2",
                "shipped,,0",
                "delivered,,0",
                "rejected,,1",
                "rejected,out_of_stock,1",
                "cancelled,,0",
                "open,pending,0",
                "open,confirmed,2",
                "open,shipped,0",
                "seconds_to_settle,p50,1",
                "seconds_to_settle,p95,2.5",
            ]
            .map(str::to_owned)
            .to_vec(),
        ),
        (
            format!("customers/{customer}"),
            &format!("customer-{customer}"),
            [
                "figure,of,value",
                "orders,,1",
                "orders,CONFIRMED,1",
                "spent,EUR,1010",
                "first_order_at,,2026-12-24T12:00:00.000Z",
                "last_order_at,,2026-12-24T12:00:00.000Z",
            ]
            .map(str::to_owned)
            .to_vec(),
        ),
    ] {
        let answer = reports.csv(&path).await;
        let expected: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        assert_eq!(answer.body, expected, "{path}");
        assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
        let disposition = format!("attachment; filename=\"{name}.csv\"");
        assert_eq!(answer.header("content-disposition"), Some(disposition.as_str()));
        assert_eq!(
            (answer.header("cache-control"), answer.header("vary")),
            (Some("no-store"), Some("accept"))
        );
    }
}

#[tokio::test]
async fn no_name_breaks_a_table_or_is_run_by_a_spreadsheet() {
    let reports = Reports::open().await;
    let names = [
        "=HYPERLINK(\"http://example.com\",\"Click\")",
        "+49 30 1234",
        "-1+2",
        "@SUM(A1:A9)",
        "Mug, \"large\"",
        "Two\r\nlines",
        "Täßchen ☕",
    ];
    for (number, name) in (1..).zip(names) {
        let id = numbered(number);
        reports.sell(&[Sale::new("2026-12-24T12:00:00Z", "EUR", &[(id, 1, 10)])]).await;
        reports.takes([product(id, 1, name, "Kitchen")]).await;
    }
    for report in ["sales?by=product", "top-products?by=units"] {
        let answer = reports.csv(&format!("{report}&{DAY}")).await;
        let mut rows = csv::Reader::from_reader(answer.body.as_bytes());
        let column = rows.headers().unwrap().iter().position(|name| name == "name").unwrap();
        let read: Vec<String> = rows.records().map(|row| row.unwrap()[column].to_owned()).collect();
        let expected: Vec<String> =
            names
                .iter()
                .map(|name| {
                    if name.starts_with(['=', '+', '-', '@']) {
                        format!("'{name}")
                    } else {
                        (*name).to_owned()
                    }
                })
                .collect();
        assert_eq!(read, expected, "{report}");
        // As JSON they are what they are.
        let json = reports.figures(&format!("{report}&{DAY}")).await;
        let read = json["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap());
        assert_eq!(read.collect::<Vec<_>>(), names, "{report}");
    }
}
