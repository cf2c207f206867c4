//! The Lambda function of report-service.

fn main() {}
