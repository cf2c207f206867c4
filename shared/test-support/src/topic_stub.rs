use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::loopback::{listen, runtime};

/// Stands in for SNS topics and SQS queues where a test needs faults that the local cloud can't produce:
/// failed calls, batches that are taken in part, slow answers. It takes what it is sent and delivers nothing.
///
/// Speaks SNS `Publish` and `PublishBatch`, SQS `SendMessage` and `ChangeMessageVisibility`.
pub struct TopicStub {
    endpoint: String,
    state: Shared,
    server: JoinHandle<()>,
}

/// A message that a topic took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The topic.
    pub topic_arn: String,
    /// The entry's id within its batch; empty when it was published alone.
    pub id: String,
    /// The message.
    pub message: String,
    /// The attribute that subscriptions filter by.
    pub event_type: Option<String>,
}

/// A message that a queue took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The queue.
    pub queue_url: String,
    /// The message.
    pub body: String,
    /// Its text attributes.
    pub attributes: HashMap<String, String>,
}

/// A message whose visibility timeout was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retried {
    /// The queue.
    pub queue_url: String,
    /// The message's receipt handle.
    pub receipt_handle: String,
    /// The new visibility timeout in seconds.
    pub seconds: u64,
}

type Shared = Arc<Mutex<Book>>;

/// What happened, and what is to happen.
#[derive(Default)]
struct Book {
    published: Vec<Published>,
    sent: Vec<Sent>,
    retried: Vec<Retried>,
    calls: usize,
    failing_calls: usize,
    delays: (usize, Duration),
    entry_fault: Option<EntryFault>,
}

struct EntryFault {
    times: usize,
    concerns: Box<dyn Fn(&str) -> bool + Send>,
    sender_fault: bool,
}

impl TopicStub {
    /// Starts on a free loopback port and stops when dropped.
    pub fn start() -> Self {
        let state = Shared::default();
        let (listener, endpoint) = listen();
        let router = Router::new().fallback(answer).with_state(state.clone());
        let server = runtime().spawn(async move {
            // An accept loop on loopback ends with the task only.
            axum::serve(listener, router).await.expect("the stub serves");
        });
        Self { endpoint, state, server }
    }

    /// Where to reach it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Configuration for clients of it.
    pub fn sdk_config(&self) -> aws_types::SdkConfig {
        crate::sdk_config(&self.endpoint)
    }

    /// What topics took so far, in order.
    pub fn published(&self) -> Vec<Published> {
        self.book().published.clone()
    }

    /// What queues took so far, in order.
    pub fn sent(&self) -> Vec<Sent> {
        self.book().sent.clone()
    }

    /// The messages that were to come back at another time, in order.
    pub fn retried(&self) -> Vec<Retried> {
        self.book().retried.clone()
    }

    /// How many calls came in, failed ones too.
    pub fn calls(&self) -> usize {
        self.book().calls
    }

    /// Answers the next `calls` with an internal error. The SDK makes three tries: it takes three to fail one
    /// operation.
    pub fn fail_calls(&self, calls: usize) {
        self.book().failing_calls = calls;
    }

    /// Answers the next `calls` late.
    pub fn delay_calls(&self, calls: usize, delay: Duration) {
        self.book().delays = (calls, delay);
    }

    /// Refuses the next `times` entries of batches whose message meets the predicate, as the sender's fault
    /// (never worth repeating) or the topic's.
    pub fn fail_entries(
        &self,
        times: usize,
        concerns: impl Fn(&str) -> bool + Send + 'static,
        sender_fault: bool,
    ) {
        self.book().entry_fault = Some(EntryFault { times, concerns: Box::new(concerns), sender_fault });
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.state)
    }
}

impl fmt::Debug for TopicStub {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TopicStub").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Drop for TopicStub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(state: &Shared) -> MutexGuard<'_, Book> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(state): State<Shared>, headers: HeaderMap, body: String) -> Response {
    let (delay, fails) = lock(&state).next_call();
    if let Some(delay) = delay {
        tokio::time::sleep(delay).await;
    }
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    match (fails, target) {
        (true, Some(_)) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        (true, None) => (StatusCode::INTERNAL_SERVER_ERROR, xml(ERROR)).into_response(),
        (false, Some(target)) => lock(&state).queue_call(target, &body),
        (false, None) => lock(&state).topic_call(&body),
    }
}

const ERROR: &str = "<ErrorResponse><Error><Type>Receiver</Type><Code>InternalError</Code>\
    <Message>told to fail</Message></Error><RequestId>stub</RequestId></ErrorResponse>";

impl Book {
    fn next_call(&mut self) -> (Option<Duration>, bool) {
        self.calls += 1;
        let delay = take_one(&mut self.delays.0).then_some(self.delays.1);
        (delay, take_one(&mut self.failing_calls))
    }

