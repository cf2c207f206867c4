use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use serde::Deserialize;
use serde_json::Value;

/// What the function says of a record that it set aside.
const REASON: &str = "reason";
/// What SNS says of a message that it could not deliver. They would mislead whoever gets it in the end.
const OF_DELIVERY: [&str; 3] = ["ErrorCode", "ErrorMessage", "RequestID"];
/// Attributes whose value nobody may see: their names contain one of these.
const SECRET: [&str; 6] = ["password", "hash", "secret", "token", "credential", "session"];
const NOT_SHOWN: &str = "(not shown)";
/// Characters that are shown of a word of a message …
const WORD: usize = 256;
/// … and of a reason.
const SENTENCES: usize = 2048;

/// A message of a dead-letter queue.
#[derive(Debug, Clone)]
pub struct Letter {
    message: Message,
    content: Content,
    reason: Option<String>,
}

/// What a dead letter is, as far as anybody may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// An event of another service, or of the service's own.
    Event {
        /// Its type.
        event_type: String,
        /// Whom or what it is about.
        subject: String,
    },
    /// What a bucket says of files.
    Files {
        /// Their keys.
        keys: Vec<String>,
    },
    /// A change of a table, whole.
    Record(Record),
    /// Changes of a table that are still in its stream.
    Pointer(Pointer),
    /// Nothing that the shop knows.
    Unknown,
}

/// A change of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The id of the change, and of its event.
    pub event_id: String,
    /// `INSERT`, `MODIFY` or `REMOVE`.
    pub event_name: String,
    /// The key of the row.
    pub key: String,
}

/// Where changes of a table are in its stream.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pointer {
    /// The stream.
    pub stream_arn: String,
    /// The part of the stream.
    pub shard_id: String,
    /// The first of them.
    pub start_sequence_number: String,
    /// The last of them.
    pub end_sequence_number: String,
    /// How many there are.
    pub batch_size: u64,
    /// When the first was written. The stream keeps it for a day.
    pub approximate_arrival_of_first_record: String,
    /// Why Lambda gave up.
    #[serde(skip)]
    pub condition: String,
    /// How often Lambda tried.
    #[serde(skip)]
    pub invocations: u64,
}

impl Letter {
    pub(super) fn new(message: Message) -> Self {
        let content = Content::read(message.body().unwrap_or_default());
        let mut letter = Self { message, content, reason: None };
        let reason = match &letter.content {
            Content::Pointer(Pointer { condition, invocations, .. }) => {
                Some(format!("{condition} after some {invocations} attempts"))
            }
            _ => letter.attribute(REASON).map(str::to_owned).or_else(|| {
                let (code, message) = (letter.attribute("ErrorCode")?, letter.attribute("ErrorMessage")?);
                Some(format!("SNS could not deliver it: {code}: {message}"))
            }),
        };
        if let Some(reason) = reason {
            letter.explain(&reason);
        }
        letter
    }

    /// Says why it could not be handled. What says so may quote the message.
    pub(super) fn explain(&mut self, reason: &str) {
        self.reason = Some(printable(reason, SENTENCES));
    }

    /// The message's id.
    pub fn id(&self) -> &str {
        self.message.message_id().unwrap_or_default()
    }

    /// When it was first sent. It keeps that when it becomes a dead letter.
    pub fn sent(&self) -> SystemTime {
        let millis = self.system_attribute(&MessageSystemAttributeName::SentTimestamp);
        UNIX_EPOCH + Duration::from_millis(millis.and_then(|millis| millis.parse().ok()).unwrap_or_default())
    }

    /// How often it has been received, looking at it among that.
    pub fn receives(&self) -> u32 {
        let count = self.system_attribute(&MessageSystemAttributeName::ApproximateReceiveCount);
        count.and_then(|count| count.parse().ok()).unwrap_or_default()
    }

    /// What it is.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Why it could not be handled, if that is known.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// All of it. It may hold personal data, and of a user's row the password's hash: not to be printed.
    pub fn body(&self) -> &str {
        self.message.body().unwrap_or_default()
    }

