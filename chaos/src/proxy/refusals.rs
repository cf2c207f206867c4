use bytes::Bytes;
use http::{Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::proxy::{
    Answer,
    call::{Call, Service},
};

const DYNAMODB: &str = "com.amazonaws.dynamodb.v20120810";

/// DynamoDB does not take more now. `form` chooses among the ways in which it says so.
pub(super) fn throttled(call: &Call, body: &[u8], form: f64) -> Answer {
    if call.operation == "TransactWriteItems" && form < 0.5 {
        return cancelled(body, form * 2.0);
    }
    let error = if form < 0.75 { "ProvisionedThroughputExceededException" } else { "ThrottlingException" };
    let message = "The level of configured provisioned throughput for the table was exceeded.";
    let body = json!({ "__type": format!("{DYNAMODB}#{error}"), "message": message });
    json_answer(StatusCode::BAD_REQUEST, "1.0", &body)
}

/// A transaction in which one item, that of which `form` is the position, was throttled.
fn cancelled(body: &[u8], form: f64) -> Answer {
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let items = asked["TransactItems"].as_array().map_or(1, Vec::len);
    let reasons: Vec<Value> = (0..items)
        .map(|item| {
            let below = (item as f64) / (items as f64);
            let above = (item as f64 + 1.0) / (items as f64);
            if below <= form && form < above {
                json!({ "Code": "ThrottlingError", "Message": "Throughput exceeds the current capacity of one or more shards." })
            } else {
                json!({ "Code": "None" })
            }
        })
        .collect();
    let codes: Vec<&str> = reasons.iter().filter_map(|reason| reason["Code"].as_str()).collect();
    let message = format!(
        "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
        codes.join(", ")
    );
    let body = json!({
        "__type": format!("{DYNAMODB}#TransactionCanceledException"),
        "Message": message,
        "CancellationReasons": reasons,
    });
    json_answer(StatusCode::BAD_REQUEST, "1.0", &body)
}

/// A service does not work.
pub(super) fn failing(call: &Call) -> Answer {
    let message = "We encountered an internal error. Please try again.";
    match call.service {
        Service::Sns => {
            let body = format!(
                "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>Receiver</Type>\
                 <Code>InternalError</Code><Message>{message}</Message></Error></ErrorResponse>"
            );
            answer(StatusCode::INTERNAL_SERVER_ERROR, "text/xml", body)
        }
        Service::SecretsManager => {
            let body = json!({ "__type": "InternalServiceError", "Message": message });
            json_answer(StatusCode::INTERNAL_SERVER_ERROR, "1.1", &body)
        }
        _ => {
            let body = json!({ "__type": format!("{DYNAMODB}#InternalServerError"), "message": message });
            json_answer(StatusCode::INTERNAL_SERVER_ERROR, "1.0", &body)
        }
    }
}

fn json_answer(status: StatusCode, version: &str, body: &Value) -> Answer {
    answer(status, &format!("application/x-amz-json-{version}"), body.to_string())
}

/// An answer of the proxy's own.
pub(super) fn answer(status: StatusCode, content_type: &str, body: String) -> Answer {
    let mut answer = Response::new(Full::from(Bytes::from(body)));
    *answer.status_mut() = status;
    if let Ok(content_type) = content_type.parse() {
        answer.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    answer
}
