//! Secrets read from a stand-in for Secrets Manager on loopback.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail like the test itself")]

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::join_all;
use service_config::{ApiSecret, ConfigError, DEFAULT_TTL, SecretCache, Version, Versions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

const ID: &str = "dev/microservices/api-gateway";

type Cache = SecretCache<ApiSecret>;

#[tokio::test]
async fn the_previous_version_is_read_when_it_is_needed() {
    let manager = SecretsManager::start().await;
    manager.holds("AWSCURRENT", "v2", &valid("two"));
    manager.holds("AWSPREVIOUS", "v1", &valid("one"));
    let cache = manager.load(DEFAULT_TTL).await.unwrap();
    assert_eq!(look_up(&cache, "v2").await.unwrap(), "two");
    assert_eq!(manager.requests(), 1, "a start reads the current version alone");

    assert_eq!(look_up(&cache, "v1").await.unwrap(), "one");
    assert_eq!(manager.requests(), 3);
    assert_eq!(look_up(&cache, "v1").await.unwrap(), "one");
    assert_eq!(look_up(&cache, "v2").await.unwrap(), "two");
    assert_eq!(manager.requests(), 3);
    assert!(look_up(&cache, "v0").await.is_none());

    pass(DEFAULT_TTL).await;
    manager.holds("AWSPREVIOUS", "v0", &valid("zero"));
    eventually(|| cache.get().find("v1").is_none()).await;
    assert_eq!(key(cache.get().find("v0")), "zero", "once known, it is kept fresh like the current one");
}

#[tokio::test]
async fn a_secret_need_not_have_a_previous_version() {
    let manager = SecretsManager::start().await;
    manager.holds("AWSCURRENT", "v1", &valid("one"));
    let cache = manager.load(DEFAULT_TTL).await.unwrap();
    assert!(look_up(&cache, "v0").await.is_none());
    assert_eq!(look_up(&cache, "v1").await.unwrap(), "one");
}

#[tokio::test]
async fn a_malformed_previous_version_does_not_stop_the_current_one() {
    let manager = SecretsManager::start().await;
    manager.holds("AWSCURRENT", "v2", &valid("two"));
    manager.holds("AWSPREVIOUS", "v1", r#"{"api_key":"only"}"#);
    let cache = manager.load(DEFAULT_TTL).await.unwrap();
    assert!(look_up(&cache, "v1").await.is_none());
    assert_eq!(look_up(&cache, "v2").await.unwrap(), "two");
}

#[tokio::test]
async fn a_missing_secret_stops_the_start() {
    let manager = SecretsManager::start().await;
    let error = manager.load(DEFAULT_TTL).await.unwrap_err();
    assert_eq!(error.to_string(), format!("secret {ID} does not exist or has no value"));
}

#[tokio::test]
async fn a_malformed_secret_stops_the_start_and_is_not_shown() {
    let manager = SecretsManager::start().await;
    for (text, message) in [
        (r#"{"api_key":"hunter2"}"#, r#"has no string "jwt_secret""#),
        (r#"{"api_key":"hunter2","jwt_secret":"hunter2"}"#, r#"has a "jwt_secret" of fewer than 32 bytes"#),
        ("hunter2", "is not a JSON object"),
    ] {
        manager.holds("AWSCURRENT", "v1", text);
        let error = manager.load(DEFAULT_TTL).await.unwrap_err();
        assert_eq!(error.to_string(), format!("secret {ID} {message}"));
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_refusal_names_the_secret_and_the_reason() {
    let manager = SecretsManager::start().await;
    manager.refuses();
    let error = manager.load(DEFAULT_TTL).await.unwrap_err();
    assert_eq!(error.to_string(), format!("can't read secret {ID}"));
    assert!(format!("{error:?}").contains("AccessDeniedException"), "{error:?}");
}

#[tokio::test]
async fn an_old_secret_is_refreshed_once_in_the_background() {
    let manager = SecretsManager::start().await;
    manager.holds("AWSCURRENT", "v1", &valid("one"));
    let cache = manager.load(DEFAULT_TTL).await.unwrap();
    manager.holds("AWSCURRENT", "v2", &valid("two"));
    manager.holds("AWSPREVIOUS", "v1", &valid("one"));

    for _ in 0..100 {
        assert_eq!(cache.get().current.id, "v1");
    }
    pass(DEFAULT_TTL).await;
    for _ in 0..100 {
        assert_eq!(cache.get().current.id, "v1", "the old secret is answered while the new one is read");
    }
    eventually(|| cache.get().current.id == "v2").await;
    assert_eq!(key(cache.get().find("v1")), "one");
    assert_eq!(manager.requests(), 3, "a new version comes with the one before it");
}

#[tokio::test]
async fn a_failed_refresh_keeps_the_secret_and_backs_off() {
    let manager = SecretsManager::start().await;
    manager.holds("AWSCURRENT", "v1", &valid("one"));
    let cache = manager.load(DEFAULT_TTL).await.unwrap();

    manager.refuses();
    pass(DEFAULT_TTL).await;
    cache.get();
    manager.received(2).await;
    for _ in 0..100 {
        assert_eq!(cache.get().current.id, "v1");
        tokio::task::yield_now().await;
    }

    cache.check().unwrap_err();
    manager.holds("AWSCURRENT", "v2", &valid("two"));
    pass(Duration::from_secs(30)).await;
    eventually(|| cache.get().current.id == "v2").await;
    cache.check().unwrap();
    assert_eq!(manager.requests(), 4);
}

#[tokio::test]
async fn callers_who_need_a_new_version_share_one_refresh() {
    let manager = SecretsManager::start().await;
    manager.holds("AWSCURRENT", "v1", &valid("one"));
    let cache = manager.load(DEFAULT_TTL).await.unwrap();
    manager.holds("AWSCURRENT", "v2", &valid("two"));

    for found in join_all((0..20).map(|_| look_up(&cache, "v2"))).await {
        assert_eq!(found.unwrap(), "two");
    }
    assert_eq!(manager.requests(), 3);

    manager.holds("AWSCURRENT", "v3", &valid("three"));
    assert!(look_up(&cache, "v3").await.is_none(), "not again so soon");
    pass(Duration::from_secs(10)).await;
    assert_eq!(look_up(&cache, "v3").await.unwrap(), "three");
    assert_eq!(manager.requests(), 5);
}

#[tokio::test]
async fn what_can_not_be_looked_up_is_not_said_to_be_absent() {
    let manager = SecretsManager::start().await;
    manager.holds("AWSCURRENT", "v2", &valid("two"));
    let cache = manager.load(DEFAULT_TTL).await.unwrap();
    manager.refuses();
    for _ in 0..2 {
        let error = try_look_up(&cache, "v1").await.unwrap_err();
        assert_eq!(error.to_string(), format!("secret {ID} can't be refreshed"));
    }
    assert_eq!(look_up(&cache, "v2").await.unwrap(), "two");

    manager.holds("AWSCURRENT", "v2", &valid("two"));
    manager.holds("AWSPREVIOUS", "v1", &valid("one"));
    pass(Duration::from_secs(10)).await;
    assert_eq!(look_up(&cache, "v1").await.unwrap(), "one");
}

#[tokio::test]
async fn what_could_not_be_looked_up_is_tried_again_soon() {
    let manager = SecretsManager::start().await;
    manager.holds("AWSCURRENT", "v1", &valid("first"));
    let cache = manager.load(DEFAULT_TTL).await.unwrap();
    manager.refuses();
    assert!(try_look_up(&cache, "v2").await.is_err());
    assert!(cache.check().is_err());
    manager.holds("AWSCURRENT", "v1", &valid("first"));
    pass(Duration::from_secs(30)).await;
    eventually(|| cache.check().is_ok()).await;
}

#[tokio::test]
async fn a_refresh_in_the_background_does_not_undo_a_look_up() {
    let manager = SecretsManager::start().await;
    manager.holds("AWSCURRENT", "v2", &valid("two"));
    manager.holds("AWSPREVIOUS", "v1", &valid("one"));
    let cache = manager.load(DEFAULT_TTL).await.unwrap();
    pass(DEFAULT_TTL).await;
    assert_eq!(look_up(&cache, "v1").await.unwrap(), "one", "the refresh that is due begins with it");
    // The start, both versions for the look-up, and both again for the refresh, which knows of them by then.
    manager.received(5).await;
    for _ in 0..100 {
        assert!(cache.get().find("v1").is_some());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_fixed_secret_asks_nobody() {
    let value = ApiSecret::new("key", "x".repeat(32)).unwrap();
    let cache = Cache::fixed(Versions { current: Version { id: "v1".into(), value }, previous: None });
    pass(2 * DEFAULT_TTL).await;
    assert_eq!(cache.get().current.id, "v1");
    assert!(look_up(&cache, "v0").await.is_none());
    assert!(!format!("{cache:?} {:?}", cache.get()).contains("xxx"));
}

fn valid(api_key: &str) -> String {
    format!(r#"{{"api_key":"{api_key}","jwt_secret":"{}"}}"#, "x".repeat(32))
}

/// The API key of a version.
async fn look_up(cache: &Cache, version: &str) -> Option<String> {
    try_look_up(cache, version).await.unwrap()
}

async fn try_look_up(cache: &Cache, version: &str) -> Result<Option<String>, ConfigError> {
    cache.look_up(|versions| versions.find(version).map(|secret| key(Some(secret)).to_owned())).await
}

fn key(secret: Option<&ApiSecret>) -> &str {
    use secrecy::ExposeSecret as _;
    secret.unwrap().api_key().expose_secret()
}

/// Lets the clock that the cache looks at run ahead.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

async fn eventually(mut condition: impl FnMut() -> bool) {
    let met = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), met).await.expect("the condition is never met");
}

/// Answers `GetSecretValue` and counts the requests.
struct SecretsManager {
    address: SocketAddr,
    answers: Arc<Mutex<Answers>>,
    requests: watch::Receiver<usize>,
}

#[derive(Default)]
struct Answers {
    by_stage: HashMap<String, serde_json::Value>,
    refuse: bool,
}

impl SecretsManager {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::new(Mutex::new(Answers::default()));
        let (counter, requests) = watch::channel(0);
        tokio::spawn({
            let answers = Arc::clone(&answers);
            async move {
                while let Ok((connection, _)) = listener.accept().await {
                    let (answers, counter) = (Arc::clone(&answers), counter.clone());
                    tokio::spawn(async move { answer(connection, &answers, &counter).await });
                }
            }
        });
        Self { address, answers, requests }
    }

    async fn load(&self, ttl: Duration) -> Result<Cache, ConfigError> {
        Cache::load(&test_support::sdk_config(&format!("http://{}", self.address)), ID, ttl).await
    }

    fn holds(&self, stage: &str, version: &str, text: &str) {
        let mut answers = self.answers.lock().unwrap();
        answers.refuse = false;
        let answer = serde_json::json!({ "Name": ID, "VersionId": version, "SecretString": text });
        answers.by_stage.insert(stage.to_owned(), answer);
    }

    fn refuses(&self) {
        self.answers.lock().unwrap().refuse = true;
    }

    fn requests(&self) -> usize {
        *self.requests.borrow()
    }

    async fn received(&self, requests: usize) {
        let wait =
            async { self.requests.clone().wait_for(|count| *count >= requests).await.map(|count| *count) };
        tokio::time::timeout(Duration::from_secs(10), wait).await.expect("too few requests").unwrap();
    }
}

async fn answer(mut connection: TcpStream, answers: &Mutex<Answers>, counter: &watch::Sender<usize>) {
    let request = read_request(&mut connection).await;
    assert_eq!(request["SecretId"], ID);
    let (status, body) = {
        let answers = answers.lock().unwrap();
        match answers.by_stage.get(request["VersionStage"].as_str().unwrap()) {
            _ if answers.refuse => (400, r#"{"__type":"AccessDeniedException","message":"no"}"#.to_owned()),
            Some(answer) => (200, answer.to_string()),
            None => (400, r#"{"__type":"ResourceNotFoundException","message":"none"}"#.to_owned()),
        }
    };
    counter.send_modify(|count| *count += 1);
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all((head + &body).as_bytes()).await.unwrap();
}

async fn read_request(connection: &mut TcpStream) -> serde_json::Value {
    let mut received = Vec::new();
    loop {
        assert_ne!(connection.read_buf(&mut received).await.unwrap(), 0, "the request ends early");
        let text = String::from_utf8_lossy(&received);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        assert!(head.contains("x-amz-target: secretsmanager.getsecretvalue"));
        let length = head.split_once("content-length: ").unwrap().1.lines().next().unwrap().parse().unwrap();
        if body.len() >= length {
            return serde_json::from_str(body).unwrap();
        }
    }
}
