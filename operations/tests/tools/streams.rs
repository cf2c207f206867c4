use operations::dead_letters::{Content, Letter};
use serde_json::{Value, json};
use uuid::Uuid;

use super::cloud::{Listener, all, call, dead_letters, in_time, letters_with, name, send, turn};

/// A product as its service writes it, with an id of its own.
fn product() -> (String, Value) {
    let sample = &test_support::samples("product-service")["product-changes"];
    let mut record = serde_json::from_str::<Value>(sample).unwrap()["Records"][0].take();
    let id = Uuid::now_v7().to_string();
    record["eventID"] = Uuid::now_v7().simple().to_string().into();
    record["dynamodb"]["Keys"]["product_id"] = json!({ "S": id });
    record["dynamodb"]["NewImage"]["product_id"] = json!({ "S": id });
    (id, record)
}

#[tokio::test]
#[ignore = "needs the local cloud: cargo xtask test"]
async fn a_record_that_was_set_aside_is_handed_to_its_function_again() {
    let _turn = turn().await;
    let dead_letters = dead_letters().await;
    let queue = dead_letters.queue("products-stream").unwrap();
    let events = Listener::start("product-events").await;

    // What could not become an event when it was set aside, and can by now.
    let (id, record) = product();
    send("products-stream-dlq", &record.to_string()).await;
    let letters = letters_with("products-stream", &id, 1).await;
    let event_id = record["eventID"].as_str().unwrap();
    assert!(
        matches!(letters[0].content(), Content::Record(record) if record.event_id == event_id && record.key == id)
    );
    let has_id = |letter: &Letter| letter.body().contains(&id);
    let outcome = dead_letters.redrive(queue, &all(&has_id)).await.unwrap();
    assert_eq!((outcome.done, &outcome.failed[..]), (1, &[][..]));
    let event = events.next_of(&id).await;
    events.stop().await;
    assert_eq!((&event["id"], &event["type"]), (&event_id.into(), &"product_created".into()));
    assert!(dead_letters.show(queue, &has_id, usize::MAX).await.unwrap().is_empty());

    // What still can't is set aside again, once, and says why.
    let (id, mut record) = product();
    record["dynamodb"]["NewImage"]["version"] = json!({ "S": "not a number" });
    send("products-stream-dlq", &record.to_string()).await;
    let has_id = |letter: &Letter| letter.body().contains(&id);
    letters_with("products-stream", &id, 1).await;
    let outcome = in_time(dead_letters.redrive(queue, &all(&has_id))).await.unwrap();
    assert_eq!(outcome.done, 1);
    let letters = letters_with("products-stream", &id, 1).await;
    assert!(letters[0].reason().is_some());
    assert_eq!(dead_letters.drop(queue, &all(&has_id)).await.unwrap().done, 1);
}

#[tokio::test]
#[ignore = "needs the local cloud: cargo xtask test"]
async fn what_lambda_gave_up_is_read_from_the_stream_and_handed_over() {
    let _turn = turn().await;
    let dead_letters = dead_letters().await;
    let queue = dead_letters.queue("products-stream").unwrap();
    let events = Listener::start("product-events").await;
    let (id, record) = product();
    let input = json!({ "TableName": name("products"), "Item": record["dynamodb"]["NewImage"] });
    call("DynamoDB_20120810.PutItem", input).await;
    let first = events.next_of(&id).await;

    let table = json!({ "TableName": name("products") });
    let streams = call("DynamoDBStreams_20120810.ListStreams", table).await;
    let stream_arn = &streams["Streams"][0]["StreamArn"];
    let shards = call("DynamoDBStreams_20120810.DescribeStream", json!({ "StreamArn": stream_arn })).await;
    let shard_id = &shards["StreamDescription"]["Shards"][0]["ShardId"];
    let from = json!({ "StreamArn": stream_arn, "ShardId": shard_id, "ShardIteratorType": "TRIM_HORIZON" });
    let mut iterator = call("DynamoDBStreams_20120810.GetShardIterator", from).await["ShardIterator"].take();
    let number = loop {
        let input = json!({ "ShardIterator": iterator });
        let mut page = call("DynamoDBStreams_20120810.GetRecords", input).await;
        let records = page["Records"].as_array().unwrap();
        if let Some(own) = records.iter().find(|record| record["dynamodb"]["Keys"]["product_id"]["S"] == id) {
            break own["dynamodb"]["SequenceNumber"].clone();
        }
        iterator = page["NextShardIterator"].take();
    };
    let pointer = |number: &Value| {
        json!({
            "requestContext": { "condition": "MaxRecordAgeExceeded", "approximateInvokeCount": 300, "mark": id },
            "DDBStreamBatchInfo": {
                "streamArn": stream_arn, "shardId": shard_id, "batchSize": 1,
                "startSequenceNumber": number, "endSequenceNumber": number,
                "approximateArrivalOfFirstRecord": "2026-11-22T09:00:00Z",
            },
        })
    };
    send("products-stream-dlq", &pointer(&number).to_string()).await;
    let letters = letters_with("products-stream", &id, 1).await;
    assert_eq!(letters[0].reason(), Some("MaxRecordAgeExceeded after some 300 attempts"));
    let has_id = |letter: &Letter| letter.body().contains(&id);
    let outcome = dead_letters.redrive(queue, &all(&has_id)).await.unwrap();
    assert_eq!((outcome.done, &outcome.failed[..]), (1, &[][..]));
    assert_eq!(events.next_of(&id).await, first, "the same event comes again");
    events.stop().await;

    // A part of the stream that is no longer there.
    let mut gone = pointer(&number);
    gone["DDBStreamBatchInfo"]["streamArn"] = format!("{}0", stream_arn.as_str().unwrap()).into();
    send("products-stream-dlq", &gone.to_string()).await;
    letters_with("products-stream", &id, 1).await;
    let outcome = dead_letters.redrive(queue, &all(&has_id)).await.unwrap();
    assert_eq!(outcome.done, 0);
    assert!(outcome.failed[0].1.contains("no longer has the records"), "{outcome:?}");
    assert_eq!(dead_letters.drop(queue, &all(&has_id)).await.unwrap().done, 1, "it was kept");
}
