/// Several transactions at once.
mod contention;
/// The other side.
mod server;

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpStream},
    ops::Range,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

pub use self::server::serve;
use crate::{clock::Nanos, growth::Filling, http1::Connection};

/// Table of user-service.
pub const USERS: &str = "dev-users";
/// Table of product-service.
pub const PRODUCTS: &str = "dev-products";
/// Table of order-service.
pub const ORDERS: &str = "dev-orders";
/// Each table, what it is called in the template, and its key.
const TABLES: [(&str, &str, &str); 3] = [
    (USERS, "UserTable", "user_id"),
    (PRODUCTS, "ProductTable", "product_id"),
    (ORDERS, "OrderTable", "order_id"),
];

/// Lets operators in. It is made up, as everything here.
pub const API_KEY: &str = "the-api-key-of-a-benchmark";
/// Lets services into a cache, where there is one.
pub const CACHE_TOKEN: &str = "TheTokenOfABenchmarksCache0123456789";
const JWT_SECRET: &str = "a-signing-secret-that-signs-for-no-shop";

/// Under this name published events are counted among the calls.
pub const PUBLISHED: &str = "published events";

/// Most rows that DynamoDB takes in one call.
const ROWS_PER_CALL: usize = 25;

/// How a function reaches its store.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// In the clear, as with a local cloud.
    Http,
    /// With TLS, as with AWS.
    Https,
}

impl Transport {
    /// As in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The process that stands for AWS. It ends with this value, and with this process.
#[derive(Debug)]
pub struct Store {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    access: Access,
    roots: PathBuf,
    client: Connection<TcpStream>,
}

/// Where a store is found.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Access {
    http: u16,
    https: u16,
    /// The certificate to trust, in PEM.
    authority: String,
}

/// What a store can be told.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Command {
    /// When was it first connected to, from this moment on?
    FirstContactSince(Nanos),
    /// How many calls of which kind did it get?
    Calls,
    /// How long did it work on at least one call?
    Busy,
    /// Write the rows of these numbers.
    Fill(Box<Filling>, Range<u64>),
    /// Let every answer take this long.
    Latency(Nanos),
    /// Let a transaction keep its rows for this long, and refuse others meanwhile.
    Contention(Nanos),
    /// Let every secret have these members, too.
    Secret(BTreeMap<String, String>),
    /// Which messages were asked to come again, since this was asked last, and in how many seconds?
    Postponed,
}

impl Store {
    /// Starts a store with empty tables, as the template defines them. The file with the roots that functions have to
    /// trust goes to `folder`; `more_roots` are added to it.
    pub fn start(template: &Path, folder: &Path, more_roots: Option<&Path>) -> Result<Self> {
        let mut child = std::process::Command::new(env::current_exe()?)
            .arg("store")
            .arg(template)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("can't start the store")?;
        let input = child.stdin.take().context("the store has no input")?;
        let mut output = BufReader::new(child.stdout.take().context("the store has no output")?);
        let access: Access = answer(&mut output)?;
        let mut roots_text = access.authority.clone();
        if let Some(more) = more_roots {
            roots_text +=
                &fs::read_to_string(more).with_context(|| format!("can't read {}", more.display()))?;
        }
        let roots = folder.join("roots.pem");
        fs::write(&roots, roots_text).with_context(|| format!("can't write {}", roots.display()))?;
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, access.http))?;
        client.set_nodelay(true)?;
        let client = Connection::new(client);
        Ok(Self { child, input, output, access, roots, client })
    }

    /// The variables with which a function finds the store and believes it.
    pub fn environment(&self, transport: Transport) -> Vec<(String, String)> {
        let port = match transport {
            Transport::Http => self.access.http,
            Transport::Https => self.access.https,
        };
        let url = format!("{}://127.0.0.1:{port}", transport.name());
        let roots = self.roots.display().to_string();
        [("AWS_ENDPOINT_URL", url), ("SSL_CERT_FILE", roots)]
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec()
    }

    /// When somebody connected first, from a moment on.
    pub fn first_contact_since(&mut self, moment: Nanos) -> Result<Option<Nanos>> {
        self.tell(&Command::FirstContactSince(moment))
    }

    /// How many calls of which operation it got so far.
    pub fn calls(&mut self) -> Result<BTreeMap<String, u64>> {
        self.tell(&Command::Calls)
    }

    /// How long it has worked so far, on one call or on several at once.
    pub fn busy(&mut self) -> Result<Nanos> {
        self.tell(&Command::Busy)
    }

    /// Writes many rows at once, and past every check but those of keys.
    pub(crate) fn fill(&mut self, filling: &Filling, numbers: Range<u64>) -> Result<()> {
        self.tell(&Command::Fill(Box::new(filling.clone()), numbers))
    }

    /// Lets every answer take so much longer.
    pub fn set_latency(&mut self, latency: Duration) -> Result<()> {
        self.tell(&Command::Latency(latency.as_nanos().try_into()?))
    }

    /// Lets every transaction keep its rows for so long. Others that want one of them meanwhile are refused, as DynamoDB
    /// does.
    pub fn set_contention(&mut self, kept: Duration) -> Result<()> {
        self.tell(&Command::Contention(kept.as_nanos().try_into()?))
    }

    /// Adds members to every secret. There is one content for all, in which each service finds its own.
    pub(crate) fn add_to_secrets(&mut self, members: &[(&str, &str)]) -> Result<()> {
        let members = members.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.tell(&Command::Secret(members.collect()))
    }

    /// The receipt handles of messages that functions gave another time to come again, and in how many seconds that is.
    /// Each is told once.
    pub(crate) fn postponed(&mut self) -> Result<BTreeMap<String, u64>> {
        self.tell(&Command::Postponed)
    }

    /// Reads the row of a key, in DynamoDB's JSON.
    pub fn row(&mut self, table: &str, key: &str, id: &str) -> Result<Value> {
        let answer = self.call("GetItem", &json!({"TableName": table, "Key": {key: {"S": id}}}))?;
        ensure!(answer["Item"].is_object(), "{table} has no row {id}");
        Ok(answer["Item"].clone())
    }

    /// Writes rows, in DynamoDB's JSON.
    pub fn write_rows(&mut self, table: &str, rows: &[Value]) -> Result<()> {
        for rows in rows.chunks(ROWS_PER_CALL) {
            let puts: Vec<Value> = rows.iter().map(|row| json!({"PutRequest": {"Item": row}})).collect();
            self.call("BatchWriteItem", &json!({"RequestItems": {table: puts}}))?;
        }
        Ok(())
    }

    fn call(&mut self, operation: &str, request: &Value) -> Result<Value> {
        let head = format!("POST / HTTP/1.1\r\nx-amz-target: DynamoDB_20120810.{operation}\r\n");
        self.client.write(&head, request.to_string().as_bytes())?;
        let answer = self.client.read()?.context("the store hung up")?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status() == 200, "{operation} failed: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    fn tell<T: DeserializeOwned>(&mut self, command: &Command) -> Result<T> {
        writeln!(self.input, "{}", serde_json::to_string(command)?)?;
        answer(&mut self.output)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // The only failure is that it has ended, which is what is wanted.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn answer<T: DeserializeOwned>(output: &mut impl BufRead) -> Result<T> {
    let mut line = String::new();
    output.read_line(&mut line)?;
    ensure!(!line.is_empty(), "the store ended; what it said about that is above");
    Ok(serde_json::from_str(&line)?)
}
