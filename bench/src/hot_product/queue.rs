use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// When a message that failed comes again, if nobody asked for another time: as long as the template hides it.
const VISIBILITY: Duration = Duration::from_secs(180);
/// So often a message is received before it goes to the dead-letter queue.
const RECEIVES: usize = 3;

/// A queue as SQS keeps it, whose clock is put forward whenever there is nothing to do but to wait.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    ready: VecDeque<Message>,
    hidden: Vec<(Instant, Message)>,
    under_way: usize,
    skipped: Duration,
    deliveries: [u64; RECEIVES],
    dead: Vec<Message>,
    /// Somebody can't go on: nobody waits any more.
    is_given_up: bool,
}

/// A record of a batch, as SQS hands it over.
pub(super) struct Message {
    record: Value,
    receives: usize,
}

/// What became of all messages.
pub(super) struct Outcome {
    /// How often messages were delivered for the first time, the second time, and so on.
    pub(super) deliveries: [u64; RECEIVES],
    /// How many went to the dead-letter queue.
    pub(super) dead: usize,
    /// Waiting that was left out.
    pub(super) skipped: Duration,
}

impl Message {
    pub(super) fn new(mut record: Value) -> Self {
        record["receiptHandle"] = record["messageId"].clone();
        Self { record, receives: 0 }
    }

    pub(super) fn id(&self) -> &str {
        self.record["messageId"].as_str().unwrap_or_default()
    }
}

impl Queue {
    pub(super) fn new(messages: Vec<Message>) -> Self {
        let state = State {
            ready: messages.into(),
            hidden: Vec::new(),
            under_way: 0,
            skipped: Duration::ZERO,
            deliveries: [0; RECEIVES],
            dead: Vec::new(),
            is_given_up: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The next messages, and the event that delivers them; `None` if no message is left.
    pub(super) fn receive(&self, most: usize) -> Option<(Vec<Message>, String)> {
        let mut state = self.lock();
        loop {
            let now = Instant::now() + state.skipped;
            state.show(now);
            if state.is_given_up
                || (state.ready.is_empty() && state.hidden.is_empty() && state.under_way == 0)
            {
                self.changed.notify_all();
                return None;
            }
            if !state.ready.is_empty() {
                return Some(state.take(most));
            }
            match state.hidden.iter().map(|(due, _)| *due).min() {
                Some(due) if state.under_way == 0 => state.skipped += due.saturating_duration_since(now),
                Some(due) => {
                    let wait = due.saturating_duration_since(now);
                    state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
                }
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Takes a batch back with its answer: which messages failed, and when some of them were asked to come again.
    pub(super) fn settle(&self, batch: Vec<Message>, failed: &[String], postponed: &BTreeMap<String, u64>) {
        let mut state = self.lock();
        state.under_way -= batch.len();
        let now = Instant::now() + state.skipped;
        for message in batch {
            if !failed.iter().any(|id| id == message.id()) {
                continue;
            }
            let wait =
                postponed.get(message.id()).map_or(VISIBILITY, |seconds| Duration::from_secs(*seconds));
            if message.receives < RECEIVES {
                state.hidden.push((now + wait, message));
            } else {
                state.dead.push(message);
            }
        }
        self.changed.notify_all();
    }

    /// Lets nobody wait any more.
    pub(super) fn give_up(&self) {
        self.lock().is_given_up = true;
        self.changed.notify_all();
    }

    pub(super) fn outcome(&self) -> Outcome {
        let state = self.lock();
        Outcome { deliveries: state.deliveries, dead: state.dead.len(), skipped: state.skipped }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Lets messages whose time has come be received.
    fn show(&mut self, now: Instant) {
        let due = self.hidden.extract_if(.., |(due, _)| *due <= now);
        self.ready.extend(due.map(|(_, message)| message));
    }

    fn take(&mut self, most: usize) -> (Vec<Message>, String) {
        let most = most.min(self.ready.len());
        let mut batch: Vec<Message> = self.ready.drain(..most).collect();
        for message in &mut batch {
            message.receives += 1;
            self.deliveries[message.receives - 1] += 1;
            message.record["attributes"]["ApproximateReceiveCount"] = message.receives.to_string().into();
        }
        self.under_way += batch.len();
        let records: Vec<&Value> = batch.iter().map(|message| &message.record).collect();
        let event = json!({ "Records": records }).to_string();
        (batch, event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(ids: &[&str]) -> Queue {
        let message = |id: &&str| Message::new(json!({"messageId": id, "attributes": {}}));
        Queue::new(ids.iter().map(message).collect())
    }

    fn ids(batch: &[Message]) -> Vec<String> {
        batch.iter().map(|message| message.id().to_owned()).collect()
    }

    #[test]
    fn what_fails_three_times_is_dead_and_no_time_is_spent_waiting() {
        let queue = queue(&["a", "b", "c"]);
        let (batch, event) = queue.receive(2).unwrap();
        assert_eq!(ids(&batch), ["a", "b"]);
        assert!(event.contains(r#""ApproximateReceiveCount":"1""#), "{event}");
        queue.settle(batch, &["b".to_owned()], &BTreeMap::from([("b".to_owned(), 5)]));
        let (batch, _) = queue.receive(9).unwrap();
        assert_eq!(ids(&batch), ["c"]);
        queue.settle(batch, &[], &BTreeMap::new());
        for _ in 0..2 {
            let (batch, _) = queue.receive(9).unwrap();
            assert_eq!(ids(&batch), ["b"]);
            queue.settle(batch, &["b".to_owned()], &BTreeMap::new());
        }
        assert!(queue.receive(9).is_none());
        let Outcome { deliveries, dead, skipped } = queue.outcome();
        assert_eq!((deliveries, dead), ([3, 1, 1], 1));
        assert!(skipped > Duration::from_secs(184) && skipped <= Duration::from_secs(185), "{skipped:?}");
    }
}
