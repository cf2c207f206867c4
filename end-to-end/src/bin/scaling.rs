//! Renews the tables of `docs/SCALING.md` after a change of the calls or the limits.

use std::{error::Error, fs};

use end_to_end::scaling;

fn main() -> Result<(), Box<dyn Error>> {
    let path = scaling::document_path();
    let document = fs::read_to_string(&path)?;
    fs::write(&path, scaling::refreshed(&document)?)?;
    Ok(())
}
