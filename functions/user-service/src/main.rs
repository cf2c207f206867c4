//! The user-service's function: registration, login and accounts.

use std::process::ExitCode;

use user_service::UserService;

fn main() -> ExitCode {
    lambda_dispatch::run(async |config| UserService::connect(config).await)
}
