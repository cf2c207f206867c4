//! Requests of Application Load Balancers. [Their events] hold each header and parameter with all of its values or with
//! the last one, as the target group says, and path and query as the client has written them. Here they become the
//! request that an HTTP API makes of the same call, where `lambda_http` would leave the path encoded.
//!
//! [Their events]: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html

use std::borrow::Cow;

use axum::extract::Request;
use http::Method;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::{
    ClientAddress, Unreadable,
    parts::{Multiple, Single, address, body, header_map, values},
};

/// What a request is made of; all else in the event is skipped. Members may be absent or null.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(borrow)]
    http_method: Cow<'a, str>,
    #[serde(borrow)]
    path: Option<Cow<'a, str>>,
    query_string_parameters: Option<Single>,
    multi_value_query_string_parameters: Option<Multiple>,
    headers: Option<Single>,
    multi_value_headers: Option<Multiple>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

/// Reads an event as the request that it stands for.
pub(super) fn read(event: &str) -> Result<Request, Unreadable> {
    let event: Event<'_> = serde_json::from_str(event).map_err(|_| Unreadable)?;
    let path = event.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/");
    let parameters = values(event.query_string_parameters, event.multi_value_query_string_parameters);
    let uri = address(&decoded(path), &query(&parameters))?;
    let headers = values(event.headers, event.multi_value_headers);
    let mut request = Request::new(body(event.body, event.is_base64_encoded)?);
    *request.method_mut() = Method::from_bytes(event.http_method.as_bytes()).map_err(|_| Unreadable)?;
    *request.uri_mut() = uri;
    *request.headers_mut() = header_map(headers)?;
    if let Some(address) = ClientAddress::forwarded(request.headers()) {
        request.extensions_mut().insert(address);
    }
    Ok(request)
}

/// The path as an HTTP API passes it on: decoded but for encoded percent signs.
fn decoded(path: &str) -> String {
    let parts = path.split("%25").map(|part| percent_decode_str(part).decode_utf8_lossy());
    parts.collect::<Vec<_>>().join("%25")
}

/// The query that the client has written, but for the order of its names.
fn query(parameters: &Multiple) -> String {
    let pairs = parameters
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| format!("{name}={value}")));
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::{Value, json};

    use super::*;

    fn event(change: Value) -> Result<Request, Unreadable> {
        let mut event = json!({
            "requestContext": { "elb": { "targetGroupArn": "arn:aws:elasticloadbalancing:…" } },
            "httpMethod": "GET",
            "path": "/api/probes",
            "multiValueQueryStringParameters": {},
            "multiValueHeaders": { "accept": ["application/json"] },
            "body": "",
            "isBase64Encoded": false,
        });
        for (name, value) in change.as_object().unwrap() {
            event[name] = value.clone();
        }
        read(&event.to_string())
    }

    fn uri(change: Value) -> String {
        event(change).unwrap().uri().to_string()
    }

    #[test]
    fn the_address_is_that_which_an_http_api_passes_on() {
        assert_eq!(uri(json!({})), "/api/probes");
        assert_eq!(uri(json!({ "path": "/api/%70robes/a%20b/%C3%A4%3F" })), "/api/probes/a%20b/%C3%A4%3F");
        assert_eq!(uri(json!({ "path": "/api/probes/%FF%00" })), "/api/probes/%EF%BF%BD%00");
        assert_eq!(uri(json!({ "path": "/api/probes/%2541%252541" })), "/api/probes/%2541%252541");
        assert_eq!(uri(json!({ "path": "/api/../probes//a" })), "/api/../probes//a");
    }

    #[test]
    fn the_query_stays_as_the_client_has_written_it() {
        let query = |parameters| uri(json!({ "multiValueQueryStringParameters": parameters }));
        assert_eq!(
            query(json!({ "a": ["1", "%20%26%3D+2"], "b%5B%5D": [""] })),
            "/api/probes?a=1&a=%20%26%3D+2&b%5B%5D="
        );
    }

    #[test]
    fn single_values_stand_for_all_where_the_target_group_passes_them_on() {
        let single = json!({
            "queryStringParameters": { "a": "1%2F" },
            "multiValueQueryStringParameters": null,
            "headers": { "if-match": "\"3\"" },
            "multiValueHeaders": null,
        });
        let request = event(single).unwrap();
        assert_eq!(request.uri(), "/api/probes?a=1%2F");
        assert_eq!(request.headers()["if-match"], "\"3\"");
        assert_eq!(request.headers().len(), 1);
    }

    #[test]
    fn several_values_of_a_header_are_joined() {
        let headers = json!({ "X-Some": ["1", "2"], "cookie": ["a=1; b=2", "c=3"] });
        let request = event(json!({ "httpMethod": "PATCH", "multiValueHeaders": headers })).unwrap();
        assert_eq!(request.method(), Method::PATCH);
        assert_eq!(request.headers()["x-some"], "1,2");
        assert_eq!(request.headers()["cookie"], "a=1; b=2; c=3");
    }

    #[test]
    fn members_may_be_null() {
        for name in ["multiValueQueryStringParameters", "multiValueHeaders", "body", "isBase64Encoded"] {
            assert_eq!(uri(json!({ name: null })), "/api/probes", "{name}");
        }
        assert_eq!(uri(json!({ "path": null })), "/");
    }

    #[tokio::test]
    async fn a_body_is_text_or_base64() {
        let body = async |change| to_bytes(event(change).unwrap().into_body(), 100).await.unwrap();
        assert_eq!(body(json!({})).await, "");
        assert_eq!(body(json!({ "body": "{\"a\":\"ä\"}" })).await, r#"{"a":"ä"}"#);
        assert_eq!(body(json!({ "body": "/wA=", "isBase64Encoded": true })).await, &b"\xff\x00"[..]);
    }

    #[test]
    fn what_http_does_not_allow_is_unreadable() {
        for change in [
            json!({ "multiValueHeaders": { "a b": ["1"] } }),
            json!({ "multiValueHeaders": { "a": ["1\n2"] } }),
            json!({ "multiValueQueryStringParameters": { "a": ["b c"] } }),
            json!({ "httpMethod": "GET /" }),
            json!({ "body": "%", "isBase64Encoded": true }),
            json!({ "path": 1 }),
        ] {
            assert!(event(change.clone()).is_err(), "{change}");
        }
    }
}
