//! Prints the OpenAPI document of the shop.

use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    std::io::stdout().write_all(end_to_end::openapi_json()?.as_bytes())?;
    Ok(())
}
