use std::fs;

use anyhow::{Context, Result};

use crate::{
    processes::{command, output},
    progress::step,
};

const DOCUMENT: &str = "docs/openapi.json";

/// Writes the merged description of all services' APIs.
pub(crate) fn run() -> Result<()> {
    step("write docs/openapi.json", || {
        let mut print = command("cargo");
        print.args(["run", "--quiet", "--locked", "--package", "end-to-end", "--bin", "openapi"]);
        let document = output(&mut print, "openapi")?;
        fs::write(DOCUMENT, document).with_context(|| format!("can't write {DOCUMENT}"))
    })
}
