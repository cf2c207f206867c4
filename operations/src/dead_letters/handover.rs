use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{
    aws::{Aws, Refused, STREAMS},
    functions::Function,
};

use super::letter::Pointer;

/// Records that a function gets at once.
const BATCH: usize = 100;
/// Answers without a record that a stream may give before there is one.
const EMPTY_PAGES: u32 = 20;

/// Gives a function a batch of stream records; an error unless it answers that all of them are done.
pub(super) async fn hand_over(aws: &Aws, function: &Function, records: &[Value]) -> Result<()> {
    let answer = function.invoke(aws, &json!({ "Records": records })).await?;
    let failures = answer["batchItemFailures"].as_array();
    let failures = failures.with_context(|| format!("{} does not say whether it is done", function.name))?;
    if let Some(failure) = failures.first() {
        let from = failure["itemIdentifier"].as_str().unwrap_or("the first");
        bail!("{} did not publish it, from sequence number {from}", function.name);
    }
    Ok(())
}

/// Reads the records that Lambda gave up out of their stream, and gives them to their function.
pub(super) async fn hand_over_range(aws: &Aws, function: &Function, pointer: &Pointer) -> Result<()> {
    let start = json!({
        "StreamArn": pointer.stream_arn,
        "ShardId": pointer.shard_id,
        "ShardIteratorType": "AT_SEQUENCE_NUMBER",
        "SequenceNumber": pointer.start_sequence_number,
    });
    let mut iterator = gone_or(aws.json(STREAMS, "GetShardIterator", &start).await)?["ShardIterator"].take();
    let mut empty_pages = 0;
    loop {
        let page = gone_or(aws.json(STREAMS, "GetRecords", &json!({ "ShardIterator": iterator })).await)?;
        let mut records = page["Records"].as_array().cloned().unwrap_or_default();
        let read = records.len();
        records.retain(|record| !is_after(record, &pointer.end_sequence_number));
        for batch in records.chunks(BATCH) {
            hand_over(aws, function, batch).await?;
        }
        let is_whole = records.len() < read
            || records.last().is_some_and(|last| sequence_number(last) == pointer.end_sequence_number);
        if is_whole {
            return Ok(());
        }
        empty_pages = if read == 0 { empty_pages + 1 } else { 0 };
        ensure!(empty_pages < EMPTY_PAGES, "the stream ends before {}", pointer.end_sequence_number);
        iterator = page["NextShardIterator"].clone();
        ensure!(iterator.is_string(), "the stream's shard ends before {}", pointer.end_sequence_number);
    }
}

fn gone_or(outcome: Result<Value>) -> Result<Value> {
    let Err(error) = outcome else { return outcome };
    let refused = error.downcast_ref::<Refused>();
    let is_gone = refused.is_some_and(|refused| {
        refused.is("TrimmedDataAccessException") || refused.is("ResourceNotFoundException")
    });
    Err(if is_gone {
        error.context("the stream no longer has the records, which it keeps for a day")
    } else {
        error
    })
}

fn sequence_number(record: &Value) -> &str {
    record["dynamodb"]["SequenceNumber"].as_str().unwrap_or_default()
}

/// Sequence numbers are decimal, longer than any integer, and without leading zeros but where they have equal lengths.
fn is_after(record: &Value, end: &str) -> bool {
    let number = sequence_number(record);
    (number.len(), number) > (end.len(), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_are_compared_as_numbers() {
        let record = |number: &str| json!({ "dynamodb": { "SequenceNumber": number } });
        assert!(is_after(&record("100000000000000000000000010"), "99999999999999999999999999"));
        assert!(!is_after(&record("99"), "100"));
        assert!(!is_after(&record("100"), "100"));
        assert!(is_after(&record("00000000000000000101"), "00000000000000000100"));
    }
}
