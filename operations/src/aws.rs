//! Signed calls of AWS, written out by hand.
//!
//! An operator's tools need one or two operations of each of six services. Their SDKs would take longer to build than
//! all the rest of the workspace; and a stream's records, which an SDK takes apart, have to reach a function as they are.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_http_client::{
    Connector,
    tls::{self, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, SharedHttpConnector},
    orchestrator::HttpRequest,
};
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use http_body_util::BodyExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// An invocation answers after 29 seconds at the latest.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(40);
const ATTEMPTS: u32 = 5;
const FIRST_BACKOFF: Duration = Duration::from_millis(200);

/// A service of AWS, as a request names it.
#[derive(Clone, Copy)]
pub(crate) struct Service {
    /// The beginning of its host's name.
    host: &'static str,
    /// What its requests are signed for.
    signing_name: &'static str,
    /// What stands before the operation in `x-amz-target`.
    target: &'static str,
    content_type: &'static str,
}

pub(crate) const ALARMS: Service = Service {
    host: "monitoring",
    signing_name: "monitoring",
    target: "GraniteServiceVersion20100801",
    content_type: "application/x-amz-json-1.0",
};
pub(crate) const CLOUD_FORMATION: Service = Service {
    host: "cloudformation",
    signing_name: "cloudformation",
    target: "",
    content_type: "application/x-www-form-urlencoded",
};
pub(crate) const DYNAMODB: Service = Service {
    host: "dynamodb",
    signing_name: "dynamodb",
    target: "DynamoDB_20120810",
    content_type: "application/x-amz-json-1.0",
};
pub(crate) const LAMBDA: Service =
    Service { host: "lambda", signing_name: "lambda", target: "", content_type: "application/json" };
pub(crate) const LOGS: Service = Service {
    host: "logs",
    signing_name: "logs",
    target: "Logs_20140328",
    content_type: "application/x-amz-json-1.1",
};
pub(crate) const SECRETS: Service = Service {
    host: "secretsmanager",
    signing_name: "secretsmanager",
    target: "secretsmanager",
    content_type: "application/x-amz-json-1.1",
};
pub(crate) const STREAMS: Service = Service {
    host: "streams.dynamodb",
    signing_name: "dynamodb",
    target: "DynamoDBStreams_20120810",
    content_type: "application/x-amz-json-1.0",
};

/// An account and region of AWS, or a local cloud.
#[derive(Debug, Clone)]
pub(crate) struct Aws {
    config: SdkConfig,
    region: String,
    connector: SharedHttpConnector,
}

/// What a service answered to a call that it carried out.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).context("the answer is no JSON")
    }
}

/// A call that the service refused.
#[derive(Debug)]
pub(crate) struct Refused {
    status: u16,
    body: String,
}

impl Refused {
    #[cfg(test)]
    pub(crate) fn new(status: u16, body: &str) -> Self {
        Self { status, body: body.to_owned() }
    }

    /// Whether the service names this as the reason.
    pub(crate) fn is(&self, code: &str) -> bool {
        self.body.contains(code)
    }

    /// Whether the same call may succeed a moment later.
    pub(crate) fn passes(&self) -> bool {
        self.status >= 500 || self.status == 429 || self.is("Throttl") || self.is("TooManyRequests")
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.status, self.body.trim())
    }
}

impl std::error::Error for Refused {}

impl Aws {
    pub(crate) fn new(config: &SdkConfig) -> Result<Self> {
        let region = config.region().context("no region is configured")?.to_string();
        let connector = Connector::builder();
        let connector = if config.endpoint_url().is_some_and(|url| url.starts_with("http://")) {
            connector.build_http()
        } else {
            connector.tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build()
        };
        Ok(Self { config: config.clone(), region, connector: SharedHttpConnector::new(connector) })
    }

    /// An operation of a service that speaks JSON.
    pub(crate) async fn json(&self, service: Service, operation: &str, input: &Value) -> Result<Value> {
        let target = format!("{}.{operation}", service.target);
        let answer = self.call(service, "POST", "/", Some(&target), input.to_string()).await;
        let answer = answer.with_context(|| format!("{operation} failed"))?;
        if answer.body.is_empty() { Ok(Value::Null) } else { answer.json() }
    }

    /// An operation of a service that has a path for each.
    pub(crate) async fn rest(
        &self,
        service: Service,
        method: &str,
        path: &str,
        body: String,
    ) -> Result<Answer> {
        self.call(service, method, path, None, body).await.with_context(|| format!("{method} {path} failed"))
    }

