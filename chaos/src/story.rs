use std::time::SystemTime;

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    drain::Message,
    journal::Deed,
    ledger::{Fault, Outage},
    operator::Operator,
    recorder::Recording,
};

/// A story has no more lines than anybody would read, and no longer ones.
const LINES: usize = 300;
const WIDTH: usize = 600;

/// A line that a function logged.
#[derive(Debug, Clone)]
pub(crate) struct LogLine {
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    pub(crate) function: String,
    pub(crate) text: String,
}

/// Everything that was logged.
pub(crate) async fn log(operator: &Operator) -> Result<Vec<LogLine>> {
    let logs = async |operation: &str, input: &Value| {
        operator.json("logs", &format!("Logs_20140328.{operation}"), input).await
    };
    let groups = logs("DescribeLogGroups", &json!({})).await?;
    let mut lines = Vec::new();
    for group in groups["logGroups"].as_array().into_iter().flatten() {
        let name = group["logGroupName"].as_str().unwrap_or_default();
        let function = name.rsplit('/').next().unwrap_or(name);
        let mut input = json!({ "logGroupName": name });
        loop {
            let page = logs("FilterLogEvents", &input).await?;
            lines.extend(page["events"].as_array().into_iter().flatten().map(|event| LogLine {
                at: event["timestamp"].as_i64().unwrap_or_default(),
                function: function.to_owned(),
                text: event["message"].as_str().unwrap_or_default().to_owned(),
            }));
            match page.get("nextToken") {
                Some(next) => input["nextToken"] = next.clone(),
                None => break,
            }
        }
    }
    Ok(lines)
}

/// All that is known of an entity, in order of time: what was asked of it and answered, the faults that hit calls about it
/// and when Redis and PostgreSQL failed, its versions, the events about it, messages that nobody handled, and what was logged.
pub(crate) fn tell(
    entity: &str,
    deeds: &[Deed],
    faults: &[Fault],
    outages: &[Outage],
    recording: &Recording,
    messages: &[Message],
    log: &[LogLine],
) -> String {
    if entity.is_empty() {
        return String::new();
    }
    let mut lines: Vec<(i64, String)> = Vec::new();
    for deed in deeds {
        let what = format!("shopper {} deed {} {:?}", deed.shopper, deed.number, deed.what);
        let of_deed = what.contains(entity);
        for attempt in &deed.attempts {
            let outcome = attempt.outcome.to_string();
            if of_deed || outcome.contains(entity) {
                lines.push((millis(attempt.at), format!("{what} after {:?}: {outcome}", attempt.took)));
            }
        }
    }
    let faults = faults.iter().filter(|fault| fault.asked.contains(entity));
    lines.extend(faults.map(|fault| (millis(fault.at), format!("fault {}: {}", fault.what, fault.asked))));
    for Outage { kind, how, from, to } in outages {
        let kind = kind.name();
        lines.push((millis(*from), format!("{kind} {how} from now")));
        lines.push((millis(*to), format!("{kind} {how} until now")));
    }
    for change in recording.changes.iter().filter(|change| change.key.contains(entity)) {
        let written = change.text("updated_at").parse::<jiff::Timestamp>().map(|at| at.as_millisecond());
        let row = change.after.as_ref().map_or_else(|| "removed".to_owned(), Value::to_string);
        let line = format!("{} {} change {}: {row}", change.table, change.key, change.id);
        lines.push((written.unwrap_or_else(|_| millis(change.at)), line));
    }
    for event in recording.events.iter().filter(|event| event.text("subject") == entity) {
        lines.push((millis(event.at), format!("published {}", event.body)));
    }
    let log = log.iter().filter(|line| line.text.contains(entity));
    lines.extend(log.map(|line| (line.at, format!("log of {}: {}", line.function, line.text.trim()))));
    lines.sort_by_key(|(at, _)| *at);
    let mut story: Vec<String> =
        lines.into_iter().map(|(at, line)| format!("{} {line}", moment(at))).collect();
    let unhandled = messages.iter().filter(|message| message.body.contains(entity) || message.id == entity);
    story.extend(unhandled.map(|message| format!("in {} at the end: {}", message.queue, message.body)));
    let left_out = story.len().saturating_sub(LINES);
    story.truncate(LINES);
    if left_out > 0 {
        story.push(format!("… and {left_out} lines more"));
    }
    story.iter().map(|line| line.chars().take(WIDTH).collect::<String>()).collect::<Vec<_>>().join("\n")
}

fn millis(at: SystemTime) -> i64 {
    jiff::Timestamp::try_from(at).map_or(0, |at| at.as_millisecond())
}

fn moment(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| millis.to_string(), |at| format!("{at:.3}"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::{
        journal::{Attempt, Outcome, What},
        recorder::{Change, Published},
    };

    const ORDER: &str = "00000000-0000-8000-8000-000000000001";

    #[test]
    fn a_story_has_all_that_is_known_of_an_entity_in_order_of_time() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let change = |seconds, key: &str| Change {
            at: at(seconds),
            table: "orders",
            id: format!("change-{seconds}"),
            key: key.to_owned(),
            after: Some(json!({ "version": seconds })),
        };
        let attempt = |seconds, body: Value| Attempt {
            at: at(seconds),
            took: Duration::from_millis(1),
            skewed: false,
            outcome: Outcome::Answer { status: 201, etag: None, body, request_id: None },
        };
        let deed = |number, attempt| Deed {
            number,
            shopper: 0,
            what: What::ListOrders,
            attempts: vec![attempt],
            complaints: Vec::new(),
        };
        let deeds = [deed(0, attempt(1, json!({ "order_id": ORDER }))), deed(1, attempt(1, json!(null)))];
        let recording = Recording {
            changes: vec![change(4, ORDER), change(2, &format!("reservation#{ORDER}")), change(3, "another")],
            events: vec![Published { at: at(3), table: "orders", body: json!({ "subject": ORDER }) }],
        };
        let line = |seconds: i64, text: &str| LogLine {
            at: seconds * 1000,
            function: "order-service".to_owned(),
            text: text.to_owned(),
        };
        let log = [line(5, &format!("failed {ORDER}")), line(6, "failed another")];
        let message =
            Message { queue: "dev-stock-requests".to_owned(), id: "m".to_owned(), body: ORDER.to_owned() };

        let story = tell(ORDER, &deeds, &[], &[], &recording, &[message], &log);
        let lines: Vec<&str> = story.lines().collect();
        let wanted = ["deed 0", "change-2", "published", "change-4", "failed", "at the end"];
        assert_eq!(lines.len(), wanted.len(), "{story}");
        for (line, wanted) in lines.into_iter().zip(wanted) {
            assert!(line.contains(wanted), "{wanted}: {story}");
        }
    }
}
