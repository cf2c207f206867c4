use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use dynoxide::types::{Item, TRANSACTIONAL_CAPACITY_FACTOR, item_size, write_capacity_units};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    BucketStub, Emulator, TopicStub,
    loopback::{listen, runtime},
};

/// One address for all that a function calls, which counts the calls: DynamoDB goes on to the [`Emulator`], topics and
/// queues to a [`TopicStub`], objects to a [`BucketStub`], and Secrets Manager is answered here.
///
/// DynamoDB's request units are what the emulator says that a call consumed: it follows the rules of AWS for item
/// sizes, consistency, transactions and indexes. The emulator reports nothing for a write whose condition failed, which
/// is charged by the row that stood in the way; the other parts of a transaction that was cancelled are taken to be
/// below 1 KB.
pub struct CountingEndpoint {
    endpoint: String,
    state: Arc<Counter>,
    server: JoinHandle<()>,
}

/// A call that was made through a [`CountingEndpoint`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Call {
    /// The operation, as in `GetItem`.
    pub operation: String,
    /// Read request units.
    pub reads: f64,
    /// Write request units of the table.
    pub table_writes: f64,
    /// Write request units of the table's indexes.
    pub index_writes: f64,
}

struct Counter {
    store: String,
    topic: TopicStub,
    buckets: BucketStub,
    /// The present text of all secrets, and the number of its version.
    secret: Mutex<(String, u32)>,
    client: ureq::Agent,
    calls: Mutex<Vec<Call>>,
    /// Operations of which one answer each will not arrive.
    lossy: Mutex<Vec<&'static str>>,
}

impl CountingEndpoint {
    /// Starts on a free loopback port and stops when dropped. Every secret that is asked for has this text, in a version
    /// `v1`; what came before a version is never there.
    pub fn start(secret: impl Into<String>) -> Self {
        let store = Emulator::sdk_config().endpoint_url().expect("the emulator's address").to_owned();
        // What a service refuses is passed on to the function, not an error of this one.
        let client = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let state = Arc::new(Counter {
            store,
            topic: TopicStub::start(),
            buckets: BucketStub::start(),
            secret: Mutex::new((secret.into(), 1)),
            client,
            calls: Mutex::default(),
            lossy: Mutex::default(),
        });
        let (listener, endpoint) = listen();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let server = runtime().spawn(async move {
            // An accept loop on loopback ends with the task only.
            axum::serve(listener, router).await.expect("the endpoint serves");
        });
        Self { endpoint, state, server }
    }

    /// What `AWS_ENDPOINT_URL` has to say.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What topics and queues took.
    pub fn topic(&self) -> &TopicStub {
        &self.state.topic
    }

    /// What is in the buckets.
    pub fn buckets(&self) -> &BucketStub {
        &self.state.buckets
    }

    /// From now on every secret has this text, in another version.
    pub fn change_secret(&self, text: impl Into<String>) {
        let mut secret = self.state.secret.lock().unwrap_or_else(PoisonError::into_inner);
        *secret = (text.into(), secret.1 + 1);
    }

    /// The answer to the next call of an operation of DynamoDB gets lost: what it asks for is done, but its client hears
    /// that the service failed.
    pub fn lose_answer(&self, operation: &'static str) {
        self.state.lossy.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
    }

    /// The calls since this was asked last, in the order of their answers.
    pub fn take(&self) -> Vec<Call> {
        mem::take(&mut self.state.calls())
    }
}

impl Drop for CountingEndpoint {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Counter {
    fn calls(&self) -> MutexGuard<'_, Vec<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, call: Call) {
        self.calls().push(call);
    }

    fn loses(&self, operation: &str) -> bool {
        let mut lossy = self.lossy.lock().unwrap_or_else(PoisonError::into_inner);
        let position = lossy.iter().position(|lost| *lost == operation);
        position.map(|position| lossy.remove(position)).is_some()
    }

    /// Sends a request on as it came, but for the body.
    fn forward(
        &self,
        to: &str,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(StatusCode, HeaderMap, Vec<u8>), ureq::Error> {
        let mut request = self.client.post(format!("{to}{uri}"));
        // Length and encoding are the client's own business: the body may have become another.
        let own = [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::ACCEPT_ENCODING];
        for (name, value) in headers.iter().filter(|(name, _)| !own.contains(name)) {
            request = request.header(name, value);
        }
        let mut answer = request.send(body)?;
        let body = answer.body_mut().read_to_vec()?;
        let mut headers = mem::take(answer.headers_mut());
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::TRANSFER_ENCODING);
        Ok((answer.status(), headers, body))
    }