    /// All of it but what nobody may see, and still with personal data.
    pub fn printable_body(&self) -> String {
        match serde_json::from_str(self.body()) {
            Ok(mut body) => {
                hide_secrets(&mut body);
                format!("{body:#}")
            }
            Err(_) => printable(self.body(), WORD),
        }
    }

    pub(super) fn message(&self) -> &Message {
        &self.message
    }

    pub(super) fn receipt_handle(&self) -> &str {
        self.message.receipt_handle().unwrap_or_default()
    }

    /// The attributes that belong to the message itself.
    pub(super) fn own_attributes(&self) -> Vec<(String, aws_sdk_sqs::types::MessageAttributeValue)> {
        let attributes = self.message.message_attributes().into_iter().flatten();
        let own = attributes.filter(|(name, _)| !OF_DELIVERY.contains(&name.as_str()));
        own.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.message.message_attributes()?.get(name)?.string_value()
    }

    fn system_attribute(&self, name: &MessageSystemAttributeName) -> Option<&str> {
        self.message.attributes()?.get(name).map(String::as_str)
    }
}

impl Content {
    fn read(body: &str) -> Self {
        let Ok(body) = serde_json::from_str::<Value>(body) else { return Self::Unknown };
        let text = |value: &Value| printable(value.as_str().unwrap_or("?"), WORD);
        if let Ok(mut pointer) = Pointer::deserialize(&body["DDBStreamBatchInfo"]) {
            pointer.condition = text(&body["requestContext"]["condition"]);
            pointer.invocations =
                body["requestContext"]["approximateInvokeCount"].as_u64().unwrap_or_default();
            return Self::Pointer(pointer);
        }
        if body["dynamodb"].is_object() {
            return Self::Record(Record {
                event_id: text(&body["eventID"]),
                event_name: text(&body["eventName"]),
                key: key(&body["dynamodb"]["Keys"]),
            });
        }
        if !body["specversion"].is_null() {
            return Self::Event { event_type: text(&body["type"]), subject: text(&body["subject"]) };
        }
        match body["Records"].as_array() {
            Some(files) if files.iter().all(|file| file["s3"].is_object()) => {
                Self::Files { keys: files.iter().map(|file| text(&file["s3"]["object"]["key"])).collect() }
            }
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { event_type, subject } => write!(f, "{event_type} of {subject}"),
            Self::Files { keys } => write!(f, "file {}", keys.join(", ")),
            Self::Record(Record { event_id, event_name, key }) => {
                write!(f, "{event_name} of row {key} (event {event_id})")
            }
            Self::Pointer(pointer) => {
                let said = format!(
                    "{} records of {} from {} to {}, written at {}",
                    pointer.batch_size,
                    pointer.shard_id,
                    pointer.start_sequence_number,
                    pointer.end_sequence_number,
                    pointer.approximate_arrival_of_first_record
                );
                f.write_str(&printable(&said, SENTENCES))
            }
            Self::Unknown => f.write_str("neither an event nor a file nor a change"),
        }
    }
}

/// The values of a row's key. Those of claims are addresses of people.
fn key(keys: &Value) -> String {
    let values = keys.as_object().into_iter().flatten().filter_map(|(_, value)| value["S"].as_str());
    values
        .map(|value| if value.contains('@') { NOT_SHOWN.to_owned() } else { printable(value, WORD) })
        .collect()
}

