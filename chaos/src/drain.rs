use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use http::Method;
use operations::dead_letters::{DeadLetters, Letter, Rate, Task};
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    announcements::is_id,
    operator::Operator,
    recorder::{Change, Recorder, Recording},
    world::World,
};

/// How often everything is looked at.
const POLL: Duration = Duration::from_millis(500);
/// Nothing has happened for so long: what waits for a time is given it, as if that time had passed.
const IDLE: Duration = Duration::from_secs(2);
/// Nothing is left to do and nothing has happened for so long: it is over.
const QUIET: Duration = Duration::from_secs(3);

/// How the drain went.
#[derive(Debug, Default)]
pub(crate) struct Drained {
    /// How long it took.
    pub(crate) took: Duration,
    /// How often time was made to pass for what waited.
    pub(crate) hastened: usize,
    /// Messages that an outage had moved to dead-letter queues and that got another chance.
    pub(crate) redriven: usize,
    /// What did not come to an end in time.
    pub(crate) stuck: Vec<String>,
    /// What is in the dead-letter queues at the end.
    pub(crate) dead_letters: Vec<Message>,
}

/// A message in a queue.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The queue's name.
    pub(crate) queue: String,
    pub(crate) id: String,
    pub(crate) body: String,
}

/// What has still to happen.
#[derive(Debug, Default)]
struct Work {
    /// Messages that nobody has handled, by queue.
    waiting: BTreeMap<String, usize>,
    /// Messages in dead-letter queues that are no poison.
    failed: Vec<Message>,
    unannounced: usize,
    /// Orders that wait for their stock or their deadline.
    pending: usize,
    /// Everything that was seen to happen so far: more of it means that something is going on.
    happened: usize,
}

/// Waits until nothing moves any more, at most for so long, and gives what an outage moved to dead-letter queues its
/// second chance. Messages with one of the ids in `poison` are where they belong.
pub(crate) async fn drain(
    world: &World,
    recorder: &Recorder,
    poison: &[String],
    at_most: Duration,
) -> Result<Drained> {
    let operator = Operator::new(&world.cloud);
    let (started, mut drained) = (Instant::now(), Drained::default());
    let (mut still_since, mut before) = (Instant::now(), Work::default());
    loop {
        let messages = messages(&operator).await?;
        let work = recorder.look(|recording| Work::left(&messages, recording, poison));
        if work.differs_from(&before) {
            still_since = Instant::now();
        }
        let still = still_since.elapsed();
        if work.is_done() && still >= QUIET || started.elapsed() >= at_most {
            drained.took = started.elapsed();
            drained.stuck = work.stuck();
            drained.dead_letters = messages.into_iter().filter(Message::is_dead).collect();
            return Ok(drained);
        }
        before = work;
        if !before.is_done() && still >= IDLE {
            if !before.failed.is_empty() {
                drained.redriven += redrive(world, poison).await?;
            }
            operator.admin(Method::POST, "/_local_cloud/hasten", None).await?;
            drained.hastened += 1;
            still_since = Instant::now();
        }
        tokio::time::sleep(POLL).await;
    }
}

/// All messages of all queues but the recorder's, also those that somebody has received and not deleted. Receiving them
/// would count as an attempt to handle them; this is the local cloud's own way of looking.
pub(crate) async fn messages(operator: &Operator) -> Result<Vec<Message>> {
    let answer = operator.admin(Method::GET, "/_ministack/sqs/messages", None).await?;
    let mut messages = Vec::new();
    let scopes = answer["messages"].as_object().into_iter().flatten();
    for (url, kept) in scopes.flat_map(|(_, regions)| queues(regions)) {
        let queue = url.rsplit('/').next().unwrap_or(url);
        let text = |message: &Value, name: &str| message[name].as_str().unwrap_or_default().to_owned();
        let message = |message: &Value| Message {
            queue: queue.to_owned(),
            id: text(message, "MessageId"),
            body: text(message, "Body"),
        };
        if !queue.starts_with(crate::recorder::PREFIX) {
            messages.extend(kept.as_array().into_iter().flatten().map(message));
        }
    }
    Ok(messages)
}

fn queues(regions: &Value) -> impl Iterator<Item = (&String, &Value)> {
    regions.as_object().into_iter().flatten().flat_map(|(_, queues)| queues.as_object().into_iter().flatten())
}

