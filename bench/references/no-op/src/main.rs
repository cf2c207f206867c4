//! The least that a function on `lambda_runtime` can do: take an event, answer it.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json, value::RawValue};

fn main() -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(service_fn(answer)))
}

async fn answer(_: LambdaEvent<Box<RawValue>>) -> Result<Value, Error> {
    Ok(json!({"statusCode": 200, "headers": {}, "body": "", "isBase64Encoded": false}))
}
