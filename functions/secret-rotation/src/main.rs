//! The function that rotates the key of access tokens. Secrets Manager calls it, one step at a time.
//!
//! It is a function of its own because its role may write the secret, which no service may.

/// What the next version of the secret is, and whether services can use it.
mod content;
/// The four steps.
mod rotation;

use std::process::ExitCode;

use lambda_runtime::{Error, LambdaEvent, service_fn};

use crate::rotation::{Request, Rotation};

fn main() -> ExitCode {
    telemetry::init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Error::from).and_then(|runtime| runtime.block_on(run())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            tracing::error!(error = %telemetry::chain(&*cause), "the function has stopped");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let rotation = Rotation::new(&service_config::aws()?, service_config::required("SECRET_ID")?);
    let rotation = &rotation;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Request>| async move {
        rotation.handle(&event.payload).await
    }))
    .await
}
