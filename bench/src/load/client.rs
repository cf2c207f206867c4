use std::{net::TcpStream, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{http1::Connection, targets::parsed};

/// Longer than any request may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where something answers: host and port, and what comes before every path.
#[derive(Debug, Clone)]
pub(super) struct Address {
    host: String,
    prefix: String,
}

/// A connection that stays open, as a browser's does.
pub(super) struct Client {
    address: Address,
    connection: Option<Connection<TcpStream>>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Address {
    /// Of a URL as `http://127.0.0.1:4566/some/path`.
    pub(super) fn of(url: &str) -> Result<Self> {
        let rest =
            url.strip_prefix("http://").with_context(|| format!("{url} does not begin with http://"))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = if path.is_empty() { String::new() } else { format!("/{}", path.trim_end_matches('/')) };
        Ok(Self { host: host.to_owned(), prefix })
    }
}

impl Client {
    pub(super) fn new(address: &Address) -> Self {
        Self { address: address.clone(), connection: None }
    }

    /// One request. After a failure the next one has a connection of its own.
    pub(super) fn send(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Result<Answer> {
        let Address { host, prefix } = &self.address;
        let head = format!("{method} {prefix}{path} HTTP/1.1\r\nhost: {host}\r\n{headers}");
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let stream = TcpStream::connect(host).with_context(|| format!("nobody answers at {host}"))?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Connection::new(stream)
            }
        };
        connection.write(&head, body.as_bytes())?;
        let message = connection.read()?.context("the server hung up")?;
        let answer =
            Answer { status: message.status(), body: parsed(&String::from_utf8_lossy(&message.body)) };
        if message.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    /// A request with JSON.
    pub(super) fn post(&mut self, path: &str, headers: &str, body: &Value) -> Result<Answer> {
        let headers = format!("{headers}content-type: application/json\r\n");
        self.send("POST", path, &headers, &body.to_string())
    }

    /// A call of SQS. It is not signed: a local cloud that does not enforce access asks for nothing but the service's
    /// name.
    pub(super) fn sqs(&mut self, operation: &str, input: &Value) -> Result<Value> {
        let headers = format!(
            "authorization: AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/sqs/aws4_request, \
             SignedHeaders=host, Signature=none\r\ncontent-type: application/x-amz-json-1.0\r\n\
             x-amz-target: AmazonSQS.{operation}\r\n"
        );
        self.send("POST", "/", &headers, &input.to_string())?.expect(200)
    }

    /// The header of somebody who has logged in.
    pub(super) fn log_in(&mut self, email: &str, password: &str) -> Result<String> {
        let credentials = json!({ "email": email, "password": password });
        let body = self.post("/api/users/login", "", &credentials)?.expect(200)?;
        let token = body["access_token"].as_str().context("no token")?;
        Ok(format!("authorization: Bearer {token}\r\n"))
    }
}

impl Answer {
    /// The body, if the status is the expected one.
    pub(super) fn expect(self, status: u16) -> Result<Value> {
        ensure!(self.status == status, "expected {status}, got {} {}", self.status, self.body);
        Ok(self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_path_or_none() {
        let address = Address::of("http://127.0.0.1:4566/_aws/api/").unwrap();
        assert_eq!((address.host.as_str(), address.prefix.as_str()), ("127.0.0.1:4566", "/_aws/api"));
        assert_eq!(Address::of("http://localhost:1").unwrap().prefix, "");
        Address::of("https://localhost").unwrap_err();
    }
}
