use aws_types::SdkConfig;
use clap::Subcommand;
use operations::reports::Reports;

use crate::Healthy;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Bring the database's schema to what the deployed code expects
    ///
    /// Part of each deployment. It can be run again, and by two at once.
    Migrate,
}

/// Runs a command; false if what it looked at is not as it should be.
pub(crate) async fn run(command: &Command, config: &SdkConfig, environment: &str) -> Healthy {
    let reports = Reports::find(config, environment).await?;
    match command {
        Command::Migrate => migrate(&reports).await,
    }
}

async fn migrate(reports: &Reports) -> Healthy {
    let migration = reports.migrate().await?;
    if migration.from == migration.to {
        println!("the schema is at version {} already", migration.to);
        return Ok(true);
    }
    println!("the schema went from version {} to {}", migration.from, migration.to);
    migration.applied.iter().for_each(|name| println!("  {name}"));
    Ok(true)
}
