//! The Lambda function of report-service.

use std::process::ExitCode;

use report_service::ReportService;

fn main() -> ExitCode {
    lambda_dispatch::run(async |aws| Ok(ReportService::connect(aws).await?))
}
