//! Dead letters: messages and changes of tables that could not be handled.
//!
//! There are three kinds of them. A *message* failed three times, or could not be delivered, and is in the dead-letter
//! queue of its queue: it goes back there. A *record* is a change of a table that could not become an event, and that
//! the function set aside whole, with the reason: it is handed to the function again. A *pointer* is what Lambda leaves
//! when a stream could not be published for twelve hours: it says where the records stand in the stream, from which
//! they are read and handed over, for as long as the stream keeps them.
//!
//! Nothing is deleted before what it stands for is where it belongs. Whatever is broken off in between comes a second
//! time, which changes nothing: events and messages may.

use std::{collections::HashSet, fmt, time::Duration};

use anyhow::{Context, Result, bail};
use aws_types::SdkConfig;
use tokio::sync::watch;

use crate::aws::Aws;

/// Stream records, handed to their function again.
mod handover;
/// What a dead letter is and says.
mod letter;
/// Which dead-letter queues there are, and whose.
mod queues;
/// Why messages failed, out of the log.
mod reasons;
/// Going through a queue without losing or repeating anything.
mod sweep;
/// Going through a queue to empty it.
mod work;

pub use letter::{Content, Letter};
pub use queues::{DeadLetterQueue, Origin};

/// All dead-letter queues of an environment.
#[derive(Debug)]
pub struct DeadLetters {
    sqs: aws_sdk_sqs::Client,
    aws: Aws,
    environment: String,
    queues: Vec<DeadLetterQueue>,
}

/// How much there is in a dead-letter queue.
#[derive(Debug)]
pub struct Summary<'a> {
    /// The queue.
    pub queue: &'a DeadLetterQueue,
    /// Messages in it, also those that somebody has received and not deleted. SQS counts approximately.
    pub count: usize,
    /// How long the oldest of those that were looked at has been waiting.
    pub oldest: Option<Duration>,
    /// Whether there are more than were looked at, so that one may be older.
    pub is_sample: bool,
}

/// What to do with a queue's letters, and how.
pub struct Task<'a> {
    /// Which of them.
    pub chosen: &'a (dyn Fn(&Letter) -> bool + Sync),
    /// How many of them in which time.
    pub rate: Rate,
    /// Set to true, it ends the task after the letters that are under way. Nothing is lost.
    pub stop: watch::Receiver<bool>,
    /// Is told of each letter that is done.
    pub progress: &'a (dyn Fn(&Outcome) + Sync),
}

/// How a task went, or how far it is.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Letters that are where they belong, and gone from the queue.
    pub done: usize,
    /// Letters that could not be, by id, and why. They are still in the queue.
    pub failed: Vec<(String, String)>,
    /// Letters that came back while the task ran: they have failed again, and stay.
    pub returned: usize,
    /// Letters that were seen and not chosen.
    pub left: usize,
    /// Whether the task was stopped.
    pub is_stopped: bool,
}

/// An upper bound on speed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    interval: Duration,
}

impl Rate {
    /// No bound.
    pub const UNBOUNDED: Self = Self { interval: Duration::ZERO };

    /// So many in a second.
    pub fn per_second(number: f64) -> Result<Self> {
        match Duration::try_from_secs_f64(1.0 / number) {
            Ok(interval) if !interval.is_zero() && interval <= Duration::from_secs(3600) => {
                Ok(Self { interval })
            }
            _ => bail!("a rate is between one in an hour and any number in a second"),
        }
    }

    /// The time from one to the next.
    pub fn interval(self) -> Duration {
        self.interval
    }
}

impl std::str::FromStr for Rate {
    type Err = anyhow::Error;

    /// Reads `10/s`, `30/min` or `100/h`; a number alone is per second.
    fn from_str(text: &str) -> Result<Self> {
        let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
        let seconds = match unit {
            "s" => 1.0,
            "min" => 60.0,
            "h" => 3600.0,
            _ => bail!("{unit:?} is not s, min or h"),
        };
        let number: f64 = number.parse().with_context(|| format!("{number:?} is not a number"))?;
        Self::per_second(number / seconds)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::UNBOUNDED {
            return f.write_str("as fast as it goes");
        }
        write!(f, "{}/s", (100.0 / self.interval.as_secs_f64()).round() / 100.0)
    }
}

