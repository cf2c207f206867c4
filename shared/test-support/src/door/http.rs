use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A request in the making, until [`build`](Self::build) turns it into an event.
#[derive(Clone, Debug)]
#[must_use = "build() makes the event"]
pub struct HttpEvent {
    front: Front,
    method: String,
    path: String,
    /// As it stands in a URL.
    query: String,
    /// Where the front door sees it come from.
    address: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
    is_base64: bool,
}

/// The answer to an HTTP event, whichever front door it came through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case; several values of one are joined by a comma.
    pub headers: BTreeMap<String, String>,
    /// The body as text.
    pub body: String,
}

#[derive(Clone, Copy, Debug)]
enum Front {
    V2,
    V1,
    LoadBalancer,
}

/// A request through an API Gateway HTTP API (payload 2.0). The path may carry a query.
pub fn http_v2(method: &str, path: &str) -> HttpEvent {
    HttpEvent::new(Front::V2, method, path)
}

/// A request through an API Gateway REST API (payload 1.0). The path may carry a query.
pub fn http_v1(method: &str, path: &str) -> HttpEvent {
    HttpEvent::new(Front::V1, method, path)
}

/// A request through an Application Load Balancer. The path may carry a query.
pub fn alb(method: &str, path: &str) -> HttpEvent {
    HttpEvent::new(Front::LoadBalancer, method, path)
}

