use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{
    aws::{Aws, element},
    cloud::Outputs,
    processes,
    shop::text,
};

const TOPICS: [&str; 3] = ["UserEventsTopicArn", "ProductEventsTopicArn", "OrderEventsTopicArn"];
const DEADLINE: Duration = Duration::from_secs(15);

/// A queue of its own that hears every event of the shop, for as long as this value lives.
pub(crate) struct Listener {
    aws: Aws,
    queue_url: String,
    subscriptions: Vec<String>,
}

/// An event that was heard.
pub(crate) struct Heard {
    /// What happened.
    pub(crate) event_type: String,
    /// The service that said it.
    pub(crate) source: String,
    /// What it happened to.
    pub(crate) subject: String,
}

impl Listener {
    /// Listens from now on.
    pub(crate) fn start(aws: Aws, outputs: &Outputs) -> Result<Self> {
        let name = format!("demo-{}", std::process::id());
        let created = aws.json("sqs", "AmazonSQS.CreateQueue", &json!({ "QueueName": name }))?;
        let queue_url = text(&created, "QueueUrl")?.to_owned();
        let mut listener = Self { aws, queue_url, subscriptions: Vec::new() };
        for topic in TOPICS {
            let topic = outputs.get(topic).with_context(|| format!("the stack has no output {topic}"))?;
            // Topic and queue are in one account and region; their ARNs differ in service and name.
            let account = topic.rsplit_once(':').context("not an ARN")?.0.replace(":sns:", ":sqs:");
            let subscribed = listener.aws.query(
                "sns",
                &[
                    ("Action", "Subscribe"),
                    ("TopicArn", topic),
                    ("Protocol", "sqs"),
                    ("Endpoint", &format!("{account}:{name}")),
                    ("Attributes.entry.1.key", "RawMessageDelivery"),
                    ("Attributes.entry.1.value", "true"),
                ],
            )?;
            let subscription = element(&subscribed, "SubscriptionArn").context("no subscription")?;
            listener.subscriptions.push(subscription.to_owned());
        }
        Ok(listener)
    }

    /// Listens until every one of these types was heard about these things; tells of each event as it comes.
    pub(crate) fn hear(&self, expected: &[(&str, &str)], mut tell: impl FnMut(&Heard)) -> Result<()> {
        let start = Instant::now();
        let mut missing = expected.to_vec();
        while !missing.is_empty() {
            ensure!(!processes::interrupted(), "interrupted");
            if start.elapsed() > DEADLINE {
                bail!("within {} s nobody heard of {missing:?}", DEADLINE.as_secs());
            }
            for event in self.receive()? {
                missing.retain(|wanted| *wanted != (&event.event_type, &event.subject));
                if expected.iter().any(|(_, subject)| *subject == event.subject) {
                    tell(&event);
                }
            }
        }
        Ok(())
    }

    fn receive(&self) -> Result<Vec<Heard>> {
        let request = json!({ "QueueUrl": self.queue_url, "WaitTimeSeconds": 1, "MaxNumberOfMessages": 10 });
        let received = self.aws.json("sqs", "AmazonSQS.ReceiveMessage", &request)?;
        let mut heard = Vec::new();
        for message in received["Messages"].as_array().into_iter().flatten() {
            let event: Value = serde_json::from_str(text(message, "Body")?)?;
            heard.push(Heard {
                event_type: text(&event, "type")?.to_owned(),
                source: text(&event, "source")?.trim_start_matches('/').to_owned(),
                subject: text(&event, "subject")?.to_owned(),
            });
            let handle = json!({ "QueueUrl": self.queue_url, "ReceiptHandle": message["ReceiptHandle"] });
            self.aws.json("sqs", "AmazonSQS.DeleteMessage", &handle)?;
        }
        Ok(heard)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let unsubscribed = self.subscriptions.iter().try_for_each(|arn| {
            let parameters = [("Action", "Unsubscribe"), ("SubscriptionArn", arn.as_str())];
            self.aws.query("sns", &parameters).map(drop)
        });
        let deleted =
            self.aws.json("sqs", "AmazonSQS.DeleteQueue", &json!({ "QueueUrl": self.queue_url })).map(drop);
        if let Err(error) = unsubscribed.and(deleted) {
            eprintln!("the demo's queue stays behind in the local cloud: {error:#}");
        }
    }
}
