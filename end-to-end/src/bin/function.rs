//! One of the shop's functions, whole, for tests that need it in a process of its own: `function <service>`.

use std::process::ExitCode;

use order_service::OrderService;
use product_service::ProductService;
use user_service::UserService;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("user-service") => lambda_dispatch::run(async |aws| Ok(UserService::connect(aws).await?)),
        Some("product-service") => lambda_dispatch::run(async |aws| Ok(ProductService::connect(aws).await?)),
        Some("order-service") => lambda_dispatch::run(async |aws| Ok(OrderService::connect(aws).await?)),
        other => {
            eprintln!("which function? user-service, product-service or order-service, not {other:?}");
            ExitCode::FAILURE
        }
    }
}