impl HttpEvent {
    fn new(front: Front, method: &str, path: &str) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Self {
            front,
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            address: "192.0.2.1".to_owned(),
            headers: Vec::new(),
            body: None,
            is_base64: false,
        }
        .header("host", "api.example.com")
        .header("x-forwarded-proto", "https")
    }

    /// Sets a header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        let name = name.to_lowercase();
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }

    /// Comes from an address. In `x-forwarded-for` it follows what the client may have sent there.
    pub fn sent_from(mut self, address: &str) -> Self {
        address.clone_into(&mut self.address);
        self
    }

    /// Carries an access token.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Adds a query parameter, encoded.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        if !self.query.is_empty() {
            self.query.push('&');
        }
        let pair = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
        self.query.push_str(&pair);
        self
    }

    /// Carries a value as JSON.
    pub fn json(self, body: &(impl Serialize + ?Sized)) -> Self {
        let body = serde_json::to_string(body).expect("a body that has a JSON form");
        self.body("application/json", body)
    }

    /// Carries any text under any content type.
    pub fn body(mut self, content_type: &str, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self.is_base64 = false;
        self.header("content-type", content_type)
    }

    /// Carries bytes, which front doors encode.
    pub fn bytes(mut self, content_type: &str, body: &[u8]) -> Self {
        self.body = Some(BASE64_STANDARD.encode(body));
        self.is_base64 = true;
        self.header("content-type", content_type)
    }

    /// The event.
    pub fn build(&self) -> String {
        let mut event = match self.front {
            Front::V2 => self.v2(),
            Front::V1 => self.v1(),
            Front::LoadBalancer => self.load_balancer(),
        };
        if !matches!(self.front, Front::LoadBalancer) {
            event["headers"] =
                self.received_headers().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        }
        event["isBase64Encoded"] = self.is_base64.into();
        if let Some(body) = &self.body {
            event["body"] = body.as_str().into();
        }
        event.to_string()
    }

    fn v2(&self) -> Value {
        let mut joined: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in self.decoded_query() {
            joined
                .entry(name)
                .and_modify(|values| {
                    values.push(',');
                    values.push_str(&value);
                })
                .or_insert(value);
        }
        let mut event = json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": self.path,
            "rawQueryString": self.query,
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "api-id",
                "domainName": "api.example.com",
                "domainPrefix": "api",
                "http": {
                    "method": self.method,
                    "path": self.path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": self.address,
                    "userAgent": "test",
                },
                "requestId": "JKJaXmPLvHcESHA=",
                "routeKey": "$default",
                "stage": "$default",
                "time": "22/Nov/2026:09:44:00 +0000",
                "timeEpoch": 1_795_340_640_000_i64,
            },
        });
        // Absent, not empty, when there is no query.
        if !joined.is_empty() {
            event["queryStringParameters"] = json!(joined);
        }
        event
    }

    fn v1(&self) -> Value {
        let query = self.decoded_query();
        let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, value) in &query {
            values.entry(name).or_default().push(value);
        }
        // One of several values is all that the plain map shows: the last.
        let last: BTreeMap<&str, &str> =
            query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        json!({
            "resource": "/{proxy+}",
            "path": self.path,
            "httpMethod": self.method,
            "multiValueHeaders": self.each_header(),
            "queryStringParameters": last,
            "multiValueQueryStringParameters": values,
            "pathParameters": {"proxy": self.path.trim_start_matches('/')},
            "stageVariables": null,
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "api-id",
                "httpMethod": self.method,
                "identity": {"sourceIp": self.address, "userAgent": "test"},
                "path": self.path,
                "protocol": "HTTP/1.1",
                "requestId": "41b45ea3-70b5-11e6-b7bd-69b5aaebc7d9",
                "requestTimeEpoch": 1_795_340_640_000_i64,
                "resourceId": "us4z18",
                "resourcePath": "/{proxy+}",
                "stage": "prod",
            },
            "body": null,
        })
    }

    fn load_balancer(&self) -> Value {
        // A load balancer hands the query over as it came, still encoded, and all values of a name.
        let mut encoded: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for pair in self.query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            encoded.entry(name).or_default().push(value);
        }
        let group =
            "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/service/6d0ecf831eec9f09";
        json!({
            "requestContext": {"elb": {"targetGroupArn": group}},
            "httpMethod": self.method,
            "path": self.path,
            "multiValueQueryStringParameters": encoded,
            "multiValueHeaders": self.each_header(),
            "body": "",
        })
    }

    fn each_header(&self) -> Map<String, Value> {
        self.received_headers().map(|(name, value)| (name.to_owned(), json!([value]))).collect()
    }

    /// The client's headers and what every front door makes of `x-forwarded-for`.
    fn received_headers(&self) -> impl Iterator<Item = (&str, String)> {
        let (sent, others): (Vec<_>, Vec<_>) =
            self.headers.iter().partition(|(name, _)| name == "x-forwarded-for");
        let hops = sent.into_iter().map(|(_, value)| value.as_str()).chain([&*self.address]);
        let forwarded = ("x-forwarded-for", hops.collect::<Vec<_>>().join(", "));
        others.into_iter().map(|(name, value)| (name.as_str(), value.clone())).chain([forwarded])
    }

    fn decoded_query(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(self.query.as_bytes()).into_owned().collect()
    }
}

impl HttpAnswer {
    /// Reads the answer to an HTTP event.
    pub fn parse(answer: &str) -> Self {
        let parsed: Value = serde_json::from_str(answer).unwrap_or_default();
        let status = parsed["statusCode"].as_u64().and_then(|status| u16::try_from(status).ok());
        let single = parsed["headers"].as_object().into_iter().flatten();
        let multiple = parsed["multiValueHeaders"].as_object().into_iter().flatten();
        let headers =
            single.chain(multiple).map(|(name, value)| (name.to_lowercase(), text_of(value))).collect();
        let body = parsed["body"].as_str().unwrap_or_default();
        let body = if parsed["isBase64Encoded"] == true {
            let bytes = BASE64_STANDARD.decode(body).expect("a body in base64");
            String::from_utf8(bytes).expect("a body that is text")
        } else {
            body.to_owned()
        };
        Self {
            status: status.unwrap_or_else(|| panic!("not the answer to a request: {answer}")),
            headers,
            body,
        }
    }

    /// A header, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(&name.to_lowercase()).map(String::as_str)
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| {
            panic!("status {}, body is no JSON ({error}): {}", self.status, self.body)
        })
    }
}

/// A header's value, or its several values.
fn text_of(value: &Value) -> String {
    match value {
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        value => value.as_str().unwrap_or_default().to_owned(),
    }
}
