//! Whether a stack is healthy, in a dozen lines, and what to do if it is not.

use std::{fmt, path::Path};

use anyhow::Result;
use aws_types::SdkConfig;

use crate::{aws::Aws, dead_letters::DeadLetters};

/// What was deployed, compared with the checkout.
mod checkout;
/// The database of the reports.
mod reporting;
/// What runs: the API, clocks, secrets, alarms.
mod running;
/// What CloudFormation says of the stack.
mod stack;
/// What is under way: mappings, queues, orders.
mod under_way;

/// One line of the diagnosis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub subject: &'static str,
    /// How it is.
    pub state: State,
    /// What was found.
    pub says: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it should be.
    Well,
    /// Worth a look; nothing is stuck because of it.
    Doubtful,
    /// Somebody has to do something.
    Ill,
}

/// How it is, what was found, and what to do.
struct Verdict {
    state: State,
    says: String,
    advice: Option<String>,
}

impl Verdict {
    fn well(says: impl Into<String>) -> Self {
        Self { state: State::Well, says: says.into(), advice: None }
    }

    fn doubtful(says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Doubtful, says: says.into(), advice: Some(advice.into()) }
    }

    fn ill(says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Ill, says: says.into(), advice: Some(advice.into()) }
    }

    /// What could not be looked at is not known to be ill.
    fn of(subject: &'static str, outcome: Result<Self>) -> Finding {
        let Self { state, says, advice } = outcome.unwrap_or_else(|error| {
            Self::doubtful(
                format!("can't be looked at: {error:#}"),
                "the permissions in docs/RUNBOOK.md, or the region",
            )
        });
        Finding { subject, state, says, advice }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Well => "✓",
            Self::Doubtful => "!",
            Self::Ill => "✗",
        })
    }
}

/// How far the diagnosis goes.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    /// Orders that are looked at, at most, for those that are stuck.
    pub orders: u64,
}

/// Looks at the stack of an environment, and compares it with a checkout of the repository. An error means that there is
/// none.
pub async fn examine(
    config: &SdkConfig,
    environment: &str,
    checkout: &Path,
    reach: Reach,
) -> Result<Vec<Finding>> {
    let aws = Aws::new(config)?;
    let stack = stack::find(&aws, environment).await?;
    let letters = DeadLetters::find(config, environment).await;
    let letters = letters.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"));
    let (template, code) = checkout::compare(&aws, &stack, checkout).await;
    let (api, secret, alarms, mappings, queues, dead, orders, reports) = tokio::join!(
        running::api(&aws, &stack),
        running::secret(&aws, environment),
        running::alarms(&aws, environment),
        under_way::mappings(&aws, environment),
        async { under_way::queues(&aws, letters.as_ref().map_err(again)?).await },
        async { under_way::dead_letters(letters.as_ref().map_err(again)?).await },
        under_way::orders(&aws, environment, &stack, reach),
        reporting::reports(&aws, environment, &stack),
    );
    let mut findings = vec![
        Verdict::of("stack", Ok(stack.verdict())),
        Verdict::of("template", template),
        Verdict::of("code", code),
        Verdict::of("API", api),
        Verdict::of("clock", Ok(running::clock(&stack))),
        Verdict::of("secret", secret),
        Verdict::of("mappings", mappings),
        Verdict::of("queues", queues),
        Verdict::of("dead letters", dead),
        Verdict::of("orders", orders),
        Verdict::of("alarms", alarms),
    ];
    findings.extend(reports.map(|reports| Verdict::of("reports", reports)));
    Ok(findings)
}

/// The same error for a second reader.
fn again(error: &anyhow::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}

/// A time in words, as precise as anybody wants to know.
pub fn in_words(time: std::time::Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_said_in_the_largest_unit_that_fits_twice() {
        let said = |seconds| in_words(Duration::from_secs(seconds));
        assert_eq!([said(119), said(120), said(7200), said(172_800)], ["119 s", "2 min", "2 h", "2 days"]);
    }
}
