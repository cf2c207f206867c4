//! The process that stands for AWS: DynamoDB in memory, and fixed answers for everything else.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    io::{self, BufRead, Read, Write},
    mem,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use dynoxide::{
    Database, DynoxideError, ImportOptions, actions::transact_write_items::TransactWriteItemsRequest,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use yaml_serde::Value as Yaml;

use super::{
    API_KEY, Access, CACHE_TOKEN, Command, JWT_SECRET, TABLES,
    contention::{Contention, refusal},
};
use crate::{
    clock::{Nanos, now},
    http1::{Connection, Message},
};

/// How many first contacts are remembered: more than one function ever makes at its start.
const CONTACTS: usize = 256;

/// All that the connections share.
struct Aws {
    database: Database,
    latency: AtomicU64,
    contention: Contention,
    secret: Mutex<BTreeMap<String, String>>,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    contacts: VecDeque<Nanos>,
    calls: BTreeMap<String, u64>,
    /// Calls that are being answered, and since when there are any.
    open: usize,
    open_since: Nanos,
    busy: Nanos,
    /// Receipt handles of messages, and in how many seconds they come again.
    postponed: BTreeMap<String, u64>,
}

/// Serves until the input ends. The first line of output tells where, as JSON; after that each line of input is a
/// command, and gets one line as its answer.
pub fn serve(template: &Path) -> Result<()> {
    let aws = Arc::new(Aws::new(template)?);
    let (tls, authority) = certificate()?;
    let tls = Arc::new(tls);
    let http = listen(&aws, Ok)?;
    let https = listen(&aws, move |stream| {
        let connection = ServerConnection::new(Arc::clone(&tls)).map_err(io::Error::other)?;
        Ok(StreamOwned::new(connection, stream))
    })?;

    let mut output = io::stdout().lock();
    let access = Access { http, https, authority };
    writeln!(output, "{}", serde_json::to_string(&access)?)?;
    output.flush()?;
    for line in io::stdin().lock().lines() {
        let answer = aws.obey(serde_json::from_str(&line?)?)?;
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

/// The `CreateTable` request of a table of the template. CloudFormation names its parts as DynamoDB does. There is no
/// stream: nobody would read it.
fn definition(template: &Yaml, name: &str, resource: &str) -> Result<Value> {
    let table = &template["Resources"][resource];
    ensure!(table["Type"] == "AWS::DynamoDB::Table", "the template has no table {resource}");
    let part = |part: &str| serde_json::to_value(&table["Properties"][part]);
    Ok(json!({
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": part("AttributeDefinitions")?,
        "KeySchema": part("KeySchema")?,
        "GlobalSecondaryIndexes": part("GlobalSecondaryIndexes")?,
    }))
}

/// A certificate for this machine, and in PEM the authority that vouches for it.
fn certificate() -> Result<(ServerConfig, String)> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate()?;
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate()?;
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let certificate = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    Ok((config, authority_certificate.pem()))
}

/// Serves on a free port, each connection in a thread of its own, and tells which port it is.
fn listen<S: Read + Write>(
    aws: &Arc<Aws>,
    wrap: impl Fn(TcpStream) -> io::Result<S> + Clone + Send + 'static,
) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    let port = listener.local_addr()?.port();
    let aws = Arc::clone(aws);
    thread::spawn(move || {
        for stream in listener.incoming() {
            aws.note_contact(now());
            let (aws, wrap) = (Arc::clone(&aws), wrap.clone());
            // A connection ends in whatever way its function does, which is no concern of the others.
            thread::spawn(move || {
                let stream = stream?;
                stream.set_nodelay(true)?;
                aws.serve(wrap(stream)?)
            });
        }
    });
    Ok(port)
}

impl Aws {
    /// With the template's tables, all of them empty.
    fn new(template: &Path) -> Result<Self> {
        let database = Database::memory()?;
        let text =
            fs::read_to_string(template).with_context(|| format!("can't read {}", template.display()))?;
        let yaml: Yaml = yaml_serde::from_str(&text).context("the template is no YAML")?;
        for (table, resource, _) in TABLES {
            let request = serde_json::from_value(definition(&yaml, table, resource)?)?;
            database.create_table(request).with_context(|| format!("can't make the table {table}"))?;
        }
        let secret = [("api_key", API_KEY), ("auth_token", CACHE_TOKEN), ("jwt_secret", JWT_SECRET)];
        let secret = secret.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Ok(Self {
            database,
            latency: AtomicU64::default(),
            contention: Contention::default(),
            secret: Mutex::new(secret),
            book: Mutex::default(),
        })
    }

    fn serve(&self, stream: impl Read + Write) -> io::Result<()> {
        let mut connection = Connection::new(stream);
        while let Some(request) = connection.read()? {
            let latency = self.latency.load(Ordering::Relaxed);
            if latency > 0 {
                thread::sleep(Duration::from_nanos(latency));
            }
            self.open();
            let answer = self.answer(&request);
            self.close();
            connection.write(&answer.head(), answer.body.as_bytes())?;
        }
        Ok(())
    }

    fn obey(&self, command: Command) -> Result<Value> {
        Ok(match command {
            Command::FirstContactSince(moment) => {
                json!(self.book().contacts.iter().find(|contact| **contact >= moment))
            }
            Command::Calls => json!(self.book().calls),
            Command::Busy => json!(self.book().busy),
            Command::Fill(filling, numbers) => {
                let rows = filling.rows(numbers)?;
                self.database.import_items(&filling.table, rows, ImportOptions::default())?;
                Value::Null
            }
            Command::Latency(latency) => {
                self.latency.store(latency, Ordering::Relaxed);
                Value::Null
            }
            Command::Contention(kept) => {
                self.contention.set(kept);
                Value::Null
            }
            Command::Secret(members) => {
                self.secret().extend(members);
                Value::Null
            }
            Command::Postponed => json!(mem::take(&mut self.book().postponed)),
        })
    }

    fn answer(&self, request: &Message) -> Answer {
        let body = str::from_utf8(&request.body).unwrap_or_default();
        let Some(target) = request.header("x-amz-target") else {
            let is_listing = request.start.starts_with("GET ");
            return if is_listing { self.no_objects() } else { self.publish(body) };
        };
        let (service, operation) = target.split_once('.').unwrap_or_default();
        self.count(operation, 1);
        match service {
            "DynamoDB_20120810" => self.dynamodb(operation, body),
            "secretsmanager" => secret(&self.secret(), body),
            "AmazonSQS" if operation == "ChangeMessageVisibility" => self.postpone(body),
            // What else queues are asked for is to keep what no function can do: whoever does, fails.
            _ => Answer::refusal(&format!("nobody here answers {target}")),
        }
    }

    fn dynamodb(&self, operation: &str, body: &str) -> Answer {
        let database = &self.database;
        let outcome = match operation {
            "BatchGetItem" => perform(body, |request| database.batch_get_item(request)),
            "BatchWriteItem" => perform(body, |request| database.batch_write_item(request)),
            "DeleteItem" => perform(body, |request| database.delete_item(request)),
            "GetItem" => perform(body, |request| database.get_item(request)),
            "PutItem" => perform(body, |request| database.put_item(request)),
            "Query" => perform(body, |request| database.query(request)),
            "TransactWriteItems" => return self.transact(body),
            "UpdateItem" => perform(body, |request| database.update_item(request)),
            _ => return Answer::refusal(&format!("no function may call {operation}")),
        };
        Answer::of(outcome)
    }

    fn transact(&self, body: &str) -> Answer {
        let _kept = match self.contention.take(&serde_json::from_str(body).unwrap_or_default()) {
            Ok(kept) => kept,
            Err(codes) => {
                let kinds = ["ThrottlingError", "TransactionConflict"];
                kinds.into_iter().filter(|kind| codes.contains(kind)).for_each(|kind| self.count(kind, 1));
                return Answer::json(400, refusal(&codes).to_string());
            }
        };
        Answer::of(perform(body, |request: TransactWriteItemsRequest| {
            // The emulator looks through all tokens of the last ten minutes, which DynamoDB does not: each transaction
            // would take longer than the one before. Nothing is repeated here that needs them.
            self.database
                .transact_write_items(TransactWriteItemsRequest { client_request_token: None, ..request })
        }))
    }

    /// SQS `ChangeMessageVisibility`.
    fn postpone(&self, body: &str) -> Answer {
        let request: Value = serde_json::from_str(body).unwrap_or_default();
        let (handle, seconds) = (request["ReceiptHandle"].as_str(), request["VisibilityTimeout"].as_u64());
        let (Some(handle), Some(seconds)) = (handle, seconds) else {
            return Answer::refusal("a message and a time are needed");
        };
        self.book().postponed.insert(handle.to_owned(), seconds);
        Answer::json(200, "{}".to_owned())
    }

    /// S3 `ListObjectVersions` of an empty bucket.
    fn no_objects(&self) -> Answer {
        self.count("ListObjectVersions", 1);
        let body = "<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>".to_owned();
        Answer { status: 200, content_type: "application/xml", body }
    }

    /// SNS `PublishBatch`: takes every entry.
    fn publish(&self, form: &str) -> Answer {
        let entries = (1..)
            .take_while(|number| form.contains(&format!("PublishBatchRequestEntries.member.{number}.Id=")));
        let entries = entries.count();
        if entries == 0 {
            return Answer::refusal("only batches can be published");
        }
        self.count("PublishBatch", 1);
        self.count(super::PUBLISHED, entries.try_into().unwrap_or(u64::MAX));
        // The functions number their entries from 0.
        let taken: String = (0..entries)
            .map(|id| format!("<member><Id>{id}</Id><MessageId>m-{id}</MessageId></member>"))
            .collect();
        let body = format!(
            "<PublishBatchResponse><PublishBatchResult><Successful>{taken}</Successful><Failed/>\
             </PublishBatchResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>\
             </PublishBatchResponse>"
        );
        Answer { status: 200, content_type: "text/xml", body }
    }

    fn note_contact(&self, at: Nanos) {
        let contacts = &mut self.book().contacts;
        if contacts.len() == CONTACTS {
            contacts.pop_front();
        }
        contacts.push_back(at);
    }

    fn open(&self) {
        let mut book = self.book();
        if book.open == 0 {
            book.open_since = now();
        }
        book.open += 1;
    }

    fn close(&self) {
        let mut book = self.book();
        book.open -= 1;
        if book.open == 0 {
            book.busy += now() - book.open_since;
        }
    }

    fn count(&self, what: &str, times: u64) {
        let calls = &mut self.book().calls;
        match calls.get_mut(what) {
            Some(count) => *count += times,
            None => {
                calls.insert(what.to_owned(), times);
            }
        }
    }

    fn secret(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.secret.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Answer {
    status: u16,
    content_type: &'static str,
    body: String,
}

impl Answer {
    fn of(outcome: Result<String, DynoxideError>) -> Self {
        match outcome {
            Ok(body) => Self::json(200, body),
            Err(error) => Self::json(error.status_code(), error.to_json()),
        }
    }

    fn json(status: u16, body: String) -> Self {
        Self { status, content_type: "application/x-amz-json-1.0", body }
    }

    fn refusal(why: &str) -> Self {
        Self::json(400, json!({"__type": "UnknownOperationException", "message": why}).to_string())
    }

    fn head(&self) -> String {
        let Self { status, content_type, .. } = self;
        format!("HTTP/1.1 {status} -\r\ncontent-type: {content_type}\r\nx-amzn-requestid: r\r\n")
    }
}

fn perform<Q: DeserializeOwned, A: Serialize>(
    body: &str,
    operation: impl FnOnce(Q) -> Result<A, DynoxideError>,
) -> Result<String, DynoxideError> {
    let malformed = |error: serde_json::Error| DynoxideError::SerializationException(error.to_string());
    let answer = operation(serde_json::from_str(body).map_err(malformed)?)?;
    serde_json::to_string(&answer).map_err(malformed)
}

/// The secret that all services share. It was never rotated.
fn secret(members: &BTreeMap<String, String>, body: &str) -> Answer {
    let request: Value = serde_json::from_str(body).unwrap_or_default();
    if request["VersionStage"] == "AWSPREVIOUS" {
        let error = json!({"__type": "ResourceNotFoundException", "Message": "no such version"});
        return Answer::json(400, error.to_string());
    }
    // One secret is all of them.
    let secret = json!(members).to_string();
    let id = "0198b2c1-4a10-7c2e-8f31-5b7d9e0a1c02";
    Answer::json(
        200,
        json!({"Name": request["SecretId"], "VersionId": id, "SecretString": secret}).to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ORDERS, PUBLISHED};

    fn aws() -> Aws {
        Aws::new(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml")).unwrap()
    }

    /// Status and body of the answer to a call.
    fn call(aws: &Aws, target: &str, body: &Value) -> (u16, Value) {
        let headers = vec![("x-amz-target".to_owned(), target.to_owned())];
        let request =
            Message { start: "POST / HTTP/1.1".to_owned(), headers, body: body.to_string().into_bytes() };
        let answer = aws.answer(&request);
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    }

    #[test]
    fn rows_are_kept_and_conditions_count() {
        let aws = aws();
        let row = json!({"order_id": {"S": "o"}, "version": {"N": "1"}});
        let put = json!({"TableName": ORDERS, "Item": row, "ConditionExpression": "attribute_not_exists(order_id)"});
        assert_eq!(call(&aws, "DynamoDB_20120810.PutItem", &put).0, 200);
        let (status, error) = call(&aws, "DynamoDB_20120810.PutItem", &put);
        let kind = error["__type"].as_str().unwrap();
        assert!(status == 400 && kind.ends_with("#ConditionalCheckFailedException"), "{error}");
        let get = json!({"TableName": ORDERS, "Key": {"order_id": {"S": "o"}}});
        assert_eq!(call(&aws, "DynamoDB_20120810.GetItem", &get), (200, json!({"Item": row})));
        assert_eq!(aws.obey(Command::Calls).unwrap(), json!({"PutItem": 2, "GetItem": 1}));
    }

    #[test]
    fn the_secret_has_one_version() {
        let aws = aws();
        let secret = |stage| {
            let request = json!({"SecretId": "s", "VersionStage": stage});
            call(&aws, "secretsmanager.GetSecretValue", &request)
        };
        let (status, current) = secret("AWSCURRENT");
        assert_eq!(status, 200);
        assert!(current["SecretString"].as_str().unwrap().contains(API_KEY));
        assert_eq!(secret("AWSPREVIOUS").1["__type"], "ResourceNotFoundException");
    }

    #[test]
    fn every_published_event_is_taken_and_counted() {
        let aws = aws();
        let form = "Action=PublishBatch&PublishBatchRequestEntries.member.1.Id=0\
                    &PublishBatchRequestEntries.member.2.Id=1";
        let answer = aws.publish(form);
        assert_eq!((answer.status, answer.body.matches("<MessageId>").count()), (200, 2));
        assert_eq!(aws.obey(Command::Calls).unwrap(), json!({"PublishBatch": 1, PUBLISHED: 2}));
    }

    #[test]
    fn what_messages_are_to_come_again_is_told_once() {
        let aws = aws();
        let request = json!({"QueueUrl": "q", "ReceiptHandle": "r", "VisibilityTimeout": 7});
        assert_eq!(call(&aws, "AmazonSQS.ChangeMessageVisibility", &request).0, 200);
        assert_eq!(aws.obey(Command::Postponed).unwrap(), json!({"r": 7}));
        assert_eq!(aws.obey(Command::Postponed).unwrap(), json!({}));
    }

    #[test]
    fn what_no_function_needs_is_refused() {
        for target in ["DynamoDB_20120810.Scan", "AmazonSQS.SendMessage"] {
            assert_eq!(call(&aws(), target, &json!({})).0, 400, "{target}");
        }
    }

    #[test]
    fn calls_at_once_count_once_as_work() {
        let aws = aws();
        aws.open();
        aws.open();
        aws.close();
        assert_eq!(aws.obey(Command::Busy).unwrap(), 0);
        let before = aws.book().open_since;
        aws.close();
        let busy = aws.obey(Command::Busy).unwrap().as_u64().unwrap();
        assert!(busy > 0 && busy <= now() - before, "{busy}");
    }

    #[test]
    fn contacts_are_remembered_in_order() {
        let aws = aws();
        [10, 20, 30].into_iter().for_each(|at| aws.note_contact(at));
        assert_eq!(aws.obey(Command::FirstContactSince(15)).unwrap(), 20);
        assert_eq!(aws.obey(Command::FirstContactSince(31)).unwrap(), Value::Null);
    }
}
