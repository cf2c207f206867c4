use anyhow::Result;

use crate::{
    aws::Aws,
    functions::FunctionFailed,
    reports::{Reports, Status, UnderWay},
};

use super::{Verdict, stack::Stack};

/// Whether the reports' database is as the deployed code expects it; nothing if the stack has none. What waits to be
/// projected is among the queues.
pub(super) async fn reports(aws: &Aws, environment: &str, stack: &Stack) -> Option<Result<Verdict>> {
    if !stack.has_reports() {
        return None;
    }
    Some(match status(aws, environment).await {
        Ok(status) => Ok(verdict(&status)),
        Err(error) if error.downcast_ref::<FunctionFailed>().is_some() => {
            Ok(Verdict::ill(format!("{error:#}"), "docs/RUNBOOK.md, The reports' database fails"))
        }
        Err(error) => Err(error),
    })
}

async fn status(aws: &Aws, environment: &str) -> Result<Status> {
    Reports::found(aws.clone(), environment).await?.status().await
}

fn verdict(Status { schema, expected, rebuild, orders }: &Status) -> Verdict {
    if schema != expected {
        let says = format!("the schema is at version {schema}, the deployed code expects {expected}");
        let advice = if schema < expected {
            "`cargo xtask report migrate`: nothing is lost, what waits is projected then"
        } else {
            "deploy the code that is newer: it has migrated the schema already"
        };
        return Verdict::ill(says, advice);
    }
    let says = format!("schema {schema}, {} orders", orders.unwrap_or_default());
    match rebuild {
        None => Verdict::well(says),
        Some(UnderWay { by, started_at }) => Verdict::doubtful(
            format!("{says}; {by} has begun to rebuild them at {started_at}"),
            "wait for its end; if nobody runs it any more: `cargo xtask report rebuild --restart`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use crate::doctor::State;

    use super::*;

    fn status(schema: u64) -> Status {
        Status { schema, expected: 2, rebuild: None, orders: Some(7) }
    }

    #[test]
    fn a_schema_that_the_code_does_not_know_is_ill_and_who_is_behind_has_to_move() {
        assert_eq!(verdict(&status(2)).state, State::Well);
        let (older, newer) = (verdict(&status(1)), verdict(&status(3)));
        assert!(older.state == State::Ill && older.advice.unwrap().contains("report migrate"));
        assert!(newer.state == State::Ill && newer.advice.unwrap().contains("deploy"));
    }

    #[test]
    fn a_rebuild_is_said_to_be_under_way() {
        let rebuild =
            UnderWay { by: "ada@desk".to_owned(), started_at: "2026-01-02T03:04:05.678Z".to_owned() };
        let verdict = verdict(&Status { rebuild: Some(rebuild), ..status(2) });
        assert!(verdict.state == State::Doubtful && verdict.says.contains("ada@desk"));
    }
}
