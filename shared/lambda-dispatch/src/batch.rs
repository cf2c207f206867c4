//! What SQS batches and stream batches share: isolation of one record, time left, and the answer.

use std::{
    any::Any,
    future::Future,
    panic::AssertUnwindSafe,
    time::{Duration, SystemTime},
};

use futures_util::FutureExt;
use lambda_runtime::Context;
use serde::Serialize;

use crate::HandlerError;

/// Kept back from the remaining time of an invocation, to answer in.
pub(crate) const MARGIN: Duration = Duration::from_millis(500);

/// Assumed when the runtime gives no deadline.
const DEFAULT_TIME: Duration = Duration::from_secs(30);

/// In milliseconds since 1970. What is before it (September 2001) is no deadline: `cargo lambda watch` gives a duration
/// in its place.
const EARLIEST_DEADLINE: u64 = 1_000_000_000_000;

/// The answer to a batch: what was not done and has to come again.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BatchAnswer {
    /// Message ids of a queue, or the one sequence number from which a stream has to be repeated.
    pub(crate) batch_item_failures: Vec<BatchItemFailure>,
}

/// One record that was not done.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BatchItemFailure {
    /// The record's message id or sequence number.
    pub(crate) item_identifier: String,
}

impl FromIterator<String> for BatchAnswer {
    fn from_iter<I: IntoIterator<Item = String>>(failed: I) -> Self {
        let failed = failed.into_iter().map(|item_identifier| BatchItemFailure { item_identifier });
        Self { batch_item_failures: failed.collect() }
    }
}

/// The time that is left for work in this invocation, the margin for answering already taken off.
pub(crate) fn time_left(context: &Context) -> Duration {
    if context.deadline < EARLIEST_DEADLINE {
        return DEFAULT_TIME;
    }
    let left = context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
    // A very short timeout must not leave nothing but margin.
    left.saturating_sub(MARGIN.min(left / 4))
}

/// Runs one handler so that neither its panic nor its slowness goes beyond it.
pub(crate) async fn isolated<T>(
    time: Duration,
    handler: impl Future<Output = Result<T, HandlerError>>,
) -> Result<T, HandlerError> {
    match tokio::time::timeout(time, AssertUnwindSafe(handler).catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(Panicked::from(panic).into()),
        Err(_) => Err(OutOfTime.into()),
    }
}

/// A handler panicked; the hook has logged where.
#[derive(Debug, thiserror::Error)]
#[error("panicked: {0}")]
pub(crate) struct Panicked(String);

impl From<Box<dyn Any + Send>> for Panicked {
    fn from(payload: Box<dyn Any + Send>) -> Self {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        Self(text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "?".to_owned()))
    }
}

/// The invocation's time was up before the handler had finished.
#[derive(Debug, thiserror::Error)]
#[error("not finished within the time of the invocation")]
pub(crate) struct OutOfTime;

#[cfg(test)]
mod tests {
    use super::*;

    fn left(deadline: u64) -> Duration {
        let mut context = Context::default();
        context.deadline = deadline;
        time_left(&context)
    }

    #[test]
    fn the_margin_is_kept_back_from_the_time_to_the_deadline() {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
        let time = left(now + 10_000);
        assert!(time > Duration::from_secs(9) && time <= Duration::from_millis(9_500), "{time:?}");
        assert_eq!(left(now - 10_000), Duration::ZERO);
    }

    #[test]
    fn what_can_be_no_deadline_is_taken_for_none() {
        assert_eq!(left(0), DEFAULT_TIME);
        assert_eq!(left(600_000), DEFAULT_TIME);
    }
}
