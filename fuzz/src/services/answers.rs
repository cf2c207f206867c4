use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderName, HeaderValue};
use lambda_dispatch::{HandlerError, HttpSource};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

/// A batch, and what can be told of its records.
pub(super) struct Batch {
    event: Box<RawValue>,
    /// How each record is named in the answer; `None` if one of them can't be.
    ids: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Records<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "messageId")]
    message_id: String,
}

#[derive(Deserialize)]
struct Record {
    dynamodb: Position,
}

#[derive(Deserialize)]
struct Position {
    #[serde(rename = "SequenceNumber")]
    sequence_number: String,
}

/// The id of the message that is added to each batch.
const GOOD: &str = "a message that nothing is wrong with";

impl Batch {
    /// The batch, and one message more, which the service has to accept whatever the others are.
    pub(super) fn with_a_good_message(event: &RawValue, service: &str) -> Self {
        let queue = match service {
            "order-service" => "order-processing",
            "product-service" => "stock-requests",
            _ => "avatar-uploads",
        };
        let body = json!({
            "specversion": "1.0", "id": "1", "source": "/fuzz", "type": "order_shipped", "subject": "1",
            "time": "2026-11-22T09:44:00Z",
            "data": {
                "order_id": "0198b2c4-7d1e-7a3b-9c55-0d2f6a1b8e02", "user_id": "0198b2c4-7d1e-7a3b-9c55-0d2f6a1b8e02",
                "items": [], "version": 3, "created_at": "2026-11-22T09:44:00Z",
            },
        });
        let good = json!({
            "messageId": GOOD, "receiptHandle": "1", "body": body.to_string(), "eventSource": "aws:sqs",
            "attributes": {"ApproximateReceiveCount": "1"}, "messageAttributes": {}, "awsRegion": "us-east-1",
            "eventSourceARN": format!("arn:aws:sqs:us-east-1:123456789012:dev-{queue}"),
        });
        let id = |record: &RawValue| {
            serde_json::from_str(record.get()).map(|Message { message_id }| message_id).ok()
        };
        Self::with(event, &good, id)
    }

    /// The batch, and one record more, which means nothing to anybody.
    pub(super) fn with_a_good_record(event: &RawValue) -> Self {
        let good = json!({
            "eventID": GOOD, "eventName": "REMOVE", "eventSource": "aws:dynamodb", "awsRegion": "us-east-1",
            "dynamodb": {"SequenceNumber": GOOD, "ApproximateCreationDateTime": 1, "Keys": {}, "SizeBytes": 1},
        });
        let id = |record: &RawValue| {
            serde_json::from_str(record.get()).map(|Record { dynamodb }| dynamodb.sequence_number).ok()
        };
        Self::with(event, &good, id)
    }

    fn with(event: &RawValue, good: &Value, id: impl Fn(&RawValue) -> Option<String>) -> Self {
        let Ok(Records { records }) = serde_json::from_str(event.get()) else {
            return Self { event: event.to_owned(), ids: None };
        };
        let ids = records.iter().map(|record| id(record)).collect();
        let good = good.to_string();
        let records: Vec<&str> = records.iter().map(|record| record.get()).chain([good.as_str()]).collect();
        let event = RawValue::from_string(format!(r#"{{"Records":[{}]}}"#, records.join(",")));
        Self { event: event.expect("a batch is JSON"), ids }
    }

    pub(super) fn event(&self) -> &RawValue {
        &self.event
    }
}

/// A batch of messages fails as a whole only if a message can't be named; else those fail that are bad.
pub(super) fn check_messages(batch: &Batch, outcome: Result<Box<RawValue>, HandlerError>) {
    let Some((ids, failed)) = failures(batch, outcome) else { return };
    for id in failed {
        assert!(id != GOOD || ids.iter().any(|known| known == GOOD), "a good message fails");
        assert!(id == GOOD || ids.contains(&id), "a message fails that is not there: {id}");
    }
}

/// A record that can't be read is set aside, so that none has to come again.
pub(super) fn check_records(batch: &Batch, outcome: Result<Box<RawValue>, HandlerError>) {
    let Some((_, failed)) = failures(batch, outcome) else { return };
    assert!(failed.is_empty(), "{failed:?} holds up the stream");
}

fn failures(batch: &Batch, outcome: Result<Box<RawValue>, HandlerError>) -> Option<(&[String], Vec<String>)> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Answer {
        batch_item_failures: Vec<Failure>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Failure {
        item_identifier: String,
    }
    let ids = batch.ids.as_deref()?;
    let answer = match outcome {
        Ok(answer) => answer,
        Err(error) => panic!("the batch fails as a whole: {error}"),
    };
    let Answer { batch_item_failures } = serde_json::from_str(answer.get()).expect("the answer to a batch");
    Some((ids, batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()))
}

/// A request has an answer, which its front door can pass on and which blames nobody but the client.
pub(super) fn check_answer(source: HttpSource, answer: &RawValue) {
    let parsed: Value = serde_json::from_str(answer.get()).expect("an answer is JSON");
    let status = parsed["statusCode"].as_u64();
    let status = status.unwrap_or_else(|| panic!("an answer without a status: {answer}"));
    assert!((200..500).contains(&status), "{answer}");
    let headers = match source {
        HttpSource::ApiGatewayV2 => &parsed["headers"],
        HttpSource::ApiGatewayV1 | HttpSource::LoadBalancer => &parsed["multiValueHeaders"],
    };
    let headers = headers.as_object().unwrap_or_else(|| panic!("an answer without headers: {answer}"));
    let mut content_type = "";
    for (name, values) in headers {
        HeaderName::try_from(name).expect("a header has a name");
        let values = values.as_array().map_or(std::slice::from_ref(values), Vec::as_slice);
        for value in values {
            let value = value.as_str().expect("a header has a text");
            HeaderValue::try_from(value).expect("a header has a value");
            if name == "content-type" {
                content_type = value;
            }
        }
    }
    let body = match &parsed["body"] {
        Value::Null => Vec::new(),
        Value::String(text) if parsed["isBase64Encoded"] == true => {
            BASE64_STANDARD.decode(text).expect("a body in base64")
        }
        Value::String(text) => text.clone().into_bytes(),
        other => panic!("a body is no text: {other}"),
    };
    if content_type.ends_with("json") {
        let body: Value = serde_json::from_slice(&body).expect("a body is what its header says");
        if content_type == "application/problem+json" {
            assert_eq!(body["status"], status, "{answer}");
            assert!(body["type"].is_string() && body["title"].is_string(), "{answer}");
        }
    } else {
        assert!(body.is_empty() || !content_type.is_empty(), "a body of no type: {answer}");
    }
}
