use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    aws::{Aws, LAMBDA, LOGS, Refused, escaped},
    functions::Function,
};

use super::{DeadLetterQueue, Letter};

/// Pages of the log that are read; one has up to 10,000 lines.
const PAGES: usize = 50;
/// Clocks differ.
const LEEWAY: Duration = Duration::from_secs(60);
const NOT_LOGGED: &str =
    "not in the log: the function was ended before it could say, or the log does not go back so far";

/// Finds what the function logged of each message that does not say itself why it failed.
pub(super) async fn explain(aws: &Aws, queue: &DeadLetterQueue, letters: &mut [Letter]) -> Result<()> {
    let Some(function) = queue.origin().function() else { return Ok(()) };
    let unexplained = letters.iter().filter(|letter| letter.reason().is_none());
    let Some(first) = unexplained.map(Letter::sent).min() else { return Ok(()) };
    let logged = logged_since(aws, function, first).await?;
    for letter in letters.iter_mut().filter(|letter| letter.reason().is_none()) {
        letter.explain(logged.get(letter.id()).map_or(NOT_LOGGED, String::as_str));
    }
    Ok(())
}

/// The last error of each message that failed since then, by the message's id.
async fn logged_since(aws: &Aws, function: &Function, since: SystemTime) -> Result<HashMap<String, String>> {
    let since = since.checked_sub(LEEWAY).and_then(|since| since.duration_since(UNIX_EPOCH).ok());
    let mut input = json!({
        "logGroupName": log_group(aws, function).await?,
        "startTime": u64::try_from(since.unwrap_or_default().as_millis())?,
        "filterPattern": "\"message failed\"",
    });
    let mut errors = HashMap::new();
    for _ in 0..PAGES {
        let page = match aws.json(LOGS, "FilterLogEvents", &input).await {
            // Nothing was logged, ever.
            Err(error)
                if error.downcast_ref::<Refused>().is_some_and(|e| e.is("ResourceNotFoundException")) =>
            {
                break;
            }
            page => page?,
        };
        for event in page["events"].as_array().into_iter().flatten() {
            let line: Value =
                serde_json::from_str(event["message"].as_str().unwrap_or_default()).unwrap_or_default();
            if let (Some(id), Some(error)) = (line["message_id"].as_str(), line["error"].as_str()) {
                errors.insert(id.to_owned(), error.to_owned());
            }
        }
        let Some(next) = page["nextToken"].as_str() else { break };
        input["nextToken"] = next.into();
    }
    Ok(errors)
}

/// Where a function's lines go.
async fn log_group(aws: &Aws, function: &Function) -> Result<String> {
    let path = format!("/2015-03-31/functions/{}/configuration", escaped(&function.name));
    let configuration = aws.rest(LAMBDA, "GET", &path, String::new()).await?.json()?;
    let group = configuration["LoggingConfig"]["LogGroup"].as_str();
    Ok(group.map_or_else(|| format!("/aws/lambda/{}", function.name), str::to_owned))
}
