//! The cloud behind the API: what only an operator sees.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::QueueAttributeName;
use domain_events::Timestamp;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::client::{PATIENCE, eventually};

/// The owner of the local cloud's account may do everything, and its requests need no signature.
const OWNER: &str = "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/";

/// What `cargo xtask test` tells these tests.
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run these tests by `cargo xtask test`"))
}

pub(crate) fn api_url() -> String {
    variable("SHOP_API_URL")
}

pub(crate) fn environment() -> String {
    variable("SHOP_ENVIRONMENT")
}

/// The name of a resource in the deployed environment.
pub(crate) fn name(of: &str) -> String {
    format!("{}-{of}", environment())
}

/// How to reach the cloud as the account's owner.
pub(crate) fn config() -> aws_types::SdkConfig {
    test_support::sdk_config(&variable("SHOP_CLOUD_URL"))
}

/// Whether the cloud lets a caller with these credentials read a table.
pub(crate) fn lets_read(access_key_id: &str, table: &str) -> bool {
    let credentials = Credentials::new(access_key_id, "test", None, None, "test");
    let config =
        config().into_builder().credentials_provider(SharedCredentialsProvider::new(credentials)).build();
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    block_on(dynamodb.describe_table().table_name(name(table)).send()).is_ok()
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap()).block_on(work)
}

/// The secret with which the services know their callers.
pub(crate) fn secret_id() -> String {
    format!("{}/microservices/api-gateway", environment())
}

pub(crate) fn api_key() -> String {
    secret(&secret_id())["api_key"].as_str().unwrap().to_owned()
}

/// What a secret holds.
pub(crate) fn secret(id: &str) -> Value {
    let client = aws_sdk_secretsmanager::Client::new(&config());
    let secret = block_on(client.get_secret_value().secret_id(id).send()).unwrap();
    serde_json::from_str(secret.secret_string().unwrap()).unwrap()
}

/// Calls a function itself, past all that usually does. An error is what the function says of it.
pub(crate) fn invoke(function: &str, event: &Value) -> Result<(), String> {
    let address = format!(
        "{}/2015-03-31/functions/{}/invocations",
        variable("SHOP_CLOUD_URL"),
        name(&format!("{function}-lambda"))
    );
    // The owner of the local cloud's account may do everything, and needs no signature.
    let owner = "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/lambda/aws4_request, SignedHeaders=host, \
                 Signature=none";
    let mut answer = ureq::post(address).header("authorization", owner).send(event.to_string()).unwrap();
    let failed = answer.headers().contains_key("x-amz-function-error");
    let body: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
    if failed { Err(body["errorMessage"].as_str().unwrap().to_owned()) } else { Ok(()) }
}

fn queue_url(sqs: &aws_sdk_sqs::Client, queue: &str) -> String {
    block_on(sqs.get_queue_url().queue_name(name(queue)).send()).unwrap().queue_url().unwrap().to_owned()
}

/// Puts a message into a queue, past the topic that usually feeds it.
pub(crate) fn send_message(queue: &str, body: &str) {
    let sqs = aws_sdk_sqs::Client::new(&config());
    let url = queue_url(&sqs, queue);
    block_on(sqs.send_message().queue_url(url).message_body(body).send()).unwrap();
}

/// Takes what is in a queue now out of it.
pub(crate) fn receive_messages(queue: &str) -> Vec<String> {
    let sqs = aws_sdk_sqs::Client::new(&config());
    let url = queue_url(&sqs, queue);
    let received = block_on(sqs.receive_message().queue_url(&url).max_number_of_messages(10).send()).unwrap();
    for message in received.messages() {
        let handle = message.receipt_handle().unwrap();
        block_on(sqs.delete_message().queue_url(&url).receipt_handle(handle).send()).unwrap();
    }
    received.messages().iter().map(|message| message.body().unwrap().to_owned()).collect()
}

