use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tokio::time::timeout;

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A client of the shop's API.
pub(crate) struct ApiClient {
    http: Client<HttpConnector, Full<Bytes>>,
    api: String,
    /// Nobody waits longer for an answer. The API itself gives up later: then a request is repeated while the one before
    /// is still being carried out.
    patience: Duration,
}

/// A request, to be sent as often as it takes.
pub(crate) struct Request {
    method: Method,
    path: String,
    headers: Vec<(HeaderName, String)>,
    body: Option<Value>,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// `null` if there is none.
    pub(crate) body: Value,
    pub(crate) etag: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) retry_after: Option<Duration>,
}

impl Request {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn post(path: impl Into<String>, body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::POST, path) }
    }

    /// A POST that says everything by its path.
    pub(super) fn command(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub(super) fn put(path: impl Into<String>, body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::PUT, path) }
    }

    pub(super) fn patch(path: impl Into<String>, body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::PATCH, path) }
    }

    pub(super) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    pub(crate) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: None }
    }
}

impl Reply {
    /// A text field of the body.
    pub(super) fn text(&self, field: &str) -> Option<String> {
        self.body[field].as_str().map(str::to_owned)
    }
}

impl ApiClient {
    /// A client that calls from this address.
    pub(crate) fn new(api: &str, from: IpAddr, patience: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_local_address(Some(from));
        let http = Client::builder(TokioExecutor::new()).build(connector);
        Self { http, api: api.to_owned(), patience }
    }

    /// Sends it once. An error says why nobody knows what became of it.
    pub(crate) async fn send(&self, request: &Request, token: Option<&str>) -> Result<Reply, String> {
        match timeout(self.patience, self.exchange(request, token)).await {
            Ok(reply) => reply,
            Err(_) => Err(format!("no answer within {:?}", self.patience)),
        }
    }

    async fn exchange(&self, request: &Request, token: Option<&str>) -> Result<Reply, String> {
        let mut builder =
            http::Request::builder().method(&request.method).uri(format!("{}{}", self.api, request.path));
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if let Some(token) = token {
            builder = builder.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = match &request.body {
            Some(body) => {
                builder = builder.header(header::CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        let whole = builder.body(Full::new(body)).map_err(|error| told(&error))?;
        let (head, body) = self.http.request(whole).await.map_err(|error| told(&error))?.into_parts();
        let body = body.collect().await.map_err(|error| told(&error))?.to_bytes();
        let body = if body.is_empty() {
            Value::Null
        } else {
            let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
            serde_json::from_slice(&body).unwrap_or_else(|_| text())
        };
        let seconds = text_of(&head.headers, &header::RETRY_AFTER).and_then(|text| text.parse().ok());
        Ok(Reply {
            status: head.status.as_u16(),
            body,
            etag: text_of(&head.headers, &header::ETAG),
            request_id: text_of(&head.headers, &HeaderName::from_static("x-request-id")),
            retry_after: seconds.map(Duration::from_secs),
        })
    }
}

fn text_of(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// The error with all its causes.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
