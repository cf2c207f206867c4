use std::{collections::HashSet, time::Duration};

use anyhow::{Context, Result};
use aws_sdk_sqs::types::{
    MessageSystemAttributeName, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::watch,
    time::{Interval, MissedTickBehavior, interval},
};

use super::{
    Content, DeadLetterQueue, DeadLetters, Letter, Origin, Outcome, Task,
    handover::{hand_over, hand_over_range},
    sweep::{BATCH, Sweep},
};

/// What is done with each letter before it is deleted.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Act {
    GiveBack,
    Drop,
}

/// A task under way.
struct Run<'a> {
    sweep: Sweep<'a>,
    turn: Turn,
    /// Of what was given back.
    marks: HashSet<Mark>,
    outcome: Outcome,
}

impl Run<'_> {
    /// Those of some letters that there is something to do with; the others are kept.
    fn choose(&mut self, letters: Vec<Letter>, chosen: &(dyn Fn(&Letter) -> bool + Sync)) -> Vec<Letter> {
        let mut kept = Vec::new();
        for letter in letters {
            if self.marks.contains(letter.id()) || change(&letter).is_some_and(|id| self.marks.contains(id)) {
                self.outcome.returned += 1;
            } else if chosen(&letter) {
                kept.push(letter);
                continue;
            } else {
                self.outcome.left += 1;
            }
            self.sweep.hold(&letter);
        }
        kept
    }

    fn note(&mut self, letter: &Letter, done: Result<Option<Mark>>, task: &Task<'_>) {
        match done {
            Ok(mark) => {
                self.marks.extend(mark);
                self.outcome.done += 1;
            }
            Err(error) => {
                self.outcome.failed.push((letter.id().to_owned(), format!("{error:#}")));
                self.sweep.hold(letter);
            }
        }
        (task.progress)(&self.outcome);
    }
}

/// By what a letter is known again that failed once more: the id that its message got when it was sent anew, or that of
/// the change.
type Mark = String;

impl DeadLetters {
    pub(super) async fn work(&self, queue: &DeadLetterQueue, task: &Task<'_>, act: Act) -> Result<Outcome> {
        let time_per_batch = task.rate.interval * u32::try_from(BATCH)?;
        let mut run = Run {
            sweep: Sweep::new(&self.sqs, queue.url(), time_per_batch),
            turn: Turn::new(task.rate.interval, task.stop.clone()),
            marks: HashSet::new(),
            outcome: Outcome::default(),
        };
        let worked = self.work_through(queue, task, act, &mut run).await;
        // Whatever happened: what is still there is to be seen by the next who looks.
        run.sweep.release().await?;
        worked.map(|()| run.outcome)
    }

    async fn work_through(
        &self,
        queue: &DeadLetterQueue,
        task: &Task<'_>,
        act: Act,
        run: &mut Run<'_>,
    ) -> Result<()> {
        while !run.outcome.is_stopped {
            let letters = run.sweep.next().await?;
            if letters.is_empty() {
                break;
            }
            let chosen = run.choose(letters, task.chosen);
            let mut under_way = FuturesUnordered::new();
            for letter in chosen {
                // Those that have begun go on while the next one waits for its turn.
                let may_begin = loop {
                    tokio::select! {
                        may_begin = run.turn.next() => break may_begin,
                        Some((letter, done)) = under_way.next() => run.note(&letter, done, task),
                    }
                };
                if may_begin {
                    under_way.push(async move {
                        let done = self.settle(queue, &letter, act).await;
                        (letter, done)
                    });
                } else {
                    run.outcome.is_stopped = true;
                    run.sweep.hold(&letter);
                }
            }
            while let Some((letter, done)) = under_way.next().await {
                run.note(&letter, done, task);
            }
        }
        Ok(())
    }

