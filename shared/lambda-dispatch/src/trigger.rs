use serde::Deserialize;
use serde_json::value::RawValue;

/// Every way into a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// A request from outside.
    Http(HttpSource),
    /// A batch of queue messages.
    Sqs,
    /// A batch of changes of a table.
    DynamoDbStream,
    /// What an operator asks by invoking the function directly.
    Task,
}

/// Which front door made the HTTP event; it decides the shape of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpSource {
    /// API Gateway HTTP API (payload 2.0) and function URLs.
    ApiGatewayV2,
    /// API Gateway REST API (payload 1.0).
    ApiGatewayV1,
    /// Application Load Balancer.
    LoadBalancer,
}

/// The event is of no kind that a service handles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown event: neither an HTTP request (API Gateway, function URL, load balancer) nor records of aws:sqs \
     or aws:dynamodb nor a task{}",
    event_source.as_ref().map(|source| format!(", but records of {source:?}")).unwrap_or_default()
)]
pub struct UnknownEvent {
    /// The event source that the records name, if there are any.
    event_source: Option<String>,
}

/// How the events of HTTP APIs begin, so that most requests need not be read twice …
const API_GATEWAY_V2: &str = r#"{"version":"2.0","routeKey":"#;
/// … and those of load balancers.
const LOAD_BALANCER: &str = r#"{"requestContext":{"elb":{"#;

/// The few members that tell the kinds of events apart; all else is skipped.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marks {
    #[serde(default, rename = "Records")]
    records: Vec<RecordMarks>,
    request_context: Option<RequestContextMarks>,
    http_method: Option<serde::de::IgnoredAny>,
    task: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct RecordMarks {
    #[serde(default, rename = "eventSource")]
    event_source: String,
}

#[derive(Deserialize)]
struct RequestContextMarks {
    elb: Option<serde::de::IgnoredAny>,
    http: Option<serde::de::IgnoredAny>,
}

impl Trigger {
    /// Decides by the marks that each source puts into its events, without trying to read them as anything.
    pub fn of(event: &RawValue) -> Result<Self, UnknownEvent> {
        if event.get().starts_with(API_GATEWAY_V2) {
            return Ok(Self::Http(HttpSource::ApiGatewayV2));
        }
        if event.get().starts_with(LOAD_BALANCER) {
            return Ok(Self::Http(HttpSource::LoadBalancer));
        }
        let Ok(marks) = serde_json::from_str::<Marks>(event.get()) else {
            return Err(UnknownEvent { event_source: None });
        };
        if let Some(first) = marks.records.first() {
            return match first.event_source.as_str() {
                "aws:sqs" => Ok(Self::Sqs),
                "aws:dynamodb" => Ok(Self::DynamoDbStream),
                other => Err(UnknownEvent { event_source: Some(other.chars().take(64).collect()) }),
            };
        }
        match marks.request_context {
            Some(RequestContextMarks { http: Some(_), .. }) => Ok(Self::Http(HttpSource::ApiGatewayV2)),
            Some(RequestContextMarks { elb: Some(_), .. }) => Ok(Self::Http(HttpSource::LoadBalancer)),
            Some(_) if marks.http_method.is_some() => Ok(Self::Http(HttpSource::ApiGatewayV1)),
            None if marks.task.is_some() => Ok(Self::Task),
            _ => Err(UnknownEvent { event_source: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Result<Trigger, UnknownEvent> {
        Trigger::of(&RawValue::from_string(json.to_owned()).unwrap())
    }

    #[test]
    fn each_source_is_told_by_its_marks() {
        let cases = [
            (r#"{"Records":[{"eventSource":"aws:sqs"}]}"#, Trigger::Sqs),
            (r#"{"Records":[{"eventSource":"aws:dynamodb"}]}"#, Trigger::DynamoDbStream),
            (
                r#"{"version":"2.0","requestContext":{"http":{"method":"GET"}}}"#,
                Trigger::Http(HttpSource::ApiGatewayV2),
            ),
            (
                r#"{"version":"2.0","routeKey":"$default","requestContext":{"http":{"method":"GET"}}}"#,
                Trigger::Http(HttpSource::ApiGatewayV2),
            ),
            (r#"{"httpMethod":"GET","requestContext":{}}"#, Trigger::Http(HttpSource::ApiGatewayV1)),
            (r#"{"httpMethod":"GET","requestContext":{"elb":{}}}"#, Trigger::Http(HttpSource::LoadBalancer)),
            (r#"{"requestContext":{"elb":{}},"httpMethod":"GET"}"#, Trigger::Http(HttpSource::LoadBalancer)),
            (r#"{"task":"migrate"}"#, Trigger::Task),
            // Whatever a client could add to its request, it is one.
            (r#"{"task":"migrate","requestContext":{"http":{}}}"#, Trigger::Http(HttpSource::ApiGatewayV2)),
            (r#"{"task":"migrate","Records":[{"eventSource":"aws:sqs"}]}"#, Trigger::Sqs),
        ];
        for (json, trigger) in cases {
            assert_eq!(of(json), Ok(trigger), "{json}");
        }
    }

    #[test]
    fn an_unknown_event_is_one_clear_error() {
        for json in ["{}", "[]", "null", "1", r#"{"Records":[]}"#, r#"{"requestContext":{}}"#] {
            assert!(of(json).unwrap_err().to_string().starts_with("unknown event"), "{json}");
        }
        let error = of(r#"{"Records":[{"eventSource":"aws:kinesis"}]}"#).unwrap_err();
        assert!(error.to_string().ends_with(r#"records of "aws:kinesis""#), "{error}");
    }
}