impl DeadLetters {
    /// Finds the dead-letter queues of an environment, and what they belong to.
    pub async fn find(config: &SdkConfig, environment: &str) -> Result<Self> {
        let (sqs, aws) = (aws_sdk_sqs::Client::new(config), Aws::new(config)?);
        let queues = queues::find(&sqs, &aws, environment).await?;
        Ok(Self { sqs, aws, environment: environment.to_owned(), queues })
    }

    /// The queues, by name.
    pub fn queues(&self) -> &[DeadLetterQueue] {
        &self.queues
    }

    /// A queue by its name, with or without the environment and `-dlq`.
    pub fn queue(&self, name: &str) -> Result<&DeadLetterQueue> {
        let short = |name: &str| {
            let name = name.strip_prefix(&format!("{}-", self.environment)).unwrap_or(name);
            name.strip_suffix("-dlq").unwrap_or(name).to_owned()
        };
        let known = || self.queues.iter().map(|queue| short(queue.name())).collect::<Vec<_>>().join(", ");
        let found = self.queues.iter().find(|queue| short(queue.name()) == short(name));
        found.with_context(|| format!("there is no dead-letter queue {name:?}; there are {}", known()))
    }

    /// How much there is in each queue. Up to ten messages of each are looked at for their age.
    pub async fn list(&self) -> Result<Vec<Summary<'_>>> {
        futures_util::future::try_join_all(self.queues.iter().map(|queue| self.summary(queue))).await
    }

    /// What is in a queue, oldest first, and why: all that is chosen, up to a number. Everything stays in the queue.
    pub async fn show(
        &self,
        queue: &DeadLetterQueue,
        chosen: &(dyn Fn(&Letter) -> bool + Sync),
        limit: usize,
    ) -> Result<Vec<Letter>> {
        let mut letters = self.look(queue, chosen, limit).await?;
        letters.sort_by_key(Letter::sent);
        reasons::explain(&self.aws, queue, &mut letters).await?;
        Ok(letters)
    }

    /// Gives letters back to where they came from: a message to its queue, records to their function. They leave the
    /// dead-letter queue once they are there. A letter that fails again meanwhile is not given back a second time.
    pub async fn redrive(&self, queue: &DeadLetterQueue, task: &Task<'_>) -> Result<Outcome> {
        if let Origin::Unknown = queue.origin() {
            bail!("nothing reads what {} belongs to: deploy the stack as it should be first", queue.name());
        }
        self.work(queue, task, work::Act::GiveBack).await
    }

    /// Deletes letters for good.
    pub async fn drop(&self, queue: &DeadLetterQueue, task: &Task<'_>) -> Result<Outcome> {
        self.work(queue, task, work::Act::Drop).await
    }

    /// Ids of letters as somebody may give them: the beginning is enough if it is that of one alone.
    pub async fn ids(&self, queue: &DeadLetterQueue, given: &[String]) -> Result<HashSet<String>> {
        let is_given = |letter: &Letter| given.iter().any(|id| letter.id().starts_with(id));
        let letters = self.look(queue, &is_given, usize::MAX).await?;
        let mut ids = HashSet::new();
        for id in given {
            let mut found = letters.iter().filter(|letter| letter.id().starts_with(id));
            let letter =
                found.next().with_context(|| format!("there is no message {id} in {}", queue.name()))?;
            if found.next().is_some() {
                bail!("the ids of several messages begin with {id}");
            }
            ids.insert(letter.id().to_owned());
        }
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_in_its_unit_and_said_per_second() {
        let rate = |text: &str| text.parse::<Rate>();
        assert_eq!(rate("10/s").unwrap().interval(), Duration::from_millis(100));
        assert_eq!(rate("10").unwrap(), rate("600/min").unwrap());
        assert_eq!(rate("100/h").unwrap().interval(), Duration::from_secs(36));
        assert_eq!(rate("10/s").unwrap().to_string(), "10/s");
        for wrong in ["", "ten", "0/s", "-1/s", "NaN", "inf", "1/day", "0.5/h"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