    /// Does what is to be done with a letter, and only then deletes it.
    async fn settle(&self, queue: &DeadLetterQueue, letter: &Letter, act: Act) -> Result<Option<Mark>> {
        let mark = match act {
            Act::Drop => None,
            Act::GiveBack => Some(self.give_back(queue, letter).await?),
        };
        let delete = self.sqs.delete_message().queue_url(queue.url()).receipt_handle(letter.receipt_handle());
        delete.send().await.context("it could not be deleted, and may come a second time")?;
        Ok(mark)
    }

    async fn give_back(&self, queue: &DeadLetterQueue, letter: &Letter) -> Result<Mark> {
        match (queue.origin(), letter.content()) {
            (Origin::Queue { url, .. }, _) => self.send_back(url, letter).await,
            (Origin::Stream { function, .. }, Content::Record(record)) => {
                let body = serde_json::from_str(letter.body())?;
                // The function may set it aside again, as another message.
                hand_over(&self.aws, function, &[body]).await?;
                Ok(record.event_id.clone())
            }
            (Origin::Stream { function, .. }, Content::Pointer(pointer)) => {
                hand_over_range(&self.aws, function, pointer).await?;
                Ok(letter.id().to_owned())
            }
            (Origin::Stream { .. }, _) => {
                anyhow::bail!("it is no change of a table: drop it, or hand it on by hand")
            }
            (Origin::Unknown, _) => anyhow::bail!("it belongs to nothing"),
        }
    }

    /// Sends a message as it was to the queue that it came from.
    async fn send_back(&self, url: &str, letter: &Letter) -> Result<Mark> {
        // A queue that delays its messages has delayed this one before.
        let mut request = self.sqs.send_message().queue_url(url).message_body(letter.body()).delay_seconds(0);
        for (name, value) in letter.own_attributes() {
            request = request.message_attributes(name, value);
        }
        let trace = letter.message().attributes();
        if let Some(trace) = trace.and_then(|all| all.get(&MessageSystemAttributeName::AwsTraceHeader)) {
            let value =
                MessageSystemAttributeValue::builder().data_type("String").string_value(trace).build()?;
            request =
                request.message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, value);
        }
        let sent = request.send().await.context("it could not be sent to its queue")?;
        Ok(sent.message_id.unwrap_or_default())
    }
}

/// The id of the change that a letter is of.
fn change(letter: &Letter) -> Option<&str> {
    match letter.content() {
        Content::Record(record) => Some(&record.event_id),
        _ => None,
    }
}

/// Who waits for it begins no more than so many letters in a time, and none once the task is to stop.
struct Turn {
    interval: Option<Interval>,
    stop: watch::Receiver<bool>,
}

impl Turn {
    fn new(time: Duration, stop: watch::Receiver<bool>) -> Self {
        let interval = (!time.is_zero()).then(|| {
            let mut interval = interval(time);
            // Time that was spent waiting for something else is not made up for.
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        Self { interval, stop }
    }

    /// Whether the next letter may begin.
    async fn next(&mut self) -> bool {
        let Self { interval, stop } = self;
        let tick = async {
            if let Some(interval) = interval {
                interval.tick().await;
            }
        };
        tokio::select! {
            biased;
            // An error says that nobody can stop it any more, which is no reason to.
            Ok(_) = stop.wait_for(|is_stopped| *is_stopped) => false,
            () = tick => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_more_begin_than_the_rate_allows_and_time_lost_is_not_made_up_for() {
        let (_stop, stopped) = watch::channel(false);
        let mut turn = Turn::new(Duration::from_millis(100), stopped);
        let start = Instant::now();
        for _ in 0..11 {
            assert!(turn.next().await);
        }
        assert_eq!(start.elapsed(), Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(60)).await;
        let late = Instant::now();
        for _ in 0..11 {
            assert!(turn.next().await);
        }
        assert_eq!(late.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_wait_for_a_turn() {
        let (stop, stopped) = watch::channel(false);
        let mut turn = Turn::new(Duration::from_secs(3600), stopped);
        assert!(turn.next().await);
        let start = Instant::now();
        let (may_begin, ()) = tokio::join!(turn.next(), async { stop.send(true).unwrap() });
        assert!(!may_begin);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
