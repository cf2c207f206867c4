use super::{Grants, function};
use crate::flows::{Flow, optional};

pub(super) fn service() -> Grants {
    function("ReportServiceLambdaRole", "log-group:/aws/lambda/report-service:*")
        .checks_tokens(("GET", "/api/reports/funnel?from=2026-01-01&to=2026-01-02"))
        .add(
            "ReadDatabaseSecrets",
            &["secretsmanager:GetSecretValue"],
            &["secret:microservices/database"],
            "the database is found",
            Flow::Start(optional::reports_answer),
        )
        .add(
            "ReadDatabaseSecrets",
            &["secretsmanager:GetSecretValue"],
            &["secret:rds!cluster"],
            "the database is connected to",
            Flow::Start(optional::reports_answer),
        )
        .consumes("report-events", "orders are reported on", optional::order_is_reported)
        .joins_vpc()
        .optional()
}
