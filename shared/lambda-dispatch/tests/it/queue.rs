use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use test_support::door::{self, message_id};

use crate::probe::{Probe, event};

#[tokio::test]
async fn one_bad_message_among_nine_good_ones_fails_alone() {
    for bad in ["fail", "panic"] {
        let (probe, door) = Probe::door();
        let subjects = ["a", "b", "c", bad, "d", "e", "f", "g", "h", "i"];
        let failed = door.messages("probes", subjects.map(event)).await;
        assert_eq!(failed, [message_id(3)], "{bad}");
        assert_eq!(probe.handled(), ["a", "b", "c", "d", "e", "f", "g", "h", "i"], "{bad}");
    }
}

#[tokio::test]
async fn what_is_no_message_fails_alone() {
    let (probe, door) = Probe::door();
    let wrong_shape = event("x").replace(r#""version":1"#, r#""version":"one""#);
    let bodies = [event("a"), "nonsense".to_owned(), "{}".to_owned(), wrong_shape, event("b")];
    let failed = door.messages("probes", bodies).await;
    assert_eq!(failed, [message_id(1), message_id(2), message_id(3)]);
    assert_eq!(probe.handled(), ["a", "b"]);
}

#[tokio::test]
async fn an_unknown_event_type_is_acknowledged() {
    let (probe, door) = Probe::door();
    let unknown = event("x").replace("user_updated", "user_promoted");
    assert!(door.messages("probes", [unknown, event("a")]).await.is_empty());
    assert_eq!(probe.handled(), ["a"]);
}

#[tokio::test]
async fn messages_of_one_batch_are_under_way_together() {
    let (probe, door) = Probe::door();
    // The first nine can only finish after the tenth, so that one after the other would never end.
    let subjects = ["wait", "wait", "wait", "wait", "wait", "wait", "wait", "wait", "wait", "release"];
    assert!(door.messages("probes", subjects.map(event)).await.is_empty());
    assert_eq!(probe.handled().len(), 10);
}

#[tokio::test]
async fn no_more_than_ten_messages_are_under_way_at_once() {
    let (probe, door) = Probe::door();
    assert!(door.messages("probes", vec![event("count"); 30]).await.is_empty());
    assert_eq!((probe.handled().len(), probe.under_way.lock().unwrap().1), (30, 10));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_finished_in_time_is_reported_and_the_rest_is_not() {
    let (probe, door) = Probe::door();
    let batch = door::sqs("test-probes", ["a", "forever", "b"].map(event));
    let answer = door.invoke_within(&batch, Duration::from_secs(5)).await.unwrap();
    assert_eq!(door::failures(&answer), [message_id(1)]);
    assert_eq!(probe.handled(), ["a", "b"]);
    assert!(door.topic().retried().is_empty(), "it has the time of the queue");
}

#[tokio::test]
async fn the_service_sees_the_queue_without_the_environment() {
    let (probe, door) = Probe::door();
    door.messages("probe-requests", [event("a")]).await;
    assert_eq!(*probe.handled.lock().unwrap(), [("probe-requests".to_owned(), "a".to_owned())]);
}

/// The visibility timeouts, in seconds, of ten messages of one batch that fail when they are received for this time.
async fn times_away(body: &str, receive_count: u32) -> Vec<u64> {
    let (_, door) = Probe::door();
    door.invoke(&door::sqs_redelivery("test-probes", [body; 10], receive_count)).await.unwrap();
    let retried = door.topic().retried();
    assert!(retried.iter().all(|retried| retried.queue_url.ends_with("/test-probes")));
    assert_eq!(retried.iter().map(|retried| &retried.receipt_handle).collect::<BTreeSet<_>>().len(), 10);
    retried.iter().map(|retried| retried.seconds).collect()
}

#[tokio::test]
async fn a_failed_message_stays_away_for_seconds_and_then_for_minutes_and_a_batch_does_not_come_back_at_once()
{
    for failure in ["fail", "panic"] {
        for (receive_count, range) in [(1, 2..=7), (2, 90..=270), (3, 90..=270)] {
            let times = times_away(&event(failure), receive_count).await;
            assert!(times.iter().all(|time| range.contains(time)), "{receive_count}: {times:?}");
            assert!(times.iter().collect::<BTreeSet<_>>().len() > 1, "{receive_count}: {times:?}");
        }
    }
}

#[tokio::test]
async fn an_unreadable_message_is_soon_where_it_ends() {
    for receive_count in 1..=3 {
        assert_eq!(times_away("nonsense", receive_count).await, [1; 10]);
    }
}

#[tokio::test]
async fn s3_notifications_arrive_inside_messages_and_its_test_event_is_ignored() {
    let (probe, door) = Probe::door();
    let notification = json!({ "Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1",
        "eventTime": "2026-11-22T09:30:00.000Z", "eventName": "ObjectCreated:Put",
        "userIdentity": { "principalId": "p" }, "requestParameters": { "sourceIPAddress": "192.0.2.1" },
        "responseElements": {},
        "s3": {
            "s3SchemaVersion": "1.0", "configurationId": "c",
            "bucket": { "name": "b", "ownerIdentity": { "principalId": "p" }, "arn": "arn:aws:s3:::b" },
            "object": { "key": "avatars/1", "size": 1, "eTag": "e", "sequencer": "0" },
        },
    }]});
    let test_event = json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b" });
    let bodies = [notification, test_event].map(|body: Value| body.to_string());
    assert!(door.messages("uploads", bodies).await.is_empty());
    assert_eq!(probe.handled(), ["avatars/1"]);
}

#[tokio::test]
async fn a_batch_whose_messages_have_no_ids_fails_as_a_whole() {
    let (_, door) = Probe::door();
    door.invoke(r#"{"Records":[{"eventSource":"aws:sqs","body":"{}"}]}"#).await.unwrap_err();
}
