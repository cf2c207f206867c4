use std::process::{Command, Output};

use test_support::Emulator;

/// Starts the function with nothing in its environment but these variables.
fn start(variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_user-service"))
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

#[test]
fn a_missing_variable_or_secret_stops_the_start_with_one_line_that_names_it() {
    let config = Emulator::sdk_config();
    let endpoint = config.endpoint_url().unwrap();
    let complete = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL", endpoint),
        ("ENVIRONMENT", "test"),
        ("EVENTS_TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:test-user-events"),
        ("STREAM_DLQ_URL", "http://localhost/123456789012/test-users-stream-dlq"),
        ("TABLE_NAME", "test-users"),
        ("BUCKET_NAME", "test-user-avatars"),
        ("SECRET_ID", "test/microservices/api-gateway"),
    ];
    let failure = |variables: &[(&str, &str)]| {
        let output = start(variables);
        assert!(!output.status.success());
        let log = String::from_utf8(output.stdout).unwrap();
        let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
        assert_eq!(errors.len(), 1, "{log}");
        errors[0].to_owned()
    };
    for missing in
        ["ENVIRONMENT", "EVENTS_TOPIC_ARN", "STREAM_DLQ_URL", "TABLE_NAME", "BUCKET_NAME", "SECRET_ID"]
    {
        let rest: Vec<_> = complete.into_iter().filter(|(name, _)| *name != missing).collect();
        let line = failure(&rest);
        assert!(line.contains(&format!("missing environment variable {missing}")), "{line}");
    }
    // The emulator knows tables, not secrets.
    let line = failure(&complete);
    assert!(line.contains("secret test/microservices/api-gateway"), "{line}");
}
