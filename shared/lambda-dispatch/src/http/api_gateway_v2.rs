//! Requests of HTTP APIs and function URLs, in [payload format 2.0]. Nearly all requests come in it, so that it is read
//! here for what a request needs, where `lambda_http` would read all of it and build an absolute address.
//!
//! [payload format 2.0]: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html

use std::{borrow::Cow, fmt};

use axum::extract::Request;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header::COOKIE};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};

use super::{
    ClientAddress, Unreadable,
    parts::{address, body},
};

/// What a request is made of; all else in the event is skipped.
///
/// Members may be absent or null: not only API Gateway sends such events.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(borrow)]
    raw_path: Option<Cow<'a, str>>,
    #[serde(borrow)]
    raw_query_string: Option<Cow<'a, str>>,
    headers: Option<Headers>,
    cookies: Option<Vec<String>>,
    #[serde(borrow)]
    request_context: RequestContext<'a>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

#[derive(Deserialize)]
struct RequestContext<'a> {
    #[serde(borrow)]
    http: Http<'a>,
    #[serde(borrow)]
    stage: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    source_ip: Option<Cow<'a, str>>,
}

/// Reads an event as the request that it stands for.
pub(super) fn read(event: &str) -> Result<Request, Unreadable> {
    let event: Event<'_> = serde_json::from_str(event).map_err(|_| Unreadable)?;
    let uri = uri(&event)?;
    let mut request = Request::new(body(event.body, event.is_base64_encoded)?);
    *request.method_mut() =
        Method::from_bytes(event.request_context.http.method.as_bytes()).map_err(|_| Unreadable)?;
    *request.uri_mut() = uri;
    *request.headers_mut() = event.headers.unwrap_or_default().0;
    if let Some(cookies) = event.cookies.filter(|cookies| !cookies.is_empty()) {
        let cookies = HeaderValue::try_from(cookies.join("; ")).map_err(|_| Unreadable)?;
        request.headers_mut().insert(COOKIE, cookies);
    }
    if let Some(address) = event.request_context.http.source_ip.as_deref().and_then(ClientAddress::named) {
        request.extensions_mut().insert(address);
    }
    Ok(request)
}

/// Path, which API Gateway has decoded, and query, without the stage, of which routes know nothing.
fn uri(event: &Event<'_>) -> Result<Uri, Unreadable> {
    let raw_path = event.raw_path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/");
    let stage = event.request_context.stage.as_deref().filter(|stage| !["", "$default"].contains(stage));
    let in_stage = stage.and_then(|stage| raw_path.strip_prefix('/')?.strip_prefix(stage));
    let path = in_stage.filter(|path| path.starts_with('/')).unwrap_or(raw_path);
    address(path, event.raw_query_string.as_deref().unwrap_or_default())
}

/// Headers as HTTP allows them.
#[derive(Default)]
struct Headers(HeaderMap);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeadersVisitor;

        impl<'de> Visitor<'de> for HeadersVisitor {
            type Value = Headers;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("headers by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Headers, A::Error> {
                let mut headers = HeaderMap::with_capacity(members.size_hint().unwrap_or(16));
                while let Some((name, value)) = members.next_entry::<Cow<'de, str>, String>()? {
                    let name = HeaderName::from_bytes(name.as_bytes()).map_err(A::Error::custom)?;
                    headers.insert(name, HeaderValue::try_from(value).map_err(A::Error::custom)?);
                }
                Ok(Headers(headers))
            }
        }
        deserializer.deserialize_map(HeadersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::{Value, json};

    use super::*;

    fn event(change: Value) -> Result<Request, Unreadable> {
        let mut event = json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": "/api/probes",
            "rawQueryString": "",
            "headers": { "accept": "application/json" },
            "requestContext": { "http": { "method": "GET", "path": "/api/probes" }, "stage": "$default" },
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
    fn the_address_is_path_and_query() {
        assert_eq!(uri(json!({})), "/api/probes");
        assert_eq!(uri(json!({ "rawQueryString": "a=1&a=%20" })), "/api/probes?a=1&a=%20");
        assert_eq!(uri(json!({ "rawPath": "/api/a b/ä?%2F" })), "/api/a%20b/%C3%A4%3F%2F");
    }

    #[test]
    fn the_stage_is_no_part_of_the_address() {
        let context = |stage: &str| json!({ "http": { "method": "GET" }, "stage": stage });
        assert_eq!(
            uri(json!({ "requestContext": context("dev"), "rawPath": "/dev/api/probes" })),
            "/api/probes"
        );
        assert_eq!(uri(json!({ "requestContext": context("api"), "rawPath": "/apis/1" })), "/apis/1");
        assert_eq!(uri(json!({ "requestContext": { "http": { "method": "GET" } } })), "/api/probes");
    }

    #[test]
    fn members_may_be_null() {
        for name in ["rawQueryString", "headers", "cookies", "body", "isBase64Encoded"] {
            assert_eq!(uri(json!({ name: null })), "/api/probes", "{name}");
        }
        assert_eq!(uri(json!({ "rawPath": null })), "/");
        let context = json!({ "http": { "method": "GET" }, "stage": null });
        assert_eq!(uri(json!({ "requestContext": context })), "/api/probes");
    }

    #[test]
    fn method_headers_and_cookies_are_those_of_the_client() {
        let context = json!({ "http": { "method": "PATCH" } });
        let headers = json!({ "X-Some": "1,2", "if-match": "\"3\"" });
        let request =
            event(json!({ "requestContext": context, "headers": headers, "cookies": ["a=1", "b=2"] }))
                .unwrap();
        assert_eq!(request.method(), Method::PATCH);
        assert_eq!(request.headers()["x-some"], "1,2");
        assert_eq!(request.headers()["if-match"], "\"3\"");
        assert_eq!(request.headers()["cookie"], "a=1; b=2");
    }

    #[tokio::test]
    async fn a_body_is_text_or_base64() {
        let body = async |change| to_bytes(event(change).unwrap().into_body(), 100).await.unwrap();
        assert_eq!(body(json!({})).await, "");
        assert_eq!(body(json!({ "body": null })).await, "");
        assert_eq!(body(json!({ "body": "{\"a\":\"\\u00e4\"}" })).await, r#"{"a":"\u00e4"}"#);
        assert_eq!(body(json!({ "body": "/wA=", "isBase64Encoded": true })).await, &b"\xff\x00"[..]);
    }

    #[test]
    fn what_http_does_not_allow_is_unreadable() {
        for change in [
            json!({ "headers": { "a b": "1" } }),
            json!({ "headers": { "a": "1\n2" } }),
            json!({ "rawQueryString": "a b" }),
            json!({ "requestContext": { "http": { "method": "GET /" } } }),
            json!({ "body": "%", "isBase64Encoded": true }),
            json!({ "cookies": ["a\n"] }),
            json!({ "rawPath": 1 }),
        ] {
            assert!(event(change.clone()).is_err(), "{change}");
        }
    }
}