impl Message {
    /// Whether it is in a dead-letter queue.
    pub(crate) fn is_dead(&self) -> bool {
        self.queue.ends_with("-dlq")
    }

    /// Whether it is one of the messages that nobody can read.
    pub(crate) fn is_poison(&self, poison: &[String]) -> bool {
        poison.iter().any(|id| self.body.contains(id.as_str()))
    }
}

impl Work {
    fn left(messages: &[Message], recording: &Recording, poison: &[String]) -> Self {
        let (dead, waits): (Vec<&Message>, Vec<_>) = messages.iter().partition(|message| message.is_dead());
        let mut waiting = BTreeMap::new();
        for message in waits {
            *waiting.entry(message.queue.clone()).or_default() += 1;
        }
        let failed = dead.into_iter().filter(|message| !message.is_poison(poison)).cloned().collect();
        Self {
            waiting,
            failed,
            unannounced: recording.unannounced(),
            pending: pending(recording).count(),
            happened: recording.changes.len() + recording.events.len(),
        }
    }

    fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.failed.is_empty() && self.unannounced == 0 && self.pending == 0
    }

    fn differs_from(&self, other: &Self) -> bool {
        self.waiting != other.waiting
            || self.happened != other.happened
            || self.failed.len() != other.failed.len()
    }

    fn stuck(&self) -> Vec<String> {
        let mut stuck: Vec<String> =
            self.waiting.iter().map(|(queue, count)| format!("{count} messages in {queue}")).collect();
        let failed =
            |message: &Message| format!("message {} in {}: {}", message.id, message.queue, message.body);
        stuck.extend(self.failed.iter().map(failed));
        if self.unannounced > 0 {
            stuck.push(format!("{} changes that no topic was told of", self.unannounced));
        }
        if self.pending > 0 {
            stuck.push(format!("{} orders that are PENDING", self.pending));
        }
        stuck
    }
}

/// The ids of orders that wait.
fn pending(recording: &Recording) -> impl Iterator<Item = &str> {
    let is_pending = |change: &&Change| change.text("status") == "PENDING";
    let orders = recording.rows().remove("orders").unwrap_or_default().into_iter();
    orders
        .filter(|(key, _)| is_id(key))
        .filter_map(move |(key, changes)| changes.last().copied().filter(is_pending).map(|_| key))
}

/// Puts back what is in dead-letter queues and no poison, as an operator does; answers how much that was.
async fn redrive(world: &World, poison: &[String]) -> Result<usize> {
    let letters = DeadLetters::find(&world.config, &world.environment).await?;
    let no_poison = |letter: &Letter| !poison.iter().any(|id| letter.body().contains(id.as_str()));
    let (_stop, stop) = watch::channel(false);
    let mut redriven = 0;
    for filled in letters.list().await?.iter().filter(|summary| summary.count > 0) {
        let task = Task { chosen: &no_poison, rate: Rate::UNBOUNDED, stop: stop.clone(), progress: &|_| {} };
        redriven += letters.redrive(filled.queue, &task).await?.done;
    }
    Ok(redriven)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use serde_json::json;

    use super::*;

    fn message(queue: &str, body: &str) -> Message {
        Message { queue: queue.to_owned(), id: "m".to_owned(), body: body.to_owned() }
    }

    fn placed(status: &str) -> Change {
        let key = "00000000-0000-8000-8000-000000000001".to_owned();
        let after = Some(json!({ "order_id": key, "status": status, "version": 1 }));
        Change { at: SystemTime::now(), table: "orders", id: "change".to_owned(), key, after }
    }

    #[test]
    fn poison_is_where_it_belongs_and_everything_else_is_work() {
        let poison = ["p-1".to_owned()];
        let left = |messages: &[Message], recording| Work::left(messages, &recording, &poison);
        assert!(left(&[message("dev-user-events-dlq", "p-1")], Recording::default()).is_done());
        for message in [message("dev-user-events-dlq", "{}"), message("dev-user-events", "p-1")] {
            let work = left(&[message], Recording::default());
            assert!(!work.is_done() && work.stuck().len() == 1, "{work:?}");
        }
        let recording = Recording { changes: vec![placed("PENDING")], events: Vec::new() };
        let work = left(&[], recording);
        assert_eq!((work.unannounced, work.pending, work.stuck().len()), (1, 1, 2));
        let recording = Recording { changes: vec![placed("REJECTED")], events: Vec::new() };
        assert_eq!(left(&[], recording).pending, 0);
    }
}
