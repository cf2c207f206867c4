use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use report_service::Login;
use serde_json::{Value, json};
use service_config::{DEFAULT_TTL, SecretCache};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A stand-in for Secrets Manager that holds the login of one database, and counts how often it is read.
pub(crate) struct SecretsManager {
    address: SocketAddr,
    stages: Arc<Mutex<HashMap<&'static str, Value>>>,
    reads: Arc<AtomicUsize>,
}

impl SecretsManager {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stages, reads) = (Arc::<Mutex<HashMap<&str, Value>>>::default(), Arc::<AtomicUsize>::default());
        tokio::spawn({
            let (stages, reads) = (Arc::clone(&stages), Arc::clone(&reads));
            async move {
                while let Ok((connection, _)) = listener.accept().await {
                    tokio::spawn(answer(connection, Arc::clone(&stages), Arc::clone(&reads)));
                }
            }
        });
        Self { address, stages, reads }
    }

    /// As RDS rotates it: the version before stays for a while.
    pub(crate) fn holds(&self, version: &str, username: &str, password: &str) {
        let text = json!({ "username": username, "password": password }).to_string();
        let mut stages = self.stages.lock().unwrap();
        if let Some(before) = stages.remove("AWSCURRENT") {
            stages.insert("AWSPREVIOUS", before);
        }
        stages.insert("AWSCURRENT", json!({ "Name": "login", "VersionId": version, "SecretString": text }));
    }

    pub(crate) async fn load(&self) -> SecretCache<Login> {
        let aws = test_support::sdk_config(&format!("http://{}", self.address));
        SecretCache::load(&aws, "login", DEFAULT_TTL).await.unwrap()
    }

    /// How often the present version was read.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

async fn answer(
    mut connection: TcpStream,
    stages: Arc<Mutex<HashMap<&'static str, Value>>>,
    reads: Arc<AtomicUsize>,
) {
    let stage = stage_of(&mut connection).await;
    if stage == "AWSCURRENT" {
        reads.fetch_add(1, Ordering::SeqCst);
    }
    let version = stages.lock().unwrap().get(stage.as_str()).cloned();
    let (status, body) = match version {
        Some(version) => (200, version.to_string()),
        None => (400, r#"{"__type":"ResourceNotFoundException","message":"none"}"#.to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all((head + &body).as_bytes()).await.unwrap();
}

/// The stage that a request asks for.
async fn stage_of(connection: &mut TcpStream) -> String {
    let mut received = Vec::new();
    loop {
        assert_ne!(connection.read_buf(&mut received).await.unwrap(), 0, "the request ends early");
        let text = String::from_utf8_lossy(&received);
        let Some((_, body)) = text.split_once("\r\n\r\n") else { continue };
        if let Ok(request) = serde_json::from_str::<Value>(body) {
            return request["VersionStage"].as_str().unwrap().to_owned();
        }
    }
}
