use anyhow::Result;

use crate::{
    processes::{command, execute},
    progress::step,
};

/// Writes the descriptions of the services' APIs, each beside its service and all of them together in `docs/`.
pub(crate) fn run() -> Result<()> {
    step("write openapi.json of the services and of docs", || {
        let mut write = command("cargo");
        write.args(["run", "--quiet", "--locked", "--package", "end-to-end", "--bin", "openapi"]);
        execute(&mut write, "openapi")
    })
}