    /// SQS: JSON, the operation in a header.
    fn queue_call(&mut self, target: &str, body: &str) -> Response {
        let request: Value = serde_json::from_str(body).unwrap_or_default();
        let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
        let answer = match target {
            "AmazonSQS.SendMessage" => {
                let attributes = request["MessageAttributes"].as_object().into_iter().flatten();
                let text_of = |value: &Value| value["StringValue"].as_str().unwrap_or_default().to_owned();
                let texts = attributes.clone().map(|(_, value)| text_of(value)).chain([text("MessageBody")]);
                if !texts.flat_map(|text| text.chars().collect::<Vec<_>>()).all(is_in_xml) {
                    let error = json!({"__type": "com.amazonaws.sqs#InvalidMessageContents"});
                    return (StatusCode::BAD_REQUEST, error.to_string()).into_response();
                }
                self.sent.push(Sent {
                    queue_url: text("QueueUrl"),
                    body: text("MessageBody"),
                    attributes: attributes.map(|(name, value)| (name.clone(), text_of(value))).collect(),
                });
                json!({"MessageId": format!("message-{}", self.sent.len()), "MD5OfMessageBody": ""})
            }
            "AmazonSQS.ChangeMessageVisibility" => {
                self.retried.push(Retried {
                    queue_url: text("QueueUrl"),
                    receipt_handle: text("ReceiptHandle"),
                    seconds: request["VisibilityTimeout"].as_u64().unwrap_or_default(),
                });
                json!({})
            }
            other => return (StatusCode::BAD_REQUEST, format!("the stub has no {other}")).into_response(),
        };
        ([(header::CONTENT_TYPE, "application/x-amz-json-1.0")], answer.to_string()).into_response()
    }

    /// SNS: a form, answered in XML.
    fn topic_call(&mut self, body: &str) -> Response {
        let form: HashMap<String, String> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        match form.get("Action").map(String::as_str) {
            Some("Publish") => {
                self.published.push(published(&form, ""));
                xml("<PublishResponse><PublishResult><MessageId>stub</MessageId></PublishResult>\
                    <ResponseMetadata><RequestId>stub</RequestId></ResponseMetadata></PublishResponse>")
                .into_response()
            }
            Some("PublishBatch") => xml(&self.publish_batch(&form)).into_response(),
            other => (StatusCode::BAD_REQUEST, format!("the stub has no {other:?}")).into_response(),
        }
    }

    fn publish_batch(&mut self, form: &HashMap<String, String>) -> String {
        let (mut successful, mut failed) = (String::new(), String::new());
        for number in 1.. {
            let prefix = format!("PublishBatchRequestEntries.member.{number}.");
            if !form.contains_key(&format!("{prefix}Id")) {
                break;
            }
            let entry = published(form, &prefix);
            let id = escaped(&entry.id);
            // Writing to a String does not fail.
            let _ = match self.refuses(&entry.message) {
                Some(sender_fault) => write!(
                    failed,
                    "<member><Id>{id}</Id><Code>{}</Code><Message>told to fail</Message>\
                     <SenderFault>{sender_fault}</SenderFault></member>",
                    if sender_fault { "InvalidParameter" } else { "InternalError" },
                ),
                None => {
                    self.published.push(entry);
                    write!(successful, "<member><Id>{id}</Id><MessageId>stub</MessageId></member>")
                }
            };
        }
        format!(
            "<PublishBatchResponse><PublishBatchResult><Successful>{successful}</Successful>\
             <Failed>{failed}</Failed></PublishBatchResult><ResponseMetadata><RequestId>stub</RequestId>\
             </ResponseMetadata></PublishBatchResponse>"
        )
    }

    /// Whether a message is refused, and if so whether that is the sender's fault.
    fn refuses(&mut self, message: &str) -> Option<bool> {
        let fault = self.entry_fault.as_mut().filter(|fault| (fault.concerns)(message))?;
        take_one(&mut fault.times).then_some(fault.sender_fault)
    }
}

/// SQS takes no message with other characters.
fn is_in_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Counts down; true as long as there was something left.
fn take_one(left: &mut usize) -> bool {
    let any = *left > 0;
    *left -= usize::from(any);
    any
}

fn published(form: &HashMap<String, String>, prefix: &str) -> Published {
    let field = |name: &str| form.get(&format!("{prefix}{name}")).cloned();
    let mut attributes = (1..).map_while(|number| {
        let entry = format!("MessageAttributes.entry.{number}.");
        Some((field(&format!("{entry}Name"))?, field(&format!("{entry}Value.StringValue"))))
    });
    Published {
        topic_arn: form.get("TopicArn").cloned().unwrap_or_default(),
        id: field("Id").unwrap_or_default(),
        message: field("Message").unwrap_or_default(),
        event_type: attributes.find(|(name, _)| name == "event_type").and_then(|(_, value)| value),
    }
}

fn xml(body: &str) -> impl IntoResponse + use<> {
    ([(header::CONTENT_TYPE, "text/xml")], body.to_owned())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
