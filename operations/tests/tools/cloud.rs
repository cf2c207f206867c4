use std::{
    collections::HashMap,
    future::Future,
    time::{Duration, Instant},
};

use aws_sdk_sqs::types::QueueAttributeName;
use aws_types::SdkConfig;
use operations::dead_letters::{DeadLetters, Letter, Outcome, Rate, Task};
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard, watch};

const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run these tests by `cargo xtask test`"))
}

/// Who looks through a queue hides it from others, and what one test leaves in it is none of the next one's.
pub(crate) async fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

pub(crate) fn config() -> SdkConfig {
    test_support::sdk_config(&variable("SHOP_CLOUD_URL"))
}

/// The name of a resource in the deployed environment.
pub(crate) fn name(of: &str) -> String {
    format!("{}-{of}", variable("SHOP_ENVIRONMENT"))
}

pub(crate) fn sqs() -> aws_sdk_sqs::Client {
    aws_sdk_sqs::Client::new(&config())
}

pub(crate) async fn dead_letters() -> DeadLetters {
    DeadLetters::find(&config(), &variable("SHOP_ENVIRONMENT")).await.unwrap()
}

/// Asks again and again until there is an answer.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: not within {} s", PATIENCE.as_secs());
        tokio::time::sleep(POLL).await;
    }
}

/// What does not come to an end fails the test.
pub(crate) async fn in_time<T>(work: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(PATIENCE, work).await;
    outcome.unwrap_or_else(|_| panic!("not done within {} s", PATIENCE.as_secs()))
}

async fn url(queue: &str) -> String {
    let answer = sqs().get_queue_url().queue_name(name(queue)).send().await.unwrap();
    answer.queue_url.unwrap()
}

/// Puts a message into a queue, at once visible; its id.
pub(crate) async fn send(queue: &str, body: &str) -> String {
    let request = sqs().send_message().queue_url(url(queue).await).message_body(body).delay_seconds(0);
    request.send().await.unwrap().message_id.unwrap()
}

/// Puts many messages into a queue.
pub(crate) async fn send_all(queue: &str, bodies: &[String]) {
    for chunk in bodies.chunks(10) {
        let mut request = sqs().send_message_batch().queue_url(url(queue).await);
        for (index, body) in chunk.iter().enumerate() {
            let entry = aws_sdk_sqs::types::SendMessageBatchRequestEntry::builder();
            request = request.entries(entry.id(index.to_string()).message_body(body).build().unwrap());
        }
        assert!(request.send().await.unwrap().failed.is_empty());
    }
}

/// What a queue holds: what is visible, and what is not.
pub(crate) async fn counts(queue: &str) -> (usize, usize) {
    let request = sqs().get_queue_attributes().queue_url(url(queue).await);
    let answer = request.attribute_names(QueueAttributeName::All).send().await.unwrap();
    let attributes: HashMap<_, _> = answer.attributes.unwrap();
    let count = |name| attributes[&name].parse().unwrap();
    (
        count(QueueAttributeName::ApproximateNumberOfMessages),
        count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
    )
}

/// Well-formed, of a type that no service knows: whoever gets it has nothing to do.
pub(crate) fn of_no_concern(mark: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{mark}","source":"/test","type":"of_no_concern","subject":"{mark}","time":"2026-01-02T03:04:05.000Z","data":{{}}}}"#
    )
}

/// A call of a service that speaks JSON, in its own words.
pub(crate) async fn call(target: &str, input: Value) -> Value {
    let address = variable("SHOP_CLOUD_URL");
    let authorization = "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=none";
    let target = target.to_owned();
    let call = move || {
        let request =
            ureq::post(address).header("authorization", authorization).header("x-amz-target", target);
        let mut answer = request.send(input.to_string()).unwrap();
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    };
    tokio::task::spawn_blocking(call).await.unwrap()
}

/// A bound that is none, and nobody who stops it.
pub(crate) fn all<'a>(chosen: &'a (dyn Fn(&Letter) -> bool + Sync)) -> Task<'a> {
    Task { chosen, rate: Rate::UNBOUNDED, stop: watch::channel(false).1, progress: &|_: &Outcome| {} }
}

/// The letters of a queue that have a mark, once there are so many.
pub(crate) async fn letters_with(queue: &str, mark: &str, number: usize) -> Vec<Letter> {
    let dead_letters = dead_letters().await;
    let (dead_letters, has_mark) = (&dead_letters, |letter: &Letter| letter.body().contains(mark));
    let found = || async {
        let queue = dead_letters.queue(queue).unwrap();
        let letters = dead_letters.show(queue, &has_mark, usize::MAX).await.unwrap();
        (letters.len() == number).then_some(letters)
    };
    eventually(&format!("{number} dead letters in {queue}"), found).await
}

/// Hears what a topic publishes.
pub(crate) struct Listener {
    url: String,
    subscription: String,
}

impl Listener {
    pub(crate) async fn start(topic: &str) -> Self {
        let queue = format!("listener-{}", uuid::Uuid::now_v7());
        let url = sqs().create_queue().queue_name(queue).send().await.unwrap().queue_url.unwrap();
        let attribute = QueueAttributeName::QueueArn;
        let request = sqs().get_queue_attributes().queue_url(&url).attribute_names(attribute.clone());
        let arn = request.send().await.unwrap().attributes.unwrap().remove(&attribute).unwrap();
        let policy = serde_json::json!({
            "Statement": [{
                "Effect": "Allow", "Principal": { "Service": "sns.amazonaws.com" },
                "Action": "sqs:SendMessage", "Resource": arn,
            }],
        });
        let request = sqs().set_queue_attributes().queue_url(&url);
        request.attributes(QueueAttributeName::Policy, policy.to_string()).send().await.unwrap();
        let sns = aws_sdk_sns::Client::new(&config());
        let topics = sns.list_topics().send().await.unwrap().topics.unwrap();
        let topic =
            topics.into_iter().filter_map(|topic| topic.topic_arn).find(|arn| arn.ends_with(&name(topic)));
        let request = sns.subscribe().topic_arn(topic.unwrap()).protocol("sqs").endpoint(arn);
        let subscribed = request.attributes("RawMessageDelivery", "true").send().await.unwrap();
        Self { url, subscription: subscribed.subscription_arn.unwrap() }
    }

    /// Leaves nothing behind: what a deleted stack leaves is looked for.
    pub(crate) async fn stop(self) {
        let sns = aws_sdk_sns::Client::new(&config());
        sns.unsubscribe().subscription_arn(self.subscription).send().await.unwrap();
        sqs().delete_queue().queue_url(self.url).send().await.unwrap();
    }

    /// The next event about a subject.
    pub(crate) async fn next_of(&self, subject: &str) -> Value {
        let heard = || async {
            let request = sqs().receive_message().queue_url(&self.url).max_number_of_messages(1);
            let message = request.send().await.unwrap().messages?.pop()?;
            let handle = message.receipt_handle.unwrap();
            sqs().delete_message().queue_url(&self.url).receipt_handle(handle).send().await.unwrap();
            let event: Value = serde_json::from_str(&message.body.unwrap()).unwrap();
            (event["subject"] == subject).then_some(event)
        };
        eventually(&format!("an event about {subject}"), heard).await
    }
}
