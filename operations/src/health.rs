use std::path::PathBuf;

use aws_types::SdkConfig;
use clap::Args;
use operations::doctor::{Reach, State, examine};

use crate::Healthy;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Orders that are looked at, at most, for those that are stuck
    ///
    /// Nothing but reading the table finds them. Some 2,000 orders are a megabyte, which costs 128 read units.
    #[arg(long, default_value_t = 20_000)]
    orders: u64,
    /// The repository to compare the stack with
    #[arg(long, default_value = ".")]
    checkout: PathBuf,
}

/// Prints the diagnosis; false if something is ill.
pub(crate) async fn run(arguments: &Arguments, config: &SdkConfig, environment: &str) -> Healthy {
    let reach = Reach { orders: arguments.orders };
    let findings = examine(config, environment, &arguments.checkout, reach).await?;
    for finding in &findings {
        println!("{} {:<13}{}", finding.state, finding.subject, finding.says);
        if let Some(advice) = &finding.advice {
            println!("{:15}→ {advice}", "");
        }
    }
    Ok(findings.iter().all(|finding| finding.state != State::Ill))
}
