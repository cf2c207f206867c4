//! The cloud behind the API: what only an operator sees.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    sync::OnceLock,
};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;
use tokio::runtime::Runtime;

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
    let client = aws_sdk_secretsmanager::Client::new(&config());
    let secret = block_on(client.get_secret_value().secret_id(secret_id()).send()).unwrap();
    let secret: Value = serde_json::from_str(secret.secret_string().unwrap()).unwrap();
    secret["api_key"].as_str().unwrap().to_owned()
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
