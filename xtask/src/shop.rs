use std::{fmt, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use ureq::{Agent, http::Request};

/// A client of the shop's HTTP API.
pub(crate) struct Shop {
    /// Address of the API, without `/api`.
    pub(crate) url: String,
    agent: Agent,
}

impl Shop {
    /// The shop behind an address.
    pub(crate) fn new(url: String) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .into();
        Self { url, agent }
    }

    /// One request.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json");
                self.agent.run(request.body(body.to_string())?)
            }
            None => self.agent.run(request.body(())?),
        };
        let mut answer = answer.with_context(|| format!("no answer to {method} {path}"))?;
        let location =
            answer.headers().get("location").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let text = answer.body_mut().read_to_string().with_context(|| format!("{method} {path}"))?;
        let body = serde_json::from_str(&text).unwrap_or_default();
        Ok(Answer { status: answer.status().as_u16(), location, body, text })
    }

    /// Sends a file to an address that the shop gave for it.
    pub(crate) fn upload(&self, upload: &Value, file: &[u8]) -> Result<u16> {
        let method = text(upload, "method")?;
        let mut request = Request::builder().method(method).uri(text(upload, "url")?);
        for (name, value) in upload["headers"].as_object().context("an upload without headers")? {
            request = request.header(name, value.as_str().context("a header that is no text")?);
        }
        let answer = self.agent.run(request.body(file)?).with_context(|| format!("no answer to {method}"))?;
        Ok(answer.status().as_u16())
    }

    /// An access token.
    pub(crate) fn log_in(&self, email: &str, password: &str) -> Result<String> {
        let credentials = serde_json::json!({ "email": email, "password": password });
        let answer = self.send("POST", "/api/users/login", &[], Some(&credentials))?;
        let body = answer.expect(200)?;
        Ok(text(&body, "access_token")?.to_owned())
    }
}

/// An answer of the shop.
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// Where what was asked for is.
    pub(crate) location: Option<String>,
    /// The body; `null` if it was not JSON.
    pub(crate) body: Value,
    /// The body as it was sent.
    pub(crate) text: String,
}

impl Answer {
    /// The body, if the status is the expected one.
    pub(crate) fn expect(self, status: u16) -> Result<Value> {
        ensure!(self.status == status, "expected {status}, the shop answered {self}");
        Ok(self.body)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.text)
    }
}

/// A text field of an answer.
pub(crate) fn text<'a>(body: &'a Value, field: &str) -> Result<&'a str> {
    body[field].as_str().with_context(|| format!("the answer has no {field}: {body}"))
}
