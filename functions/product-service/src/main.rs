//! The Lambda function of product-service.

use std::process::ExitCode;

use product_service::ProductService;

fn main() -> ExitCode {
    lambda_dispatch::run(async |aws| ProductService::connect(aws).await)
}
