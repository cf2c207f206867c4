use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use aws_smithy_types::{DateTime, date_time::Format};
use serde_json::{Value, json};

use crate::{
    aws::{ALARMS, Aws, DYNAMODB},
    dead_letters::{DeadLetters, Origin},
    functions::{self, Mapping},
};

use super::{Reach, Verdict, in_words, stack::Stack};

/// What waits longer than this is not fetched as fast as it comes.
const LATE: Duration = Duration::from_secs(300);
/// What an order may take beyond its deadline: a batch of deadlines is gathered for a minute.
const DEADLINE_LEEWAY: Duration = Duration::from_secs(180);
/// The queue whose messages wait on purpose.
const DELAYED: &str = "-order-deadlines";
/// What the template has if a stack does not say, and the most that SQS allows.
const DEADLINE: u64 = 900;

/// Whether queues and streams are read, and with what result.
pub(super) async fn mappings(aws: &Aws, environment: &str) -> Result<Verdict> {
    let mappings = functions::mappings(aws, environment).await?;
    let stopped: Vec<_> = mappings.iter().filter(|mapping| mapping.state != "Enabled").collect();
    if let Some(first) = stopped.first() {
        let names: Vec<_> =
            stopped.iter().map(|mapping| format!("{} is {}", mapping.source(), mapping.state)).collect();
        return Ok(Verdict::ill(
            names.join(", "),
            format!(
                "`aws lambda update-event-source-mapping --enabled --uuid {}`: nothing is lost meanwhile",
                first.id
            ),
        ));
    }
    if mappings.is_empty() {
        return Ok(Verdict::ill("nothing reads queues or streams", "deploy the stack anew"));
    }
    let failing: Vec<_> =
        mappings.iter().filter(|mapping| mapping.is_failing()).map(Mapping::source).collect();
    if !failing.is_empty() {
        return Ok(Verdict::doubtful(
            format!("the last batch of {} was not done", failing.join(", ")),
            "it comes again by itself; if it stays so, the function's log says why",
        ));
    }
    Ok(Verdict::well(format!("all {} are enabled", mappings.len())))
}

/// What waits in queues and streams, and for how long.
pub(super) async fn queues(aws: &Aws, letters: &DeadLetters) -> Result<Verdict> {
    let (mut waiting, mut late, mut metrics) = (Vec::new(), Vec::new(), Vec::new());
    for origin in letters.queues().iter().map(|queue| queue.origin()) {
        match origin {
            Origin::Queue { name, url, .. } => {
                let visible = letters.waiting(url).await?;
                if visible > 0 {
                    waiting.push(format!("{name} {visible}"));
                }
                metrics.push((name.clone(), age_of_queue(name)));
            }
            Origin::Stream { table, function } => {
                metrics.push((format!("the stream of {table}"), age_of_stream(&function.name)));
            }
            Origin::Unknown => {}
        }
    }
    let depth = if waiting.is_empty() {
        "nothing waits".to_owned()
    } else {
        format!("waiting: {}", waiting.join(", "))
    };
    if aws.is_local() {
        return Ok(Verdict::well(format!("{depth} (for how long is not measured on the local cloud)")));
    }
    for (name, age) in ages(aws, &metrics).await? {
        // A message's age counts from when it was sent, and deadlines are meant to wait.
        let limit = if name.ends_with(DELAYED) { LATE + Duration::from_secs(DEADLINE) } else { LATE };
        if age > limit {
            late.push(format!("{name} for {}", in_words(age)));
        }
    }
    if late.is_empty() {
        return Ok(Verdict::well(depth));
    }
    let advice =
        "docs/RUNBOOK.md, What waits: is its mapping enabled, does its function fail, is it throttled?";
    Ok(Verdict::ill(format!("{depth}; waiting too long: {}", late.join(", ")), advice))
}

fn age_of_queue(name: &str) -> Value {
    json!({
        "Namespace": "AWS/SQS", "MetricName": "ApproximateAgeOfOldestMessage",
        "Dimensions": [{ "Name": "QueueName", "Value": name }],
    })
}

fn age_of_stream(function: &str) -> Value {
    json!({
        "Namespace": "AWS/Lambda", "MetricName": "IteratorAge",
        "Dimensions": [{ "Name": "FunctionName", "Value": function }],
    })
}

