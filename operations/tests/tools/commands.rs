use std::process::{Command, Output, Stdio};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use uuid::Uuid;

use super::cloud::{all, counts, dead_letters, eventually, of_no_concern, send, send_all, turn, variable};

/// The tools as `cargo xtask` runs them.
pub(crate) fn tools(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_operations"));
    command
        .args(arguments)
        .args(["--environment", &variable("SHOP_ENVIRONMENT")])
        .env("AWS_ENDPOINT_URL", variable("SHOP_CLOUD_URL"))
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    command
}

pub(crate) async fn output(arguments: &[&str]) -> (Output, String) {
    let mut command = tools(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    (output, said)
}

/// Leaves nothing to the next test.
pub(crate) async fn empty(queue: &str) {
    let dead_letters = dead_letters().await;
    dead_letters.drop(dead_letters.queue(queue).unwrap(), &all(&|_| true)).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the local cloud: cargo xtask test"]
async fn without_yes_nothing_changes_and_with_it_only_what_was_chosen() {
    let _turn = turn().await;
    let marks = [(); 3].map(|()| Uuid::now_v7().to_string());
    send_all("user-events-dlq", &marks.iter().map(|mark| of_no_concern(mark)).collect::<Vec<_>>()).await;

    let (_, said) = output(&["dlq", "list"]).await;
    let line = said.lines().find(|line| line.contains("user-events-dlq")).unwrap();
    assert!(line.contains(" 3 ") && line.contains("order-service"), "{said}");

    for act in ["redrive", "drop"] {
        let (output, said) = output(&["dlq", act, "user-events", "--all"]).await;
        assert!(output.status.success() && said.starts_with("3 of ") && said.contains("--yes"), "{said}");
        assert_eq!(counts("user-events-dlq").await, (3, 0), "{act}");
    }

    let (_, said) = output(&["dlq", "show", "user-events", "--body"]).await;
    let id = said.lines().find(|line| line.contains("sent")).unwrap().split_whitespace().next().unwrap();
    assert!(said.contains("of_no_concern") && marks.iter().all(|mark| said.contains(mark)), "{said}");
    let (_, said) = output(&["dlq", "drop", "user-events", "--id", &id[..13], "--yes"]).await;
    assert!(said.contains("1 of ") && said.contains("2 not chosen"), "{said}");
    assert_eq!(counts("user-events-dlq").await, (2, 0));
    empty("user-events").await;
}

#[tokio::test]
#[ignore = "needs the local cloud: cargo xtask test"]
async fn ctrl_c_ends_a_redrive_after_what_is_under_way_and_loses_nothing() {
    let _turn = turn().await;
    let marks: Vec<_> = (0..40).map(|_| Uuid::now_v7().to_string()).collect();
    send_all("image-uploads-dlq", &marks.iter().map(|mark| of_no_concern(mark)).collect::<Vec<_>>()).await;

    let mut redrive = tools(&["dlq", "redrive", "image-uploads", "--all", "--rate", "5/s", "--yes"]);
    let running = redrive.stdout(Stdio::piped()).spawn().unwrap();
    eventually("some are redriven", || async {
        let (visible, hidden) = counts("image-uploads-dlq").await;
        (visible + hidden < 40).then_some(())
    })
    .await;
    kill(Pid::from_raw(running.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let output = tokio::task::spawn_blocking(move || running.wait_with_output().unwrap()).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success() && said.contains("stopped"), "{said}");
    let done: usize = said.trim_start_matches('\r').split(' ').next().unwrap().parse().unwrap();
    assert_eq!(counts("image-uploads-dlq").await, (40 - done, 0), "{said}");
    empty("image-uploads").await;
}

#[tokio::test]
#[ignore = "needs the local cloud: cargo xtask test"]
async fn a_users_hash_is_never_printed() {
    let _turn = turn().await;
    let sample = &test_support::samples("user-service")["user-changes"];
    let changes: serde_json::Value = serde_json::from_str(sample).unwrap();
    let records = changes["Records"].as_array().unwrap();
    let record = records.iter().find(|record| record.to_string().contains("$argon2id$")).unwrap();
    send("users-stream-dlq", &record.to_string()).await;
    let (_, said) = output(&["dlq", "show", "users-stream", "--body"]).await;
    assert!(said.contains("NewImage") && !said.contains("$argon2"), "{said}");
    empty("users-stream").await;
}
