use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// The owner of the local cloud's account may do everything, and its requests need no signature.
const OWNER: &str = "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/";

/// How often a call is repeated, and after how long: some more than a restart of the cloud takes.
const ATTEMPTS: usize = 60;
const PAUSE: Duration = Duration::from_millis(250);
/// Logs of a long run take their time.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Asks the local cloud for what no SDK here can ask.
#[derive(Clone)]
pub(crate) struct Operator {
    cloud: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Operator {
    /// For the cloud at this address.
    pub(crate) fn new(cloud: &str) -> Self {
        Self { cloud: cloud.to_owned(), client: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// A call of a service that speaks JSON: `json("logs", "Logs_20140328.FilterLogEvents", …)`.
    pub(crate) async fn json(&self, service: &str, operation: &str, input: &Value) -> Result<Value> {
        self.call(Method::POST, "/", service, Some(operation), Some(input)).await
    }

    /// The cloud's own paths, beside what AWS has.
    pub(crate) async fn admin(&self, method: Method, path: &str, input: Option<&Value>) -> Result<Value> {
        self.call(method, path, "sqs", None, input).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        service: &str,
        operation: Option<&str>,
        input: Option<&Value>,
    ) -> Result<Value> {
        let what = operation.unwrap_or(path);
        let mut tries = 1;
        loop {
            let mut request = Request::builder()
                .method(method.clone())
                .uri(format!("{}{path}", self.cloud))
                .header(
                    "authorization",
                    format!("{OWNER}{service}/aws4_request, SignedHeaders=host, Signature=none"),
                )
                .header("content-type", "application/x-amz-json-1.1");
            if let Some(operation) = operation {
                request = request.header("x-amz-target", operation);
            }
            let body = input.map(Value::to_string).unwrap_or_default();
            match self.send(request.body(Full::from(body))?).await {
                Ok((status, text)) if (200..300).contains(&status) => {
                    let answer = if text.is_empty() { "null" } else { &text };
                    return serde_json::from_str(answer)
                        .with_context(|| format!("{what} answered no JSON: {text}"));
                }
                Ok((status, text)) if status < 500 => bail!("{what} answered {status}: {text}"),
                Ok((status, text)) if tries == ATTEMPTS => bail!("{what} answered {status}: {text}"),
                Err(error) if tries == ATTEMPTS => {
                    return Err(error).with_context(|| format!("{what} failed"));
                }
                Ok(_) | Err(_) => tries += 1,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<(u16, String)> {
        let answer = async {
            let answer = self.client.request(request).await?;
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await?.to_bytes();
            anyhow::Ok((status, String::from_utf8(body.into())?))
        };
        tokio::time::timeout(TIME_LIMIT, answer).await?
    }
}