/// How many messages a queue holds: waiting, delayed, and with somebody.
pub(crate) fn messages_in(queue: &str) -> usize {
    let sqs = aws_sdk_sqs::Client::new(&config());
    let counts = [
        QueueAttributeName::ApproximateNumberOfMessages,
        QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
    ];
    let url = queue_url(&sqs, queue);
    let request = sqs.get_queue_attributes().queue_url(url).set_attribute_names(Some(counts.to_vec()));
    let attributes = block_on(request.send()).unwrap().attributes.unwrap();
    counts.iter().map(|count| attributes[count].parse::<usize>().unwrap()).sum()
}

pub(crate) fn put_row(table: &str, row: HashMap<String, AttributeValue>) {
    let dynamodb = aws_sdk_dynamodb::Client::new(&config());
    block_on(dynamodb.put_item().table_name(name(table)).set_item(Some(row)).send()).unwrap();
}

/// Every attribute of every row of a table, as one text.
pub(crate) fn everything_in(table: &str) -> String {
    format!("{:?}", rows_of(table))
}

/// The keys of all rows of a table.
pub(crate) fn keys_in(table: &str) -> HashSet<String> {
    let key = format!("{}_id", table.trim_end_matches('s'));
    rows_of(table).into_iter().map(|mut row| format!("{:?}", row.remove(&key))).collect()
}

fn rows_of(table: &str) -> Vec<HashMap<String, AttributeValue>> {
    let dynamodb = aws_sdk_dynamodb::Client::new(&config());
    let scan = dynamodb.scan().table_name(name(table)).into_paginator().items().send();
    block_on(scan.collect::<Result<Vec<_>, _>>()).unwrap()
}

/// One version of an object, as it is kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) key: String,
    pub(crate) id: String,
    pub(crate) is_deletion_marker: bool,
}

/// The name of a bucket in the deployed environment.
pub(crate) fn bucket(of: &str) -> String {
    format!("{}-000000000000", name(of))
}

/// All versions and deletion markers of the objects whose keys begin like this.
pub(crate) fn versions(bucket: &str, prefix: &str) -> Vec<Version> {
    let listing = block_on(s3().list_object_versions().bucket(bucket).prefix(prefix).send()).unwrap();
    assert_ne!(listing.is_truncated(), Some(true), "more versions than one answer holds");
    let kept = listing.versions().iter().map(|version| (version.key(), version.version_id(), false));
    let deleted = listing.delete_markers().iter().map(|marker| (marker.key(), marker.version_id(), true));
    let version = |(key, id, is_deletion_marker): (Option<&str>, Option<&str>, bool)| Version {
        key: key.unwrap().to_owned(),
        id: id.unwrap().to_owned(),
        is_deletion_marker,
    };
    kept.chain(deleted).map(version).collect()
}

/// Stores an object as the account's owner may, past the presigned addresses.
pub(crate) fn put_object(bucket: &str, key: &str, body: &[u8]) {
    let body = body.to_vec().into();
    block_on(s3().put_object().bucket(bucket).key(key).body(body).send()).unwrap();
}

/// A version of an object, if it is still there: its bytes, and everything that is said about them.
pub(crate) fn object(bucket: &str, version: &Version) -> Option<(Vec<u8>, String)> {
    let request = s3().get_object().bucket(bucket).key(&version.key).version_id(&version.id);
    let object = block_on(request.send()).ok()?;
    let about = format!("{object:?}");
    Some((block_on(object.body.collect()).ok()?.to_vec(), about))
}

/// Path-style addresses: the name of a bucket is no host on this machine.
fn s3() -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::config::Builder::from(&config()).force_path_style(true).build();
    aws_sdk_s3::Client::from_conf(config)
}

/// A queue that gives a message again soon after a failure. It gets its own time back when this is dropped.
#[must_use]
pub(crate) struct Hurried {
    url: String,
    seconds: String,
}

/// Shortens the time for which a queue hides a message that is being handled.
pub(crate) fn hurry(queue: &str) -> Hurried {
    let sqs = aws_sdk_sqs::Client::new(&config());
    let url = queue_url(&sqs, queue);
    let name = QueueAttributeName::VisibilityTimeout;
    let request = sqs.get_queue_attributes().queue_url(&url).attribute_names(name.clone());
    let seconds = block_on(request.send()).unwrap().attributes.unwrap().remove(&name).unwrap();
    let hurried = Hurried { url, seconds };
    hurried.hide_for("2");
    hurried
}

