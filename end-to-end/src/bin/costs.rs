//! Renews the tables of `docs/performance/costs.md` after a change of the calls or the prices.

use std::{error::Error, fs};

use end_to_end::bill;

fn main() -> Result<(), Box<dyn Error>> {
    let path = bill::document_path();
    let document = fs::read_to_string(&path)?;
    fs::write(&path, bill::refreshed(&document)?)?;
    Ok(())
}
