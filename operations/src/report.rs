use std::{env, fs, time::Duration};

use aws_types::SdkConfig;
use clap::{Args, Subcommand};
use operations::reports::{Rebuild, Reports, Totals, Verification, Verify};

use crate::{Healthy, meter::Meter, stop_on_signals};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Bring the database's schema to what the deployed code expects
    ///
    /// Part of each deployment. It can be run again, and by two at once.
    Migrate,
    /// Make the reports anew out of the tables of orders, products and users, beside the shop's own work
    ///
    /// The reports that are read stay as they are until the new ones take their place. Ctrl-C gives it up.
    Rebuild(RebuildArguments),
    /// Compare the reports with the tables of orders and products, and name each difference
    ///
    /// It ends with 1 if there is one. It changes nothing.
    Verify(VerifyArguments),
}

#[derive(Args)]
pub(crate) struct RebuildArguments {
    /// Give up the rebuild that is under way, and begin this one
    #[arg(long)]
    restart: bool,
}

#[derive(Args)]
pub(crate) struct VerifyArguments {
    /// Seconds for which something has to differ, and stay as it is, to be a difference: else it is under way
    ///
    /// What failed once comes back to the reports within ten seconds, what failed twice after some minutes.
    #[arg(long, default_value_t = 30)]
    settle: u64,
}

/// Runs a command; false if what it looked at is not as it should be.
pub(crate) async fn run(command: &Command, config: &SdkConfig, environment: &str) -> Healthy {
    let reports = Reports::find(config, environment).await?;
    match command {
        Command::Migrate => migrate(&reports).await,
        Command::Rebuild(arguments) => rebuild(&reports, arguments).await,
        Command::Verify(arguments) => verify(&reports, arguments).await,
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

async fn rebuild(reports: &Reports, arguments: &RebuildArguments) -> Healthy {
    let (meter, by) = (Meter::default(), whoami());
    let progress = |progress: &_| meter.show(progress);
    let rebuild =
        Rebuild { by: &by, restart: arguments.restart, stop: stop_on_signals()?, progress: &progress };
    let outcome = reports.rebuild(&rebuild).await;
    meter.end();
    let Some(rebuilt) = outcome? else {
        println!("stopped: the rebuild is given up, and the reports are as they were");
        return Ok(false);
    };
    println!(
        "the reports are made anew: {} orders with {} lines, {} products; {} customers are gone",
        rebuilt.orders, rebuilt.lines, rebuilt.products, rebuilt.gone
    );
    print_unreadable(&rebuilt.unreadable);
    Ok(rebuilt.unreadable.is_empty())
}

async fn verify(reports: &Reports, arguments: &VerifyArguments) -> Healthy {
    let meter = Meter::default();
    let progress = |progress: &_| meter.show(progress);
    let verify = Verify { settle: Duration::from_secs(arguments.settle), progress: &progress };
    let outcome = reports.verify(&verify).await;
    meter.end();
    let found = outcome?;
    print_totals(&found);
    for difference in &found.differences {
        println!("{difference}");
    }
    print_unreadable(&found.unreadable);
    match found.differences.len() {
        0 => println!("the reports are as the tables are"),
        number => println!(
            "{number} differences that have not changed for {} s. docs/RUNBOOK.md, The reports differ, says what to do",
            arguments.settle
        ),
    }
    Ok(found.is_clean())
}

fn print_totals(found: &Verification) {
    let (Totals(table), Totals(report)) = (&found.table, &found.report);
    let of_either = |mut both: Vec<&(String, String)>| {
        both.sort();
        both.dedup();
        both.into_iter().cloned().collect::<Vec<_>>()
    };
    println!("  {:<10} {:<8} {:>12} {:>12} {:>20} {:>20}", "", "", "table", "reports", "table", "reports");
    for key in of_either(table.keys().chain(report.keys()).collect()) {
        let (in_table, in_report) =
            (table.get(&key).copied().unwrap_or_default(), report.get(&key).copied().unwrap_or_default());
        let (status, currency) = key;
        println!(
            "{} {status:<10} {currency:<8} {:>12} {:>12} {:>20} {:>20}",
            if in_table == in_report { ' ' } else { '≠' },
            in_table.orders,
            in_report.orders,
            in_table.total,
            in_report.total
        );
    }
    let (in_table, in_report) = found.products;
    println!(
        "{} {:<10} {:<8} {in_table:>12} {in_report:>12}",
        if in_table == in_report { ' ' } else { '≠' },
        "products",
        ""
    );
}

fn print_unreadable(unreadable: &[String]) {
    unreadable.iter().for_each(|row| println!("left out, as it can't be read: {row}"));
}

/// Who does this, for whoever wants to do it at the same time.
fn whoami() -> String {
    let user = env::var("USER").or_else(|_| env::var("LOGNAME")).unwrap_or_else(|_| "somebody".to_owned());
    let host = fs::read_to_string("/proc/sys/kernel/hostname");
    host.map_or(user.clone(), |host| format!("{user}@{}", host.trim()))
}
