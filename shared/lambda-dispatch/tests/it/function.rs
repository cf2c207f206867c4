//! A whole function: a process that polls the Lambda Runtime API, as a `bootstrap` does.

use std::{
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use futures_util::future::join_all;
use test_support::{
    RuntimeApi,
    door::{self, HttpAnswer, HttpEvent},
};

use crate::probe::{MEETING, Probe, event, record, row};

/// The function itself. Only ever run by [`Function::start`], in a process of its own.
#[test]
#[ignore = "is the function that the other tests start"]
fn bootstrap() {
    let ended = lambda_dispatch::run(async |_| Ok(Probe::default()));
    assert_eq!(ended, ExitCode::SUCCESS);
}

pub(crate) struct Function {
    api: RuntimeApi,
    process: Child,
}

impl Function {
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        let api = RuntimeApi::start();
        let process = command(&api, "function::bootstrap").envs(variables.iter().copied()).spawn().unwrap();
        Self { api, process }
    }

    pub(crate) async fn http(&self, request: HttpEvent) -> HttpAnswer {
        HttpAnswer::parse(&self.api.invoke(request.build()).await.unwrap())
    }

    async fn get(&self, path: &str) -> HttpAnswer {
        self.http(door::http_v2("GET", path)).await
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The process of a function that is one of these tests.
pub(crate) fn command(api: &RuntimeApi, bootstrap: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", bootstrap, "--ignored", "--nocapture"])
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", api.address())
        .env("AWS_LAMBDA_FUNCTION_NAME", "test-probe-service")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        .env("ENVIRONMENT", "test")
        .env("EVENTS_TOPIC_ARN", "arn:aws:sns:us-east-1:000000000000:test-probe-events")
        .env("STREAM_DLQ_URL", "http://127.0.0.1:9/000000000000/test-probes-stream-dlq")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

#[tokio::test]
async fn one_function_takes_every_trigger() {
    let function = Function::start(&[]);
    assert_eq!(function.get("/api/probes").await.status, 200);
    let answer = function.api.invoke(door::sqs("test-probes", ["a", "fail"].map(event))).await.unwrap();
    assert_eq!(door::failures(&answer), [door::message_id(1)]);
    let answer = function.api.invoke(door::stream([record(0, row("private"))])).await.unwrap();
    assert!(door::failures(&answer).is_empty());
    let answer = function.api.invoke(r#"{"task":"echo","input":{"rows":1}}"#).await.unwrap();
    assert_eq!(answer, r#"{"rows":1}"#);
    let error = function.api.invoke(r#"{"task":"fail"}"#).await.unwrap_err();
    assert!(error.contains("told to fail: for a reason"), "{error}");
    let error = function.api.invoke("{}").await.unwrap_err();
    assert!(error.contains("unknown event"), "{error}");
    assert_eq!(function.get("/api/probes/panic").await.status, 500);
    assert_eq!(function.get("/api/probes").await.status, 200, "the function outlives a panic");
}

#[tokio::test]
async fn with_max_concurrency_requests_are_served_together() {
    let limit = MEETING.to_string();
    let function = Function::start(&[("AWS_LAMBDA_MAX_CONCURRENCY", limit.as_str())]);
    // None of them is answered before all of them are under way.
    let meeting = join_all((0..MEETING).map(|_| function.get("/api/probes/meet")));
    let answers =
        tokio::time::timeout(Duration::from_secs(20), meeting).await.expect("served one after the other");
    assert!(answers.iter().all(|answer| answer.body == "met"), "{answers:?}");
}

#[test]
fn a_missing_variable_stops_the_start_with_one_line_that_names_it() {
    for missing in ["ENVIRONMENT", "EVENTS_TOPIC_ARN", "STREAM_DLQ_URL"] {
        let output = command(&RuntimeApi::start(), "function::bootstrap")
            .env_remove(missing)
            .stdout(Stdio::piped())
            .output()
            .unwrap();
        assert!(!output.status.success());
        let log = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("can't start")).collect();
        assert_eq!(lines.len(), 1, "{log}");
        assert!(lines[0].contains(missing), "{log}");
    }
}
