use std::time::Duration;

use aws_sdk_sns::operation::publish_batch::PublishBatchOutput;
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use test_support::TopicStub;

const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:dev-order-events";
const QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/dev-orders-stream-dlq";

async fn publish(stub: &TopicStub, messages: &[&str]) -> Result<PublishBatchOutput, aws_sdk_sns::Error> {
    let event_type = MessageAttributeValue::builder().data_type("String").string_value("order_placed");
    let event_type = event_type.build().unwrap();
    let entries = messages.iter().enumerate().map(|(id, message)| {
        PublishBatchRequestEntry::builder()
            .id(id.to_string())
            .message(*message)
            .message_attributes("event_type", event_type.clone())
            .build()
            .unwrap()
    });
    let client = aws_sdk_sns::Client::new(&stub.sdk_config());
    let batch = client.publish_batch().topic_arn(TOPIC);
    Ok(batch.set_publish_batch_request_entries(Some(entries.collect())).send().await?)
}

#[tokio::test]
async fn takes_batches_and_single_messages_as_they_are() {
    let stub = TopicStub::start();
    let answer = publish(&stub, &["<a & \"b\">", "ü"]).await.unwrap();
    assert_eq!((answer.successful().len(), answer.failed().len()), (2, 0));
    let client = aws_sdk_sns::Client::new(&stub.sdk_config());
    client.publish().topic_arn(TOPIC).message("alone").send().await.unwrap();

    let published = stub.published();
    let messages: Vec<_> = published.iter().map(|message| message.message.as_str()).collect();
    assert_eq!(messages, ["<a & \"b\">", "ü", "alone"]);
    assert_eq!(published[1].id, "1");
    assert_eq!(published[1].topic_arn, TOPIC);
    assert_eq!(published[1].event_type.as_deref(), Some("order_placed"));
    assert_eq!(published[2].event_type, None);
}

#[tokio::test]
async fn refuses_the_entries_it_is_told_to() {
    let stub = TopicStub::start();
    stub.fail_entries(1, |message| message.contains("bad"), true);
    let answer = publish(&stub, &["good", "bad", "bad again"]).await.unwrap();
    assert_eq!(answer.successful().len(), 2);
    assert_eq!(answer.failed().len(), 1);
    assert_eq!(answer.failed()[0].id(), "1");
    assert!(answer.failed()[0].sender_fault());
    let messages: Vec<_> = stub.published().into_iter().map(|message| message.message).collect();
    assert_eq!(messages, ["good", "bad again"]);

    stub.fail_entries(1, |_| true, false);
    assert!(!publish(&stub, &["other"]).await.unwrap().failed()[0].sender_fault());
}

#[tokio::test]
async fn fails_and_delays_as_many_calls_as_it_is_told_to() {
    let stub = TopicStub::start();
    stub.fail_calls(2);
    publish(&stub, &["third time"]).await.unwrap();
    assert_eq!(stub.calls(), 3);
    stub.fail_calls(3);
    publish(&stub, &["lost"]).await.unwrap_err();
    assert_eq!(stub.published().len(), 1);

    let delay = Duration::from_millis(50);
    stub.delay_calls(1, delay);
    let started = std::time::Instant::now();
    publish(&stub, &["late"]).await.unwrap();
    assert!(started.elapsed() >= delay);
}

#[tokio::test]
async fn queues_take_messages_and_new_visibility_timeouts() {
    let stub = TopicStub::start();
    let client = aws_sdk_sqs::Client::new(&stub.sdk_config());
    let reason = aws_sdk_sqs::types::MessageAttributeValue::builder().data_type("String");
    let reason = reason.string_value("not an order").build().unwrap();
    let send = client.send_message().queue_url(QUEUE).message_body("{}");
    send.message_attributes("reason", reason).send().await.unwrap();
    let later = client.change_message_visibility().queue_url(QUEUE).receipt_handle("r");
    later.visibility_timeout(16).send().await.unwrap();

    let sent = &stub.sent()[0];
    assert_eq!((sent.queue_url.as_str(), sent.body.as_str()), (QUEUE, "{}"));
    assert_eq!(sent.attributes["reason"], "not an order");
    let retried = &stub.retried()[0];
    assert_eq!((retried.receipt_handle.as_str(), retried.seconds), ("r", 16));

    stub.fail_calls(3);
    client.send_message().queue_url(QUEUE).message_body("{}").send().await.unwrap_err();
}
