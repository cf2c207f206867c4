//! A function in a process of its own.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use test_support::{CountingEndpoint, RuntimeApi, TestTable};
use uuid::Uuid;

/// The environment that the functions think they are in.
pub(crate) const ENVIRONMENT: &str = "test";

/// The name of a service's bucket.
pub(crate) fn bucket(service: &str) -> String {
    format!("{ENVIRONMENT}-{service}-files")
}

pub(crate) struct Function {
    api: RuntimeApi,
    process: Child,
    /// What it writes to standard output, read up to here.
    log: File,
}

impl Function {
    pub(crate) fn start(service: &str, table: &TestTable, endpoint: &CountingEndpoint) -> Self {
        let api = RuntimeApi::start();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{service}-{}.log", Uuid::now_v7()));
        // A file and no pipe: what was logged before an answer is there when the answer is.
        let output = File::create(&path).unwrap();
        let log = File::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_function"))
            .arg(service)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", api.address())
            .env("AWS_LAMBDA_FUNCTION_NAME", format!("test-{service}-lambda"))
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_ENDPOINT_URL", endpoint.endpoint())
            .env("ENVIRONMENT", ENVIRONMENT)
            .env("SECRET_ID", "test/microservices/api-gateway")
            .env("TABLE_NAME", table.name())
            .env("BUCKET_NAME", bucket(service))
            .env("EVENTS_TOPIC_ARN", "arn:aws:sns:us-east-1:000000000000:test-events")
            .env("STREAM_DLQ_URL", format!("{}/000000000000/test-stream-dlq", endpoint.endpoint()))
            .stdout(Stdio::from(output))
            .spawn()
            .unwrap();
        Self { api, process, log }
    }

    /// One invocation. Panics if the function reports that it failed, or has died.
    pub(crate) async fn invoke(&mut self, event: String) -> String {
        match tokio::time::timeout(Duration::from_secs(60), self.api.invoke(event)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => panic!("the invocation failed: {error}\n{}", self.new_log()),
            Err(_) => panic!("no answer within a minute\n{}", self.new_log()),
        }
    }

    /// What it logged since this was asked last.
    pub(crate) fn new_log(&mut self) -> String {
        let mut text = String::new();
        self.log.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