/// A text of a message on one line, and not too long: anybody may have sent it.
fn printable(text: &str, length: usize) -> String {
    if text.contains("$argon2") {
        return NOT_SHOWN.to_owned();
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(length).collect()
}

/// Takes out what is called like a secret, and what looks like a password's hash.
fn hide_secrets(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let name = name.to_lowercase();
                if SECRET.iter().any(|secret| name.contains(secret)) {
                    *member = NOT_SHOWN.into();
                } else {
                    hide_secrets(member);
                }
            }
        }
        Value::Array(members) => members.iter_mut().for_each(hide_secrets),
        Value::String(text) if text.contains("$argon2") => *text = NOT_SHOWN.to_owned(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::types::MessageAttributeValue;
    use serde_json::json;

    use super::*;

    fn letter(body: &Value) -> Letter {
        Letter::new(Message::builder().message_id("m").body(body.to_string()).build())
    }

    #[test]
    fn each_kind_says_what_it_is() {
        let event = json!({ "specversion": "1.0", "type": "order_placed", "subject": "o-1", "data": {} });
        assert_eq!(letter(&event).content().to_string(), "order_placed of o-1");
        let files = json!({ "Records": [{ "s3": { "object": { "key": "avatars/u/1" } } }] });
        assert_eq!(letter(&files).content().to_string(), "file avatars/u/1");
        let record = json!({
            "eventID": "e-1", "eventName": "INSERT", "dynamodb": { "Keys": { "user_id": { "S": "u-1" } } },
        });
        assert_eq!(letter(&record).content().to_string(), "INSERT of row u-1 (event e-1)");
        assert_eq!(letter(&json!([])).content(), &Content::Unknown);
    }

    #[test]
    fn what_lambda_gave_up_says_why_and_where() {
        let letter = letter(&json!({
            "requestContext": { "condition": "MaxRecordAgeExceeded", "approximateInvokeCount": 7 },
            "DDBStreamBatchInfo": {
                "shardId": "shard", "startSequenceNumber": "1", "endSequenceNumber": "3", "batchSize": 3,
                "approximateArrivalOfFirstRecord": "2026-01-02T03:04:05Z", "streamArn": "arn",
            },
        }));
        assert_eq!(letter.reason(), Some("MaxRecordAgeExceeded after some 7 attempts"));
        let said = "3 records of shard from 1 to 3, written at 2026-01-02T03:04:05Z";
        assert_eq!(letter.content().to_string(), said);
    }

    #[test]
    fn a_reason_is_the_functions_or_that_of_sns() {
        let text =
            |value: &str| MessageAttributeValue::builder().data_type("String").string_value(value).build();
        let with = |attributes: &[(&str, &str)]| {
            let mut message = Message::builder().body("{}");
            for (name, value) in attributes {
                message = message.message_attributes(*name, text(value).unwrap());
            }
            Letter::new(message.build())
        };
        assert_eq!(with(&[("reason", "odd")]).reason(), Some("odd"));
        let quoted = with(&[("reason", "odd: \u{1b}[2J\r\nall is well")]);
        assert_eq!(quoted.reason(), Some("odd:  [2J  all is well"), "it does not write on the terminal");
        let undelivered = with(&[("ErrorCode", "403"), ("ErrorMessage", "no"), ("event_type", "x")]);
        assert_eq!(undelivered.reason(), Some("SNS could not deliver it: 403: no"));
        let own: Vec<_> = undelivered.own_attributes().into_iter().map(|(name, _)| name).collect();
        assert_eq!(own, ["event_type"]);
    }

    #[test]
    fn neither_hashes_nor_tokens_are_printed() {
        let hash = "$argon2id$v=19$m=19456$c2FsdA$aGFzaA";
        let row = json!({
            "eventID": "e", "eventName": hash,
            "dynamodb": {
                "Keys": { "user_id": { "S": "email#me@shop.example" } },
                "NewImage": {
                    "password_hash": { "S": hash }, "renamed": { "S": hash }, "refresh_token": { "S": "abc123" },
                    "name": { "S": "Me" },
                },
            },
        });
        let letter = letter(&row);
        let body = letter.printable_body();
        assert!(!body.contains("argon2") && !body.contains("abc123"), "{body}");
        assert!(body.contains("Me"), "{body}");
        let said = letter.content().to_string();
        assert!(!said.contains("argon2") && !said.contains('@'), "{said}");
        assert_eq!(Letter::new(Message::builder().body(hash).build()).printable_body(), NOT_SHOWN);
    }
}
