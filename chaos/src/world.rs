use std::{
    env,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use bytes::Bytes;
use http::{StatusCode, Uri};
use http_body_util::Empty;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// Tries of a call by this program itself: some more than the SDK's three, so that the cloud may restart meanwhile.
const ATTEMPTS: u32 = 12;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

const READY_DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// Where everything is. The clients talk to the cloud itself, never through the proxy, as the owner of the account.
pub(crate) struct World {
    /// The environment that the stack is deployed for: the beginning of its resources' names.
    pub(crate) environment: String,
    /// The base URL of the shop.
    pub(crate) api: String,
    /// The base URL of the cloud.
    pub(crate) cloud: String,
    /// The cloud's process.
    pub(crate) cloud_pid: i32,
    /// The port of the proxy that the functions take for AWS.
    pub(crate) proxy_port: u16,
    /// The ports at which the functions look for Redis and for PostgreSQL.
    pub(crate) redis_port: u16,
    pub(crate) postgres_port: u16,
    /// The file with the authorities that the functions trust.
    pub(crate) roots: PathBuf,
    /// What the clients are made of.
    pub(crate) config: SdkConfig,
    pub(crate) secrets: aws_sdk_secretsmanager::Client,
    pub(crate) sns: aws_sdk_sns::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
}

impl World {
    /// What `cargo xtask chaos` says in the environment.
    pub(crate) fn from_environment() -> Result<Self> {
        let cloud = variable("SHOP_CLOUD_URL")?;
        let retries = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS)
            .with_initial_backoff(FIRST_BACKOFF)
            .with_max_backoff(LONGEST_BACKOFF);
        let config = test_support::sdk_config(&cloud).into_builder().retry_config(retries).build();
        Ok(Self {
            environment: variable("SHOP_ENVIRONMENT")?,
            api: variable("SHOP_API_URL")?,
            cloud,
            cloud_pid: variable("SHOP_CLOUD_PID")?.parse().context("SHOP_CLOUD_PID is no process id")?,
            proxy_port: port("CHAOS_PROXY_PORT")?,
            redis_port: port("CHAOS_REDIS")?,
            postgres_port: port("CHAOS_POSTGRES")?,
            roots: variable("CHAOS_ROOTS")?.into(),
            secrets: aws_sdk_secretsmanager::Client::new(&config),
            sns: aws_sdk_sns::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
            config,
        })
    }

    /// Waits until every service can serve: functions start now, since what they take for AWS is there.
    pub(crate) async fn wait_until_ready(&self) -> Result<()> {
        let client: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let started = Instant::now();
        for collection in ["users", "products", "orders", "reports"] {
            let address: Uri = format!("{}/api/{collection}/health/ready", self.api).parse()?;
            loop {
                let last = match client.get(address.clone()).await {
                    Ok(answer) if answer.status() == StatusCode::OK => break,
                    Ok(answer) => answer.status().to_string(),
                    Err(error) => error.to_string(),
                };
                ensure!(started.elapsed() < READY_DEADLINE, "{address} does not get ready: {last}");
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// The full name of a table: `table("orders")`.
    pub(crate) fn table(&self, of: &str) -> String {
        self.name(of)
    }

    /// The address of a queue: `queue_url("stock-requests")`.
    pub(crate) async fn queue_url(&self, of: &str) -> Result<String> {
        let found = self.sqs.get_queue_url().queue_name(self.name(of)).send().await;
        found.with_context(|| format!("no queue {of}"))?.queue_url.context("a queue without an address")
    }

    /// The name of a topic to call it by: `topic_arn("order-events")`.
    pub(crate) fn topic_arn(&self, of: &str) -> String {
        format!("arn:aws:sns:us-east-1:000000000000:{}", self.name(of))
    }

    /// A secret of this environment: `secret("microservices/redis")`.
    pub(crate) async fn secret(&self, of: &str) -> Result<Value> {
        self.secret_of(&format!("{}/{of}", self.environment)).await
    }

    /// A secret by its full name or by its ARN.
    pub(crate) async fn secret_of(&self, id: &str) -> Result<Value> {
        let read = self.secrets.get_secret_value().secret_id(id).send().await;
        let read = read.with_context(|| format!("can't read the secret {id}"))?;
        let text = read.secret_string().with_context(|| format!("{id} is no text"))?;
        serde_json::from_str(text).with_context(|| format!("{id} is no JSON"))
    }

    /// Replaces a secret of this environment.
    pub(crate) async fn put_secret(&self, of: &str, value: &Value) -> Result<()> {
        let put = self.secrets.put_secret_value().secret_id(format!("{}/{of}", self.environment));
        let put = put.secret_string(value.to_string()).send().await;
        put.map(drop).with_context(|| format!("can't put the secret {of}"))
    }

    fn name(&self, of: &str) -> String {
        format!("{}-{of}", self.environment)
    }
}

/// The port of an address, or one that stands alone.
fn port(name: &str) -> Result<u16> {
    let address = variable(name)?;
    let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
    port.with_context(|| format!("{name} has no port"))
}

fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("{name} is not set: run this by `cargo xtask chaos`"))
}
