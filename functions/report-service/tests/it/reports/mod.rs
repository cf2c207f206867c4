//! Reports against figures that are computed by hand, over events that came through the door.

/// What a file for a spreadsheet looks like.
mod csv;
/// What is counted, and where.
mod figures;
/// Page after page.
mod paging;
/// Who may ask, and for what.
mod requests;
/// Orders for reports.
mod sale;
/// All ways of summing give the same sums.
mod sums;

use serde_json::Value;
use test_support::door::{self, HttpAnswer, HttpEvent};
use uuid::Uuid;

use self::sale::Sale;
use crate::harness::Reports;

/// A product of the test's choice: they sort by this number.
fn numbered(number: u16) -> Uuid {
    Uuid::from_fields(1, 0, number, &[0; 8])
}

impl Reports {
    /// An admin's request for a report.
    async fn report(&self, path: &str) -> HttpAnswer {
        self.send(request(path).bearer(&self.admin())).await
    }

    /// The report that answers it.
    async fn figures(&self, path: &str) -> Value {
        let answer = self.report(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    /// The report as CSV.
    async fn csv(&self, path: &str) -> HttpAnswer {
        let answer = self.send(request(path).bearer(&self.admin()).header("accept", "text/csv")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer
    }

    /// Everything that happens to these orders happens.
    async fn sell(&self, sales: &[Sale]) {
        let events: Vec<String> = sales.iter().flat_map(Sale::events).collect();
        for batch in events.chunks(10) {
            self.takes(batch.to_vec()).await;
        }
    }
}

fn request(path: &str) -> HttpEvent {
    door::http_v2("GET", &format!("/api/reports/{path}"))
}

/// Status and name of a problem.
fn problem(answer: &HttpAnswer) -> (u16, String) {
    let kind = answer.json()["type"].as_str().unwrap_or_default().to_owned();
    (answer.status, kind.rsplit(':').next().unwrap_or_default().to_owned())
}
