//! The Lambda function of order-service.

use std::process::ExitCode;

use order_service::OrderService;

fn main() -> ExitCode {
    lambda_dispatch::run(async |aws| Ok(OrderService::connect(aws).await?))
}
