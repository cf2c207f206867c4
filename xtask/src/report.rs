use anyhow::{Context, Result};

use crate::{
    cloud::{Cloud, ENVIRONMENT},
    operations::{TOOLS, build},
    processes::execute,
};

/// Brings the schema of the reports' database to what the deployed code expects: part of every deployment with reports.
/// Again, it changes nothing.
pub(crate) fn migrate(cloud: Cloud) -> Result<()> {
    build()?;
    let mut migrate = cloud.client(TOOLS);
    execute(migrate.args(["report", "migrate", "--environment", ENVIRONMENT]), "report-migrate")
        .context("the schema of the reports is not as the code expects it")
}
