use access_token::Role;
use serde_json::json;
use test_support::door::HttpAnswer;
use uuid::Uuid;

use super::{numbered, problem, request, sale::Sale};
use crate::harness::{Blocker, Reports};

/// One good request for each report.
const REPORTS: [&str; 4] = [
    "sales?from=2026-12-01&to=2027-01-01&by=day",
    "top-products?from=2026-12-01&to=2027-01-01&by=units",
    "funnel?from=2026-12-01&to=2027-01-01",
    "customers/00000000-0000-0000-0000-000000000000",
];

#[tokio::test]
async fn reports_are_for_admins() {
    let reports = Reports::open().await;
    for path in REPORTS {
        let customer = reports.tokens.issue(Uuid::now_v7(), Role::Customer).unwrap().token;
        let refused = reports.send(request(path).bearer(&customer)).await;
        assert_eq!(problem(&refused), (403, "forbidden".to_owned()), "{path}");
        // Whoever may not see it, is not told either what is wrong about the request.
        let refused =
            reports.send(request("sales?by=colour").bearer(&customer).header("accept", "image/png")).await;
        assert_eq!(refused.status, 403);
        assert_eq!(reports.send(request(path)).await.status, 401, "{path}");
        let known = if path.starts_with("customers") { 404 } else { 200 };
        assert_eq!(reports.report(path).await.status, known, "{path}");
    }
}

#[tokio::test]
async fn everything_that_is_wrong_is_named() {
    let reports = Reports::open().await;
    for (path, expected) in [
        ("sales", vec!["/from is required", "/to is required", "/by is required"]),
        ("funnel?from=2026-12-01", vec!["/to is required"]),
        (
            "sales?from=2026-12-01&to=2026-12-31&by=year",
            vec!["/by must be one of day, week, month, product, category"],
        ),
        (
            "sales?from=yesterday&to=2026-02-30&by=day&limit=0&colour=red",
            vec![
                "/colour is not a known field",
                "/from must be a day (2026-11-22) or an RFC 3339 moment (2026-11-22T09:30:00Z)",
                "/limit must be a number from 1 to 1000",
                "/to must be a day (2026-11-22) or an RFC 3339 moment (2026-11-22T09:30:00Z)",
            ],
        ),
        ("funnel?from=2026-12-01&to=2026-12-01", vec!["/to must be after from"]),
        ("funnel?from=2026-12-02&to=2026-12-01", vec!["/to must be after from"]),
        (
            "funnel?from=2024-01-01&to=2025-01-01T00:00:00.001Z",
            vec!["/to must be at most 366 days after from"],
        ),
        ("funnel?from=2026-12-01&from=2026-12-01&to=2026-12-02", vec!["/from may be given only once"]),
        ("funnel?from=2026-12-01&to=2026-12-02&by=day", vec!["/by is not a known field"]),
        (
            "top-products?from=2026-12-01&to=2026-12-31&by=revenue",
            vec!["/currency is required by revenue: amounts of several currencies can't be compared"],
        ),
        (
            "top-products?from=2026-12-01&to=2026-12-31&by=units&currency=eur&limit=101",
            vec!["/currency must be an ISO 4217 code such as EUR", "/limit must be a number from 1 to 100"],
        ),
    ] {
        let answer = reports.report(path).await;
        assert_eq!(problem(&answer), (400, "invalid-input".to_owned()), "{path}: {}", answer.body);
        assert_eq!(errors(&answer), expected, "{path}");
    }
    // A leap year is as long as a range may be.
    reports.figures("funnel?from=2024-01-01&to=2025-01-01").await;
}

fn errors(answer: &HttpAnswer) -> Vec<String> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let problem = answer.json();
    let errors = problem["errors"].as_array().unwrap().iter();
    let mut errors: Vec<String> =
        errors.map(|error| format!("{} {}", text(&error["pointer"]), text(&error["detail"]))).collect();
    if errors.iter().all(|error| !error.ends_with("is required")) {
        errors.sort();
    }
    errors
}

#[tokio::test]
async fn what_is_accepted_is_what_is_answered() {
    let reports = Reports::open().await;
    for path in &REPORTS[..3] {
        let content_type = async |accept: &str| {
            let answer = reports.send(request(path).bearer(&reports.admin()).header("accept", accept)).await;
            (
                answer.status,
                answer.header("content-type").unwrap_or_default().split(';').next().unwrap().to_owned(),
            )
        };
        for (accept, expected) in [
            ("*/*", (200, "application/json")),
            ("application/json", (200, "application/json")),
            ("text/html,application/xhtml+xml,*/*;q=0.8", (200, "application/json")),
            ("text/csv", (200, "text/csv")),
            ("text/csv, */*;q=0.1", (200, "text/csv")),
            ("application/vnd.ms-excel", (406, "application/problem+json")),
        ] {
            assert_eq!(content_type(accept).await, (expected.0, expected.1.to_owned()), "{path}: {accept}");
        }
    }
}

#[tokio::test]
async fn what_looks_like_sql_is_text() {
    let reports = Reports::open().await;
    reports.sell(&[Sale::new("2026-12-24T12:00:00Z", "EUR", &[(numbered(1), 1, 10)])]).await;
    let before = reports.place.contents();
    for evil in [
        "'; DROP SCHEMA report CASCADE; --",
        "' OR '1'='1",
        "1) UNION SELECT 1 --",
        "$1",
        "\\'",
        "\u{0}",
        "%00",
    ] {
        for name in ["from", "to", "by", "limit", "cursor", "currency"] {
            let mut event = request("sales").bearer(&reports.admin());
            for (known, value) in [("from", "2026-12-01"), ("to", "2027-01-01"), ("by", "day")] {
                if known != name {
                    event = event.query(known, value);
                }
            }
            let answer = reports.send(event.query(name, evil)).await;
            assert_eq!(answer.status, 400, "{name}={evil}: {}", answer.body);
        }
        let top = request("top-products?from=2026-12-01&to=2027-01-01&by=units").query("currency", evil);
        assert_eq!(reports.send(top.bearer(&reports.admin())).await.status, 400, "{evil}");
        let customer = request("customers/x").bearer(&reports.admin()).query("x", evil);
        assert_eq!(reports.send(customer).await.status, 404, "{evil}");
    }
    assert_eq!(reports.place.contents(), before);
    // What others have called a product is text, too.
    let name = "'); DELETE FROM report.orders; --";
    reports.takes([super::sale::product(numbered(1), 1, name, name)]).await;
    let report = reports.figures("sales?from=2026-12-01&to=2027-01-01&by=category&limit=1").await;
    assert_eq!(report["items"][0]["category"], json!(name));
}

#[tokio::test]
async fn a_report_that_takes_too_long_may_be_asked_for_again() {
    let reports = Reports::open().await;
    let blocker = Blocker::hold(&reports.place, "LOCK TABLE report.orders IN ACCESS EXCLUSIVE MODE").await;
    let answer = reports.report(REPORTS[0]).await;
    assert_eq!(problem(&answer), (503, "temporarily-unavailable".to_owned()), "{}", answer.body);
    assert_eq!(answer.header("retry-after"), Some("10"));
    blocker.release().await;
    assert_eq!(reports.report(REPORTS[0]).await.status, 200);
}