    /// An operation of CloudFormation, which speaks forms and XML.
    pub(crate) async fn form(&self, operation: &str, parameters: &[(&str, &str)]) -> Result<Answer> {
        let fixed = [("Action", operation), ("Version", "2010-05-15")];
        let pairs = fixed.iter().chain(parameters).map(|(name, value)| format!("{name}={}", escaped(value)));
        let form = pairs.collect::<Vec<_>>().join("&");
        let answer = self.call(CLOUD_FORMATION, "POST", "/", None, form).await;
        answer.with_context(|| format!("{operation} failed"))
    }

    /// What anybody gets of an address, whatever its status.
    pub(crate) async fn get(&self, url: &str) -> Result<u16> {
        let request = http::Request::get(url).body(SdkBody::empty())?;
        match self.send_in_time(HttpRequest::try_from(request)?).await {
            Ok(_) => Ok(200),
            Err(error) => error.downcast::<Refused>().map(|refused| refused.status),
        }
    }

    /// Whether this is a cloud of one's own and not AWS.
    pub(crate) fn is_local(&self) -> bool {
        self.config.endpoint_url().is_some()
    }

    /// The address of the API with this id and, on AWS, this URL.
    pub(crate) fn api_url(&self, id: &str, url: &str) -> String {
        match self.config.endpoint_url() {
            Some(endpoint) => format!("{}/_aws/execute-api/{id}", endpoint.trim_end_matches('/')),
            None => url.to_owned(),
        }
    }

    async fn call(
        &self,
        service: Service,
        method: &str,
        path: &str,
        target: Option<&str>,
        body: String,
    ) -> Result<Answer> {
        let mut attempt = 1;
        loop {
            let request = self.signed(service, method, path, target, body.clone()).await?;
            let outcome = self.send_in_time(request).await;
            let Err(error) = outcome else { return outcome };
            let passes = error.downcast_ref::<Refused>().is_none_or(Refused::passes);
            if !passes || attempt == ATTEMPTS {
                return Err(error);
            }
            tokio::time::sleep(FIRST_BACKOFF * 2_u32.pow(attempt - 1)).await;
            attempt += 1;
        }
    }

    async fn signed(
        &self,
        service: Service,
        method: &str,
        path: &str,
        target: Option<&str>,
        body: String,
    ) -> Result<HttpRequest> {
        let credentials = self.config.credentials_provider().context("no AWS credentials are configured")?;
        let identity = credentials.provide_credentials().await.context("no AWS credentials")?.into();
        let mut request = http::Request::builder()
            .method(method)
            .uri(self.endpoint(service) + path)
            .header("content-type", service.content_type);
        if let Some(target) = target {
            request = request.header("x-amz-target", target);
        }
        let mut request = request.body(body)?;
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service.signing_name)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let headers: Vec<(String, String)> = request
            .headers()
            .iter()
            .map(|(name, value)| Ok((name.to_string(), value.to_str()?.to_owned())))
            .collect::<Result<_>>()?;
        let signable = SignableRequest::new(
            method,
            request.uri().to_string(),
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())),
            SignableBody::Bytes(request.body().as_bytes()),
        )?;
        let (instructions, _) = sign(signable, &parameters)?.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        Ok(HttpRequest::try_from(request.map(SdkBody::from))?)
    }

    async fn send_in_time(&self, request: HttpRequest) -> Result<Answer> {
        let answer = tokio::time::timeout(ATTEMPT_TIMEOUT, self.send(request)).await;
        answer.unwrap_or_else(|_| bail!("no answer within {} s", ATTEMPT_TIMEOUT.as_secs()))
    }

    async fn send(&self, request: HttpRequest) -> Result<Answer> {
        let response = self.connector.call(request).await?;
        let response = response.try_into_http1x()?;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        let body = String::from_utf8(bytes.into()).context("the answer is no text")?;
        if !parts.status.is_success() {
            bail!(Refused { status: parts.status.as_u16(), body });
        }
        Ok(Answer { headers: parts.headers, body })
    }

    fn endpoint(&self, service: Service) -> String {
        if let Some(url) = self.config.endpoint_url() {
            return url.trim_end_matches('/').to_owned();
        }
        let suffix = if self.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        format!("https://{}.{}.{suffix}", service.host, self.region)
    }
}

/// What AWS itself escapes when it verifies a signature: what else is escaped in a path is not the same to it.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A value in a path, query or form, with everything escaped that could be taken for a part of it.
pub(crate) fn escaped(value: &str) -> String {
    utf8_percent_encode(value, ESCAPED).to_string()
}