/// The latest value of each metric that has one.
async fn ages(aws: &Aws, metrics: &[(String, Value)]) -> Result<Vec<(String, Duration)>> {
    let query = |(index, (_, metric)): (usize, &(String, Value))| json!({ "Id": format!("m{index}"), "MetricStat": { "Metric": metric, "Period": 60, "Stat": "Maximum" } });
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let input = json!({
        "StartTime": now - 900, "EndTime": now, "ScanBy": "TimestampDescending",
        "MetricDataQueries": metrics.iter().enumerate().map(query).collect::<Vec<_>>(),
    });
    let answer = aws.json(ALARMS, "GetMetricData", &input).await?;
    let results = answer["MetricDataResults"].as_array().into_iter().flatten();
    let latest = results.filter_map(|result| {
        let index: usize = result["Id"].as_str()?.strip_prefix('m')?.parse().ok()?;
        let (name, metric) = metrics.get(index)?;
        let value = result["Values"].as_array()?.first()?.as_f64()?;
        let seconds = if metric["MetricName"] == "IteratorAge" { value / 1000.0 } else { value };
        Some((name.clone(), Duration::try_from_secs_f64(seconds).ok()?))
    });
    Ok(latest.collect())
}

/// What waits for somebody.
pub(super) async fn dead_letters(letters: &DeadLetters) -> Result<Verdict> {
    let summaries = letters.list().await?;
    let full: Vec<_> = summaries.iter().filter(|summary| summary.count > 0).collect();
    let Some(first) = full.first() else {
        return Ok(Verdict::well(format!("none in {} queues", summaries.len())));
    };
    let counts: Vec<_> =
        full.iter().map(|summary| format!("{} {}", summary.queue.name(), summary.count)).collect();
    Ok(Verdict::ill(
        counts.join(", "),
        format!(
            "`cargo xtask dlq show {}`, remove the cause, then `dlq redrive` (docs/RUNBOOK.md)",
            first.queue.name()
        ),
    ))
}

/// Orders that are pending though their deadline is over. No index knows them, and no request needs one: this reads the
/// table, at most so many rows of it.
pub(super) async fn orders(aws: &Aws, environment: &str, stack: &Stack, reach: Reach) -> Result<Verdict> {
    let deadline = stack.parameters.get("OrderDeadlineSeconds").and_then(|seconds| seconds.parse().ok());
    let before = SystemTime::now() - Duration::from_secs(deadline.unwrap_or(DEADLINE)) - DEADLINE_LEEWAY;
    let mut input = json!({
        "TableName": format!("{environment}-orders"),
        "ProjectionExpression": "order_id",
        "FilterExpression": "#status = :pending AND created_at < :before",
        "ExpressionAttributeNames": { "#status": "status" },
        "ExpressionAttributeValues": {
            ":pending": { "S": "PENDING" },
            ":before": { "S": DateTime::from(before).fmt(Format::DateTime).context("a time to compare with")? },
        },
    });
    let (mut looked_at, mut stuck) = (0, Vec::new());
    let is_all = loop {
        input["Limit"] = (reach.orders - looked_at).into();
        let page = aws.json(DYNAMODB, "Scan", &input).await?;
        looked_at += page["ScannedCount"].as_u64().unwrap_or_default();
        let found = page["Items"].as_array().into_iter().flatten();
        stuck.extend(found.filter_map(|row| row["order_id"]["S"].as_str().map(str::to_owned)));
        match &page["LastEvaluatedKey"] {
            Value::Null => break true,
            _ if looked_at >= reach.orders => break false,
            next => input["ExclusiveStartKey"] = next.clone(),
        }
    };
    let of = if is_all {
        format!("all {looked_at} rows")
    } else {
        format!("{looked_at} rows, not all: --orders reads more")
    };
    let Some(first) = stuck.first() else {
        return Ok(Verdict::well(format!("none is pending beyond its deadline ({of})")));
    };
    Ok(Verdict::ill(
        format!("{} pending beyond their deadline, as {first} ({of})", stuck.len()),
        "`cargo xtask dlq show order-deadlines` and `… stock-requests`, then redrive; \
         else an admin cancels it (`POST /api/orders/<id>/cancel`)",
    ))
}
