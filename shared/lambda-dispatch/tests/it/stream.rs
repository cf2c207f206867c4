use std::time::Duration;

use serde_json::{Value, json};
use test_support::{
    TopicStub,
    door::{self, Door},
};

use crate::probe::{Probe, record, row, sequence_number};

fn rows(ids: &[&str]) -> Vec<Value> {
    ids.iter().enumerate().map(|(position, id)| record(position, row(id))).collect()
}

fn subjects(topic: &TopicStub) -> Vec<String> {
    let subject = |message: &str| {
        let event: Value = serde_json::from_str(message).unwrap();
        event["subject"].as_str().unwrap().to_owned()
    };
    topic.published().iter().map(|published| subject(&published.message)).collect()
}

/// Hands over records with so little time that what fails is soon given back; answers where the stream resumes.
async fn changes_in_a_second(door: &Door<Probe>, records: Vec<Value>) -> Option<String> {
    let answer = door.invoke_within(&door::stream(records), Duration::from_secs(1)).await.unwrap();
    door::failures(&answer).into_iter().next()
}

#[tokio::test]
async fn changes_become_events_in_order_ten_at_a_time() {
    let (_, door) = Probe::door();
    let ids: Vec<String> = (0..23).map(|number| format!("row-{number:02}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    assert_eq!(door.changes(rows(&ids)).await, None);
    assert_eq!(subjects(door.topic()), ids);
    assert_eq!(door.topic().calls(), 3);
    let first = &door.topic().published()[0];
    assert_eq!(first.event_type.as_deref(), Some("user_updated"));
    let event: Value = serde_json::from_str(&first.message).unwrap();
    assert_eq!((event["id"].as_str(), event["source"].as_str()), (Some("record-0"), Some("/probe-service")));
}

#[tokio::test]
async fn a_change_that_concerns_nobody_publishes_nothing() {
    let (_, door) = Probe::door();
    assert_eq!(door.changes(rows(&["private", "private"])).await, None);
    assert_eq!(door.topic().calls(), 0);
}

#[tokio::test]
async fn the_stream_resumes_at_the_lowest_entry_that_the_topic_did_not_take() {
    let (_, door) = Probe::door();
    door.topic().fail_entries(usize::MAX, |message| message.contains("row-3"), false);
    let records = rows(&["row-1", "row-2", "row-3", "row-4"]);
    assert_eq!(changes_in_a_second(&door, records.clone()).await, Some(sequence_number(2)));
    door.topic().fail_entries(0, |_| true, false);
    assert_eq!(door.changes(records[2..].to_vec()).await, None);
    let mut published = subjects(door.topic());
    published.sort();
    published.dedup();
    assert_eq!(published, ["row-1", "row-2", "row-3", "row-4"], "nothing is lost");
}

#[tokio::test]
async fn what_the_topic_does_not_take_at_once_is_tried_again_with_all_that_follows_it() {
    let (_, door) = Probe::door();
    door.topic().fail_entries(2, |message| message.contains("row-2"), false);
    assert_eq!(door.changes(rows(&["row-1", "row-2", "row-3"])).await, None);
    assert_eq!(subjects(door.topic()), ["row-1", "row-3", "row-3", "row-2", "row-3"]);
}

#[tokio::test]
async fn a_topic_that_is_away_for_a_moment_fails_no_invocation() {
    let (_, door) = Probe::door();
    // Two operations, of three tries each.
    door.topic().fail_calls(6);
    assert_eq!(door.changes(rows(&["row-1", "row-2"])).await, None);
    assert_eq!(subjects(door.topic()), ["row-1", "row-2"]);
}

#[tokio::test]
async fn a_topic_out_of_reach_stops_at_the_first_unpublished_change() {
    let (_, door) = Probe::door();
    let ids: Vec<String> = (0..15).map(|number| format!("row-{number:02}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    door.topic().fail_calls(usize::MAX);
    assert_eq!(changes_in_a_second(&door, rows(&ids)).await, Some(sequence_number(0)));
    assert!(door.topic().published().is_empty());
    door.topic().fail_calls(0);
    assert_eq!(door.changes(rows(&ids)).await, None);
    assert_eq!(subjects(door.topic()), ids);
}

#[tokio::test]
async fn a_record_that_cannot_become_an_event_is_set_aside_whole() {
    let unreadable = record(1, json!({ "probe_id": { "S": "odd" }, "version": { "S": "one" } }));
    let panicking = record(1, row("panic"));
    for bad in [unreadable, panicking] {
        let (_, door) = Probe::door();
        let records = vec![record(0, row("a")), bad.clone(), record(2, row("b"))];
        assert_eq!(door.changes(records).await, None, "it does not block what follows");
        assert_eq!(subjects(door.topic()), ["a", "b"]);
        let set_aside = door.topic().sent().pop().unwrap();
        assert!(set_aside.queue_url.ends_with("test-probes-stream-dlq"), "{}", set_aside.queue_url);
        assert_eq!(serde_json::from_str::<Value>(&set_aside.body).unwrap(), bad, "whole");
        assert!(set_aside.attributes.contains_key("reason"));
    }
}

/// A queue takes no message with characters that XML does not have, and the reason quotes the record.
#[tokio::test]
async fn a_record_with_characters_that_no_queue_takes_is_set_aside_whole() {
    let (_, door) = Probe::door();
    let mut bad = record(1, json!({ "probe_id": { "S": "odd \u{fffe}\u{ffff}\u{0}" } }));
    bad["dynamodb"]["StreamViewType"] = "odd \u{1}\u{fffe}".into();
    assert_eq!(door.changes(vec![record(0, row("a")), bad.clone(), record(2, row("b"))]).await, None);
    assert_eq!(subjects(door.topic()), ["a", "b"]);
    let set_aside = door.topic().sent().pop().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&set_aside.body).unwrap(), bad, "whole");
    assert!(set_aside.attributes["reason"].contains("odd \u{fffd}\u{fffd}"), "{set_aside:?}");
}

#[tokio::test]
async fn an_event_that_the_topic_refuses_as_invalid_is_set_aside() {
    let (_, door) = Probe::door();
    door.topic().fail_entries(usize::MAX, |message| message.contains("row-2"), true);
    let records = rows(&["row-1", "row-2", "row-3"]);
    assert_eq!(door.changes(records.clone()).await, None);
    assert_eq!(subjects(door.topic()), ["row-1", "row-3"]);
    let set_aside: Value = serde_json::from_str(&door.topic().sent()[0].body).unwrap();
    assert_eq!(set_aside, records[1]);
}

#[tokio::test]
async fn a_record_is_set_aside_once_however_often_what_comes_before_it_has_to_be_repeated() {
    let (_, door) = Probe::door();
    let records = vec![record(0, row("a")), record(1, row("panic")), record(2, row("b"))];
    door.topic().fail_entries(usize::MAX, |message| message.contains("\"a\""), false);
    for _ in 0..2 {
        assert_eq!(changes_in_a_second(&door, records.clone()).await, Some(sequence_number(0)));
    }
    door.topic().fail_entries(0, |_| true, false);
    assert_eq!(door.changes(records).await, None);
    assert_eq!(subjects(door.topic()), ["a", "b"]);
    assert_eq!(door.topic().sent().len(), 1);
}

#[tokio::test]
async fn a_record_that_cannot_even_be_set_aside_comes_again() {
    let (_, door) = Probe::door();
    let bad = record(0, row("panic"));
    door.topic().fail_calls(usize::MAX);
    assert_eq!(changes_in_a_second(&door, vec![bad.clone()]).await, Some(sequence_number(0)));
    // At first not even then.
    door.topic().fail_calls(3);
    assert_eq!(door.changes(vec![bad]).await, None);
    assert_eq!(door.topic().sent().len(), 1);
}

#[tokio::test]
async fn publishing_stops_before_the_invocation_does() {
    let (_, door) = Probe::door();
    door.topic().delay_calls(1, Duration::from_secs(60));
    let batch = door::stream(rows(&["a"]));
    let answer = door.invoke_within(&batch, Duration::from_millis(400)).await.unwrap();
    assert_eq!(door::failures(&answer), [sequence_number(0)]);
}

#[tokio::test]
async fn a_service_hears_of_all_changes_that_can_be_read() {
    let (probe, door) = Probe::door();
    let unreadable = record(1, json!({ "probe_id": { "X": 1 } }));
    assert_eq!(door.changes(vec![record(0, row("a")), unreadable, record(2, row("b"))]).await, None);
    assert_eq!(*probe.heard.lock().unwrap(), ["a", "b"]);
    assert_eq!(subjects(door.topic()), ["a", "b"]);
}

#[tokio::test]
async fn what_a_service_does_with_changes_holds_up_no_event() {
    for trouble in ["deaf", "slow"] {
        let (probe, door) = Probe::door();
        assert_eq!(door.changes(rows(&["a", trouble, "b"])).await, None);
        assert_eq!(subjects(door.topic()), ["a", trouble, "b"]);
        assert_eq!(*probe.heard.lock().unwrap(), ["a"]);
    }
}
