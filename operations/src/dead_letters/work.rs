use std::{collections::HashSet, time::Duration};

use anyhow::{Context, Result};
use aws_sdk_sqs::types::{
    MessageSystemAttributeName, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
};
use futures_util::{StreamExt, stream};
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

/// By what a letter is known again that failed once more: the id that its message got when it was sent anew, or that of
/// the change.
type Mark = String;

impl DeadLetters {
    pub(super) async fn work(&self, queue: &DeadLetterQueue, task: &Task<'_>, act: Act) -> Result<Outcome> {
        let time_per_batch = task.rate.interval * u32::try_from(BATCH)?;
        let mut sweep = Sweep::new(&self.sqs, queue.url(), time_per_batch);
        let mut outcome = Outcome::default();
        let worked = self.work_through(queue, task, act, &mut sweep, &mut outcome).await;
        // Whatever happened: what is still there is to be seen by the next who looks.
        sweep.release().await?;
        worked.map(|()| outcome)
    }

    async fn work_through(
        &self,
        queue: &DeadLetterQueue,
        task: &Task<'_>,
        act: Act,
        sweep: &mut Sweep<'_>,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let mut turn = Turn::new(task.rate.interval, task.stop.clone());
        let mut marks: HashSet<Mark> = HashSet::new();
        loop {
            let letters = sweep.next().await?;
            if letters.is_empty() {
                return Ok(());
            }
            let (mut chosen, mut others) = (Vec::new(), Vec::new());
            for letter in letters {
                if marks.contains(letter.id()) || change(&letter).is_some_and(|id| marks.contains(id)) {
                    outcome.returned += 1;
                    others.push(letter);
                } else if (task.chosen)(&letter) {
                    chosen.push(letter);
                } else {
                    outcome.left += 1;
                    others.push(letter);
                }
            }
            others.iter().for_each(|letter| sweep.hold(letter));

            let mut under_way = Vec::new();
            let mut work = stream::FuturesUnordered::new();
            for letter in chosen {
                // Those that have begun go on while the next one waits for its turn.
                let may_begin = {
                    let next = turn.next();
                    tokio::pin!(next);
                    loop {
                        tokio::select! {
                            may_begin = &mut next => break may_begin,
                            Some(done) = work.next(), if !work.is_empty() => under_way.push(done),
                        }
                    }
                };
                if !may_begin {
                    outcome.is_stopped = true;
                    sweep.hold(&letter);
                    continue;
                }
                work.push(async move {
                    let done = self.settle(queue, &letter, act).await;
                    (letter, done)
                });
            }
            while let Some(done) = work.next().await {
                under_way.push(done);
            }
            for (letter, done) in under_way {
                match done {
                    Ok(mark) => {
                        marks.extend(mark);
                        outcome.done += 1;
                    }
                    Err(error) => {
                        outcome.failed.push((letter.id().to_owned(), format!("{error:#}")));
                        sweep.hold(&letter);
                    }
                }
                (task.progress)(outcome);
            }
            if outcome.is_stopped {
                return Ok(());
            }
        }
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
        let mut request = self.sqs.send_message().queue_url(url).message_body(letter.body());
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