    fn answer(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Response, ureq::Error> {
        // Objects have paths of their own; the others name in a header or in the body what is to be done.
        if uri.path() != "/" && !headers.contains_key("x-amz-target") {
            let (operation, answer) = self.buckets.answer(method, uri, headers, body);
            let operation = operation.map_or_else(|| format!("{method} {uri}"), str::to_owned);
            self.count(Call { operation, ..Call::default() });
            return Ok(answer);
        }
        let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        match target.and_then(|target| target.split_once('.')) {
            Some(("secretsmanager", operation)) => {
                self.count(Call { operation: operation.to_owned(), ..Call::default() });
                Ok(self.secret(body))
            }
            Some((service, operation)) if service.starts_with("DynamoDB") => {
                let mut request: Value = serde_json::from_slice(body).unwrap_or_default();
                request["ReturnConsumedCapacity"] = "INDEXES".into();
                let (status, headers, body) =
                    self.forward(&self.store, uri, headers, request.to_string().as_bytes())?;
                self.count(Call::of_store(operation, &serde_json::from_slice(&body).unwrap_or_default()));
                if self.loses(operation) {
                    return Ok((StatusCode::INTERNAL_SERVER_ERROR, "the answer got lost").into_response());
                }
                Ok((status, headers, body).into_response())
            }
            queue => {
                let operation = match queue {
                    Some((_, operation)) => operation.to_owned(),
                    None => form_urlencoded::parse(body)
                        .find_map(|(name, value)| (name == "Action").then(|| value.into_owned()))
                        .unwrap_or_default(),
                };
                self.count(Call { operation, ..Call::default() });
                Ok(self.forward(self.topic.endpoint(), uri, headers, body)?.into_response())
            }
        }
    }

    fn secret(&self, body: &[u8]) -> Response {
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let content_type = [(header::CONTENT_TYPE, "application/x-amz-json-1.1")];
        if request["VersionStage"] == "AWSPREVIOUS" {
            let error =
                json!({ "__type": "ResourceNotFoundException", "Message": "there is no version before" });
            return (StatusCode::BAD_REQUEST, content_type, error.to_string()).into_response();
        }
        let (text, version) = &*self.secret.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = json!({
            "ARN": request["SecretId"],
            "Name": request["SecretId"],
            "VersionId": format!("v{version}"),
            "SecretString": text,
        });
        (content_type, answer.to_string()).into_response()
    }
}

impl Call {
    fn of_store(operation: &str, answer: &Value) -> Self {
        let mut call = Self { operation: operation.to_owned(), ..Self::default() };
        let reads = ["GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems"].contains(&operation);
        for consumed in one_or_many(&answer["ConsumedCapacity"]) {
            let units = |part: &Value| part["CapacityUnits"].as_f64().unwrap_or_default();
            if reads {
                call.reads += units(consumed);
            } else {
                call.table_writes += units(&consumed["Table"]);
                call.index_writes += units(consumed) - units(&consumed["Table"]);
            }
        }
        // A write whose condition failed is paid like one that happened, and so is each part of a transaction.
        let units = |row: &Value| {
            let row: Item = serde_json::from_value(row.clone()).unwrap_or_default();
            write_capacity_units(item_size(&row))
        };
        let error = answer["__type"].as_str().and_then(|error| error.rsplit('#').next());
        match error {
            Some("ConditionalCheckFailedException") => call.table_writes += units(&answer["Item"]),
            Some("TransactionCanceledException") => {
                let parts = one_or_many(&answer["CancellationReasons"]).into_iter();
                let parts = parts.map(|reason| units(&reason["Item"]));
                call.table_writes += TRANSACTIONAL_CAPACITY_FACTOR * parts.sum::<f64>();
            }
            _ => {}
        }
        call
    }
}

fn one_or_many(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().collect(),
        value => vec![value],
    }
}

async fn answer(
    State(state): State<Arc<Counter>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answered = runtime().spawn_blocking(move || state.answer(&method, &uri, &headers, &body)).await;
    match answered {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
