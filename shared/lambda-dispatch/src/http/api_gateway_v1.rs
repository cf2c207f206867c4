//! Requests of REST APIs, in [payload format 1.0]. They are read for what a request needs, where `lambda_http` would build
//! an absolute address, and panic if what a client has sent as its host is none.
//!
//! [payload format 1.0]: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html

use std::borrow::Cow;

use axum::extract::Request;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
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
    request_context: RequestContext,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

/// It names the stage, too, which is no part of the path.
#[derive(Deserialize)]
struct RequestContext {
    identity: Option<Identity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    source_ip: Option<String>,
}

/// Reads an event as the request that it stands for.
pub(super) fn read(event: &str) -> Result<Request, Unreadable> {
    let event: Event<'_> = serde_json::from_str(event).map_err(|_| Unreadable)?;
    let path = event.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/");
    let parameters = values(event.query_string_parameters, event.multi_value_query_string_parameters);
    let mut request = Request::new(body(event.body, event.is_base64_encoded)?);
    *request.uri_mut() = address(path, &query(&parameters))?;
    *request.method_mut() = Method::from_bytes(event.http_method.as_bytes()).map_err(|_| Unreadable)?;
    *request.headers_mut() = header_map(values(event.headers, event.multi_value_headers))?;
    let identity = event.request_context.identity.and_then(|identity| identity.source_ip);
    if let Some(address) = identity.as_deref().and_then(ClientAddress::named) {
        request.extensions_mut().insert(address);
    }
    Ok(request)
}

/// A query that says the same as the client's, which has been decoded.
fn query(parameters: &Multiple) -> String {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let pairs = parameters.iter().flat_map(|(name, values)| {
        values.iter().map(move |value| format!("{}={}", encoded(name), encoded(value)))
    });
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::{Value, json};

    use super::*;

    fn event(change: Value) -> Result<Request, Unreadable> {
        let mut event = json!({
            "httpMethod": "GET",
            "path": "/api/probes",
            "multiValueQueryStringParameters": null,
            "multiValueHeaders": { "accept": ["application/json"] },
            "requestContext": { "identity": { "sourceIp": "192.0.2.1" }, "stage": "prod" },
            "body": null,
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
    fn the_address_is_path_and_query_without_the_stage() {
        assert_eq!(uri(json!({})), "/api/probes");
        assert_eq!(uri(json!({ "path": "/api/a b/%2F" })), "/api/a%20b/%2F");
        let parameters = json!({ "a": ["1", " &=ä"] });
        assert_eq!(
            uri(json!({ "multiValueQueryStringParameters": parameters })),
            "/api/probes?a=1&a=%20%26%3D%C3%A4"
        );
        assert_eq!(uri(json!({ "queryStringParameters": { "a": "1" } })), "/api/probes?a=1");
    }

    #[test]
    fn no_host_is_too_strange() {
        for host in ["", "1795339800180", "[", "a b", "..", "%"] {
            let headers = json!({ "host": [host], "x-forwarded-proto": [host] });
            assert_eq!(uri(json!({ "multiValueHeaders": headers })), "/api/probes", "{host}");
        }
    }

    #[test]
    fn members_may_be_null() {
        for name in ["headers", "multiValueHeaders", "queryStringParameters", "body", "isBase64Encoded"] {
            assert_eq!(uri(json!({ name: null })), "/api/probes", "{name}");
        }
        assert_eq!(uri(json!({ "path": null, "requestContext": {} })), "/");
    }

    #[tokio::test]
    async fn method_headers_and_body_are_those_of_the_client() {
        let headers = json!({ "X-Some": ["1", "2"], "if-match": ["\"3\""] });
        let request =
            event(json!({ "httpMethod": "PATCH", "multiValueHeaders": headers, "body": "{}" })).unwrap();
        assert_eq!(request.method(), Method::PATCH);
        assert_eq!(request.headers()["x-some"], "1,2");
        assert_eq!(request.headers()["if-match"], "\"3\"");
        assert_eq!(to_bytes(request.into_body(), 100).await.unwrap(), "{}");
    }

    #[test]
    fn what_http_does_not_allow_is_unreadable() {
        for change in [
            json!({ "multiValueHeaders": { "a b": ["1"] } }),
            json!({ "multiValueHeaders": { "a": ["1\n2"] } }),
            json!({ "httpMethod": "GET /" }),
            json!({ "body": "%", "isBase64Encoded": true }),
            json!({ "path": 1 }),
        ] {
            assert!(event(change.clone()).is_err(), "{change}");
        }
    }
}
