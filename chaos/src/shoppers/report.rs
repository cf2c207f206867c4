use http::header::ACCEPT;
use rand::{RngExt, rngs::StdRng};
use serde_json::Value;

use super::client::{Reply, Request};

/// What sales can be summed by.
const SALES: [&str; 5] = ["day", "week", "month", "product", "category"];

/// A report that somebody wants.
pub(super) struct Report {
    pub(super) path: String,
    as_csv: bool,
}

impl Report {
    /// Some report of these days; of this customer, if there is one.
    pub(super) fn any(rng: &mut StdRng, customer: Option<&str>) -> Self {
        let range = days();
        let path = match rng.random_range(0..10) {
            0..5 => {
                let by = SALES[rng.random_range(0..SALES.len())];
                format!("/api/reports/sales?{range}&by={by}&limit={}", rng.random_range(1..50))
            }
            5..7 => format!("/api/reports/top-products?{range}&by=units"),
            7..9 => format!("/api/reports/funnel?{range}"),
            _ => match customer {
                Some(customer) => format!("/api/reports/customers/{customer}"),
                None => format!("/api/reports/top-products?{range}&by=revenue&currency=EUR"),
            },
        };
        Self { path, as_csv: rng.random_bool(0.2) }
    }

    pub(super) fn request(&self) -> Request {
        let request = Request::get(&self.path);
        if self.as_csv { request.with(ACCEPT, "text/csv") } else { request }
    }

    /// Says what is wrong with an answer to it.
    pub(super) fn complaint(&self, reply: &Reply) -> Option<&'static str> {
        let of_customer = self.path.contains("/customers/");
        match reply.status {
            // Of somebody who never ordered, or who is gone.
            404 if of_customer => None,
            200 if self.as_csv => is_no_table(&reply.body),
            200 if self.path.contains("/funnel") => is_no_funnel(&reply.body),
            200 if of_customer => reply.body["spent"].as_array().is_none().then_some("not what they spent"),
            200 => is_no_list(&reply.body),
            _ => Some("not a report"),
        }
    }
}

/// From the day before to the day after this one: all orders of a run.
pub(crate) fn days() -> String {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let day = |by: i64| today.saturating_add(jiff::Span::new().days(by));
    format!("from={}&to={}", day(-1), day(2))
}

/// Each line has as many fields as the first.
fn is_no_table(body: &Value) -> Option<&'static str> {
    let mut lines = body.as_str().into_iter().flat_map(str::lines).map(|line| line.split(',').count());
    let columns = lines.next();
    let is_table = columns.is_some_and(|columns| columns > 1 && lines.all(|fields| fields == columns));
    (!is_table).then_some("not a table")
}

/// Each order is in one place.
fn is_no_funnel(body: &Value) -> Option<&'static str> {
    let count = |value: &Value| value.as_i64();
    let parts = [
        &body["delivered"],
        &body["rejected"]["orders"],
        &body["cancelled"],
        &body["open"]["pending"],
        &body["open"]["confirmed"],
        &body["open"]["shipped"],
    ];
    let sum: Option<i64> = parts.into_iter().map(count).sum();
    (sum.is_none() || sum != count(&body["placed"])).then_some("a funnel that does not add up")
}

fn is_no_list(body: &Value) -> Option<&'static str> {
    let is_row = |item: &Value| {
        let revenue = &item["revenue"];
        item["units"].as_i64().is_some_and(|units| units > 0)
            && (revenue.is_null() || revenue["amount"].is_i64() && revenue["currency"].is_string())
    };
    let is_list = body["items"].as_array().is_some_and(|items| items.iter().all(is_row));
    (!is_list).then_some("not what was sold")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn complaint(path: &str, as_csv: bool, status: u16, body: Value) -> Option<&'static str> {
        let report = Report { path: format!("/api/reports/{path}"), as_csv };
        let (etag, request_id, retry_after) = (None, None, None);
        report.complaint(&Reply { status, body, etag, request_id, retry_after })
    }

    #[test]
    fn a_report_that_is_none_is_complained_of() {
        let sold = |units: i64| json!({ "items": [{ "units": units, "revenue": { "amount": 3, "currency": "EUR" } }] });
        assert_eq!(complaint("sales", false, 200, sold(1)), None);
        assert_eq!(complaint("top-products", false, 200, json!({ "items": [] })), None);
        for (status, body) in [(404, sold(1)), (200, sold(0)), (200, json!({ "message": "hello" }))] {
            assert!(complaint("sales", false, status, body.clone()).is_some(), "{body}");
        }
        let bare = json!({ "items": [{ "units": 1, "revenue": 3 }] });
        assert!(complaint("sales", false, 200, bare).is_some());

        let funnel = |placed: i64| {
            json!({
                "placed": placed, "delivered": 1, "rejected": { "orders": 2 }, "cancelled": 3,
                "open": { "pending": 4, "confirmed": 5, "shipped": 6 },
            })
        };
        assert_eq!(complaint("funnel", false, 200, funnel(21)), None);
        assert!(complaint("funnel", false, 200, funnel(20)).is_some());
        assert!(complaint("funnel", false, 200, json!({})).is_some());

        assert_eq!(complaint("customers/1", false, 404, json!({})), None);
        assert_eq!(complaint("customers/1", false, 200, json!({ "spent": [] })), None);
        assert!(complaint("customers/1", false, 200, json!({})).is_some());

        assert_eq!(complaint("funnel", true, 200, "a,b\r\n1,2\r\n".into()), None);
        assert!(complaint("funnel", true, 200, "a,b\r\n1\r\n".into()).is_some());
        assert!(complaint("funnel", true, 200, json!({})).is_some());
    }
}
