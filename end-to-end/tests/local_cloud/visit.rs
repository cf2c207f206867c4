//! A visit to the shop through both front doors, and what is the same about it.
//!
//! `SHOP_LOAD_BALANCER_URL` is the second one's address, where the stack is deployed with `LoadBalancer=true`.

use std::thread;

use serde_json::Value;
use ureq::http::{HeaderMap, Method, Request};
use uuid::Uuid;

use crate::{
    client::{Answer, PATIENCE},
    cloud,
};

/// Headers that a front door adds for itself, and those that say which answer it is, or which requests get the same.
const OF_THE_TRANSPORT: [&str; 9] = [
    "apigw-requestid",
    "connection",
    "content-length",
    "date",
    "server",
    "transfer-encoding",
    "vary",
    "x-amzn-trace-id",
    "x-request-id",
];

fn load_balancer_url() -> String {
    std::env::var("SHOP_LOAD_BALANCER_URL").expect(
        "SHOP_LOAD_BALANCER_URL is not set: deploy with LoadBalancer=true, or leave these tests out by \
         `--skip load_balancer::`",
    )
}

/// Makes the same visit through both front doors and compares all that came back.
pub(crate) fn compare(visit: impl Fn(&mut Visit) + Sync) {
    let through = |url: String| {
        let mut made = Visit::new(url);
        visit(&mut made);
        made.seen
    };
    let (api, balancer) = thread::scope(|scope| {
        let api = scope.spawn(|| through(cloud::api_url()));
        (api.join().unwrap(), through(load_balancer_url()))
    });
    assert!(!api.is_empty() && api.len() == balancer.len());
    let differences: Vec<String> = api
        .iter()
        .zip(&balancer)
        .filter(|(api, balancer)| api != balancer)
        .map(|(api, balancer)| format!("through the API:\n{api}\nthrough the load balancer:\n{balancer}"))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

pub(crate) type Header = (&'static str, String);

/// A header of a request.
pub(crate) fn header(name: &'static str, value: impl Into<String>) -> Header {
    (name, value.into())
}

/// The header that says who asks.
pub(crate) fn bearer(token: &str) -> Header {
    header("authorization", format!("Bearer {token}"))
}

/// Requests through one front door, and the answers without what is another each time.
pub(crate) struct Visit {
    url: String,
    agent: ureq::Agent,
    /// Ids and the like in the order in which they were first seen; the answers show their place in here.
    ids: Vec<String>,
    seen: Vec<String>,
}

impl Visit {
    fn new(url: String) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        let agent = config.allow_non_standard_methods(true).build().into();
        Self { url, agent, ids: Vec::new(), seen: Vec::new() }
    }

    /// An id for something that is about to be made.
    pub(crate) fn new_id(&mut self) -> String {
        self.known(&Uuid::now_v7().to_string())
    }

    pub(crate) fn known(&mut self, id: &str) -> String {
        self.ids.push(id.to_owned());
        id.to_owned()
    }

    pub(crate) fn json(&mut self, method: &str, path: &str, headers: &[Header], body: &Value) -> Answer {
        let content_type = header("content-type", "application/json");
        let headers: Vec<Header> = headers.iter().cloned().chain([content_type]).collect();
        self.send(method, path, &headers, body.to_string())
    }

    /// One request, of which the answer is kept for the comparison.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[Header],
        body: impl AsRef<[u8]>,
    ) -> Answer {
        let answer = self.request(method, path, headers, body.as_ref());
        assert!(answer.header("x-request-id").is_some(), "{method} {path}: {answer:?}");
        let body = match serde_json::from_str(&answer.body) {
            Ok(mut json) => {
                self.generalise(&mut json, &answer);
                json.to_string()
            }
            Err(_) => answer.body.clone(),
        };
        let mut lines = vec![format!("{method} {path}"), answer.status.to_string()];
        let mut names: Vec<_> = answer.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        // An HTTP API names the type of a body also where there is none; a list's tag is made of its ids.
        let is_list = body.starts_with("{\"items\"") && method == "GET" && answer.status == 200;
        let of_the_answer = |name: &str| match name {
            "content-type" => !body.is_empty(),
            "etag" => !is_list,
            name => !OF_THE_TRANSPORT.contains(&name),
        };
        let own = names.into_iter().filter(|name| of_the_answer(name));
        lines.extend(own.map(|name| format!("{name}: {}", all(&answer.headers, name))));
        lines.push(body);
        let mut text = lines.join("\n");
        for (place, id) in self.ids.iter().enumerate() {
            text = text.replace(id, &format!("id-{place}"));
        }
        self.seen.push(text);
        answer
    }

    pub(crate) fn request(&self, method: &str, path: &str, headers: &[Header], body: &[u8]) -> Answer {
        let method: Method = method.parse().unwrap();
        let mut request = Request::builder().method(&method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = if body.is_empty() {
            self.agent.run(request.body(()).unwrap())
        } else {
            self.agent.run(request.body(body).unwrap())
        };
        let mut response = response.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.body_mut().read_to_string().unwrap(),
        }
    }

    /// Puts what stays the same in place of times, tokens and cursors, and notes new ids.
    fn generalise(&mut self, json: &mut Value, answer: &Answer) {
        match json {
            Value::Object(members) => {
                for (name, value) in members {
                    match name.as_str() {
                        "created_at" | "updated_at" | "at" | "expires_at" | "url" => {
                            *value = name.as_str().into()
                        }
                        "access_token" | "refresh_token" => *value = name.as_str().into(),
                        "next_cursor" if value.is_string() => *value = name.as_str().into(),
                        "request_id" if value.is_string() => {
                            assert_eq!(value.as_str(), answer.header("x-request-id"));
                            *value = name.as_str().into();
                        }
                        _ => self.generalise(value, answer),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.generalise(item, answer)),
            Value::String(text) if Uuid::parse_str(text).is_ok() && !self.ids.contains(text) => {
                self.ids.push(text.clone());
            }
            _ => {}
        }
    }
}

fn all(headers: &HeaderMap, name: &str) -> String {
    let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    values.collect::<Vec<_>>().join(", ")
}
