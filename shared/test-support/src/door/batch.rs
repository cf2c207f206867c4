use serde_json::{Value, json};

/// A batch of messages of a queue, seen for the first time, with ids from [`message_id`].
pub fn sqs<B: Into<String>>(queue_name: &str, bodies: impl IntoIterator<Item = B>) -> String {
    sqs_redelivery(queue_name, bodies, 1)
}

/// The same batch at its `receive_count`-th delivery.
pub fn sqs_redelivery<B: Into<String>>(
    queue_name: &str,
    bodies: impl IntoIterator<Item = B>,
    receive_count: u32,
) -> String {
    let record = |(position, body): (usize, B)| {
        json!({
            "messageId": message_id(position),
            "receiptHandle": format!("receipt-{position}"),
            "body": body.into(),
            "attributes": {
                "ApproximateReceiveCount": receive_count.to_string(),
                "SentTimestamp": "1795340640000",
                "SenderId": "AIDAIT2UOQQY3AUEKVGXU",
                "ApproximateFirstReceiveTimestamp": "1795340640001",
            },
            "messageAttributes": {},
            "md5OfBody": "",
            "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:us-east-1:123456789012:{queue_name}"),
            "awsRegion": "us-east-1",
        })
    };
    let records: Vec<Value> = bodies.into_iter().enumerate().map(record).collect();
    json!({ "Records": records }).to_string()
}

/// The id of the message at a position (from 0) of a batch.
pub fn message_id(position: usize) -> String {
    format!("message-{position}")
}

/// A batch of stream records, as [`TestTable::new_stream_records`](crate::TestTable::new_stream_records)
/// gives them.
pub fn stream(records: impl IntoIterator<Item = Value>) -> String {
    let records: Vec<Value> = records.into_iter().collect();
    json!({ "Records": records }).to_string()
}

/// The records that a batch answer reports as failed: message ids or sequence numbers.
pub fn failures(answer: &str) -> Vec<String> {
    let parsed: Value = serde_json::from_str(answer).unwrap_or_default();
    let failures = parsed["batchItemFailures"].as_array();
    let failures = failures.unwrap_or_else(|| panic!("not the answer to a batch: {answer}"));
    let id = |failure: &Value| failure["itemIdentifier"].as_str().map(str::to_owned);
    failures
        .iter()
        .map(|failure| id(failure).unwrap_or_else(|| panic!("a failure without an id: {answer}")))
        .collect()
}
