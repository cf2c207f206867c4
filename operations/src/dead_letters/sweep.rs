use std::{
    collections::{HashMap, HashSet},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, MessageSystemAttributeName, QueueAttributeName,
};

use super::{DeadLetterQueue, DeadLetters, Letter, Summary};

/// What one call of SQS takes or gives.
pub(super) const BATCH: usize = 10;
/// How long SQS itself looks for messages. Only then does it ask all of its servers.
const PATIENCE_S: i32 = 1;
/// Answers in a row with nothing but what was seen before: messages that came back because a sweep takes long.
const ROUNDS_WITHOUT_NEWS: u32 = 3;
/// For how long what was received stays away from others, at least.
const HIDDEN: Duration = Duration::from_secs(60);
/// For how long what is only counted does.
const HIDDEN_FOR_A_LOOK: Duration = Duration::from_secs(10);
/// What SQS allows.
const HIDDEN_AT_MOST: Duration = Duration::from_secs(12 * 3600);

/// A way through all messages of a queue. Whatever it does not delete it keeps hidden until `release`, so that it does
/// not meet it again; what is hidden when the process is killed comes back by itself.
pub(super) struct Sweep<'a> {
    sqs: &'a aws_sdk_sqs::Client,
    url: &'a str,
    hidden: Duration,
    seen: HashSet<String>,
    /// Receipt handles of what is to be visible again, by id.
    held: HashMap<String, String>,
}

impl<'a> Sweep<'a> {
    /// Begins; each batch takes its owner this long.
    pub(super) fn new(sqs: &'a aws_sdk_sqs::Client, url: &'a str, time_per_batch: Duration) -> Self {
        let hidden = (time_per_batch + HIDDEN).min(HIDDEN_AT_MOST);
        Self { sqs, url, hidden, seen: HashSet::new(), held: HashMap::new() }
    }

    /// Up to ten that were not seen yet; none if all were.
    pub(super) async fn next(&mut self) -> Result<Vec<Letter>> {
        for _ in 0..ROUNDS_WITHOUT_NEWS {
            let received = receive(self.sqs, self.url, self.hidden).await?;
            if received.is_empty() {
                break;
            }
            let mut new = Vec::new();
            for letter in received {
                if self.seen.insert(letter.id().to_owned()) {
                    new.push(letter);
                } else if self.held.contains_key(letter.id()) {
                    self.hold(&letter);
                }
                // What is seen again and not held was deleted, which SQS may forget once: it comes back to nobody's harm.
            }
            if !new.is_empty() {
                return Ok(new);
            }
        }
        Ok(Vec::new())
    }

    /// Keeps a letter hidden until the end.
    pub(super) fn hold(&mut self, letter: &Letter) {
        self.held.insert(letter.id().to_owned(), letter.receipt_handle().to_owned());
    }

    /// Makes all visible again that was not deleted.
    pub(super) async fn release(self) -> Result<()> {
        show(self.sqs, self.url, &self.held.into_values().collect::<Vec<_>>()).await
    }
}

impl DeadLetters {
    /// The letters of a queue that are chosen, which all stay in it.
    pub(super) async fn look(
        &self,
        queue: &DeadLetterQueue,
        chosen: &(dyn Fn(&Letter) -> bool + Sync),
        limit: usize,
    ) -> Result<Vec<Letter>> {
        let mut sweep = Sweep::new(&self.sqs, queue.url(), Duration::ZERO);
        let mut found = Vec::new();
        let outcome = async {
            while found.len() < limit {
                let letters = sweep.next().await?;
                if letters.is_empty() {
                    break;
                }
                letters.iter().for_each(|letter| sweep.hold(letter));
                found.extend(letters.into_iter().filter(|letter| chosen(letter)));
            }
            found.truncate(limit);
            Ok(found)
        }
        .await;
        sweep.release().await?;
        outcome
    }

    pub(super) async fn summary<'a>(&self, queue: &'a DeadLetterQueue) -> Result<Summary<'a>> {
        let count = self.count(queue).await?;
        if count == 0 {
            return Ok(Summary { queue, count, oldest: None, is_sample: false });
        }
        let letters = receive(&self.sqs, queue.url(), HIDDEN_FOR_A_LOOK).await?;
        let handles: Vec<_> = letters.iter().map(|letter| letter.receipt_handle().to_owned()).collect();
        show(&self.sqs, queue.url(), &handles).await?;
        let oldest = letters.iter().map(Letter::sent).min();
        let oldest = oldest.map(|sent| SystemTime::now().duration_since(sent).unwrap_or_default());
        Ok(Summary { queue, count, oldest, is_sample: letters.len() < count })
    }

    async fn count(&self, queue: &DeadLetterQueue) -> Result<usize> {
        let counts = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        self.sum(queue.url(), &counts).await
    }

    /// How many messages of a queue wait for whoever consumes it.
    pub(crate) async fn waiting(&self, url: &str) -> Result<usize> {
        self.sum(url, &[QueueAttributeName::ApproximateNumberOfMessages]).await
    }

    async fn sum(&self, url: &str, counts: &[QueueAttributeName]) -> Result<usize> {
        let request = self.sqs.get_queue_attributes().queue_url(url);
        let answer = request.set_attribute_names(Some(counts.to_vec())).send().await;
        let attributes =
            answer.with_context(|| format!("{url} can't be counted"))?.attributes.unwrap_or_default();
        let count =
            |name| attributes.get(name).and_then(|count| count.parse::<usize>().ok()).unwrap_or_default();
        Ok(counts.iter().map(count).sum())
    }
}

async fn receive(sqs: &aws_sdk_sqs::Client, url: &str, hidden: Duration) -> Result<Vec<Letter>> {
    let answer = sqs
        .receive_message()
        .queue_url(url)
        .max_number_of_messages(BATCH as i32)
        .wait_time_seconds(PATIENCE_S)
        .visibility_timeout(i32::try_from(hidden.as_secs())?)
        .message_attribute_names("All")
        .message_system_attribute_names(MessageSystemAttributeName::All)
        .send()
        .await
        .with_context(|| format!("{url} can't be read"))?;
    Ok(answer.messages.unwrap_or_default().into_iter().map(Letter::new).collect())
}

/// Makes messages visible. That some are not is no failure: they will be, when the time is over for which they are
/// hidden.
async fn show(sqs: &aws_sdk_sqs::Client, url: &str, handles: &[String]) -> Result<()> {
    for chunk in handles.chunks(BATCH) {
        let mut request = sqs.change_message_visibility_batch().queue_url(url);
        for (index, handle) in chunk.iter().enumerate() {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(handle)
                .visibility_timeout(0)
                .build()?;
            request = request.entries(entry);
        }
        request
            .send()
            .await
            .with_context(|| format!("what was looked at in {url} stays hidden for a while"))?;
    }
    Ok(())
}