impl Hurried {
    fn hide_for(&self, seconds: &str) {
        let request = aws_sdk_sqs::Client::new(&config()).set_queue_attributes().queue_url(&self.url);
        let request = request.attributes(QueueAttributeName::VisibilityTimeout, seconds);
        block_on(request.send()).unwrap();
    }
}

impl Drop for Hurried {
    fn drop(&mut self) {
        self.hide_for(&self.seconds);
    }
}

/// A queue that nothing is received from until this is dropped.
#[must_use]
pub(crate) struct Paused {
    mapping: String,
    _turn: MutexGuard<'static, ()>,
}

/// Stops what takes messages out of a queue, so that some may gather.
pub(crate) fn pause(queue: &str) -> Paused {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mappings = call("GET", "lambda", "/2015-03-31/event-source-mappings/", None, &Value::Null);
    let source = format!(":{}", name(queue));
    let mapping = mappings["EventSourceMappings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|mapping| mapping["EventSourceArn"].as_str().unwrap().ends_with(&source))
        .unwrap_or_else(|| panic!("nothing reads {queue}"));
    let paused = Paused { mapping: mapping["UUID"].as_str().unwrap().to_owned(), _turn: turn };
    paused.set(false);
    paused
}

impl Paused {
    fn set(&self, is_enabled: bool) {
        let path = format!("/2015-03-31/event-source-mappings/{}", self.mapping);
        call("PUT", "lambda", &path, None, &json!({ "Enabled": is_enabled }));
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        self.set(true);
    }
}

/// All messages of all queues.
pub(crate) fn everything_in_queues() -> String {
    kept_messages("").to_string()
}

/// All messages of a queue.
pub(crate) fn everything_in_queue(queue: &str) -> String {
    let url = queue_url(&aws_sdk_sqs::Client::new(&config()), queue);
    kept_messages(&format!("?QueueUrl={url}")).to_string()
}

/// Messages of queues, also those that somebody has received and not yet deleted. Receiving them would count as an
/// attempt; this is the local cloud's own way of looking.
fn kept_messages(query: &str) -> Value {
    call("GET", "sqs", &format!("/_ministack/sqs/messages{query}"), None, &Value::Null)
}

/// All lines of all logs since a moment.
pub(crate) fn everything_logged(since: Timestamp) -> String {
    let logs = |operation: &str, input: &Value| {
        call("POST", "logs", "/", Some(&format!("Logs_20140328.{operation}")), input)
    };
    let mut lines = String::new();
    for group in logs("DescribeLogGroups", &json!({}))["logGroups"].as_array().unwrap() {
        let mut input = json!({ "logGroupName": group["logGroupName"], "startTime": since.as_millis() });
        loop {
            let page = logs("FilterLogEvents", &input);
            for event in page["events"].as_array().unwrap() {
                lines += event["message"].as_str().unwrap();
                lines.push('\n');
            }
            let Some(next) = page["nextToken"].as_str() else { break };
            input["nextToken"] = next.into();
        }
    }
    lines
}

/// What the SDKs that are here can't ask for. As they do, it asks again after an error that is not its own.
fn call(method: &str, service: &str, path: &str, operation: Option<&str>, body: &Value) -> Value {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
    let agent: ureq::Agent = config.build().into();
    let mut answer = eventually(&format!("{method} {path} {operation:?}"), || {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(variable("SHOP_CLOUD_URL") + path)
            .header(
                "authorization",
                format!("{OWNER}{service}/aws4_request, SignedHeaders=host, Signature=none"),
            )
            .header("content-type", "application/x-amz-json-1.1");
        if let Some(operation) = operation {
            request = request.header("x-amz-target", operation);
        }
        let answer = if body.is_null() {
            agent.run(request.body(()).unwrap())
        } else {
            agent.run(request.body(body.to_string()).unwrap())
        };
        Some(answer.unwrap()).filter(|answer| !answer.status().is_server_error())
    });
    let text = answer.body_mut().with_config().limit(u64::MAX).read_to_string().unwrap();
    assert!(answer.status().is_success(), "{method} {path} {operation:?}: {text}");
    serde_json::from_str(&text).unwrap()
}
