use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Evidence, Finding, number, reports::sums, stock::LIVE, text};
use crate::visit::SALES;

/// What the API answers as sales and as the orders' way is what the tables say, by another way than the rows of reports.
pub(super) fn are_right(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let sold = sold(evidence);
    for by in SALES {
        let answer = &evidence.reports.sales.get(by).unwrap_or(&Value::Null);
        let items = answer["items"].as_array().into_iter().flatten();
        let told = items.map(|item| {
            let of = if by == "day" {
                "period"
            } else if by == "product" {
                "product_id"
            } else {
                "category"
            };
            let revenue = &item["revenue"];
            let key = format!("{} in {}", text(item, of), text(revenue, "currency"));
            (key, json!([number(item, "units"), number(revenue, "amount")]))
        });
        let told: BTreeMap<String, Value> = told.collect();
        let expected = sold.get(by).cloned().unwrap_or_default();
        if told != expected {
            findings.push(Finding::new("", format!("sales by {by}: {answer}, and not {expected:?}")));
        }
    }
    let told = &evidence.reports.funnel;
    for (name, expected) in funnel(evidence) {
        if told.pointer(name) != Some(&expected.into()) {
            findings.push(Finding::new("", format!("{name} of the orders is not {expected} but: {told}")));
        }
    }
    findings
}

/// Units and revenue that were sold, by what they are summed by and by day, product or category.
fn sold(evidence: &Evidence<'_>) -> BTreeMap<&'static str, BTreeMap<String, Value>> {
    let mut sold = BTreeMap::<&str, BTreeMap<String, (i64, i64)>>::new();
    let category = |product: &str| {
        let versions = evidence.history("products", product).iter().rev();
        versions.filter_map(|change| change.after.as_ref()).map(|row| text(row, "category")).next()
    };
    for (_, order) in evidence.entities("orders").filter(|(_, order)| LIVE.contains(&text(order, "status"))) {
        let day = text(order, "created_at").split('T').next().unwrap_or_default();
        for (product, line) in sums(order) {
            let currency = line.currency.unwrap_or_default();
            for (by, of) in SALES.into_iter().zip([day, product, category(product).unwrap_or_default()]) {
                let (units, revenue) =
                    sold.entry(by).or_default().entry(format!("{of} in {currency}")).or_default();
                *units += line.units;
                *revenue += line.revenue.unwrap_or_default();
            }
        }
    }
    let rows = |sums: BTreeMap<String, (i64, i64)>| {
        sums.into_iter().map(|(of, (units, revenue))| (of, json!([units, revenue]))).collect()
    };
    sold.into_iter().map(|(by, sums)| (by, rows(sums))).collect()
}

/// How many orders came how far.
fn funnel(evidence: &Evidence<'_>) -> [(&'static str, usize); 9] {
    let count =
        |is: &dyn Fn(&Value) -> bool| evidence.entities("orders").filter(|(_, order)| is(order)).count();
    let were = |status: &str| {
        count(&|order| order["history"].as_array().into_iter().flatten().any(|step| step["status"] == status))
    };
    let are = |status: &str| count(&|order| order["status"] == status);
    [
        ("/placed", count(&|_| true)),
        ("/confirmed", were("CONFIRMED")),
        ("/shipped", were("SHIPPED")),
        ("/delivered", are("DELIVERED")),
        ("/rejected/orders", are("REJECTED")),
        ("/cancelled", are("CANCELLED")),
        ("/open/pending", are("PENDING")),
        ("/open/confirmed", are("CONFIRMED")),
        ("/open/shipped", are("SHIPPED")),
    ]
}
