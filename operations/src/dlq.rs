use std::{
    collections::HashSet,
    io::{IsTerminal, Write, stdout},
    time::SystemTime,
};

use anyhow::{Context, bail, ensure};
use aws_types::SdkConfig;
use clap::{Args, Subcommand};
use operations::{
    dead_letters::{DeadLetterQueue, DeadLetters, Letter, Origin, Outcome, Rate, Task},
    doctor::in_words,
};

use crate::{Healthy, stop_on_signals};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Every dead-letter queue: how much is in it, for how long, and where it came from
    List,
    /// What is in a queue, and why it is there; it stays there
    Show {
        /// The queue, as `list` calls it
        queue: String,
        /// Only messages whose ids begin like this
        #[arg(long)]
        id: Vec<String>,
        /// Messages that are shown, at most
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Print whole messages: they may hold personal data. Passwords' hashes and tokens are left out
        #[arg(long)]
        body: bool,
    },
    /// Give messages back: to their queue, or to the function that publishes the change
    ///
    /// Says what it would do; with --yes it does it. Repair the cause first. Ctrl-C ends it after the messages that are
    /// under way; nothing is lost, and it can be run again.
    Redrive(Work),
    /// Delete messages for good
    ///
    /// Says what it would do; with --yes it does it.
    Drop(Work),
}

#[derive(Args)]
pub(crate) struct Work {
    /// The queue, as `list` calls it
    queue: String,
    /// A message, by its id or the beginning of it; may be given several times
    #[arg(long, required_unless_present = "all")]
    id: Vec<String>,
    /// All messages
    #[arg(long, conflicts_with = "id")]
    all: bool,
    /// How many messages in a second, a minute or an hour, as 10/s, 30/min, 100/h
    #[arg(long, default_value = "10/s")]
    rate: Rate,
    /// Do it
    #[arg(long)]
    yes: bool,
}

/// Runs a command; false if a part of it failed.
pub(crate) async fn run(command: &Command, config: &SdkConfig, environment: &str) -> Healthy {
    let letters = DeadLetters::find(config, environment).await?;
    ensure!(!letters.queues().is_empty(), "there are no queues of the environment {environment} here");
    match command {
        Command::List => list(&letters).await,
        Command::Show { queue, id, limit, body } => {
            show(&letters, letters.queue(queue)?, id, *limit, *body).await
        }
        Command::Redrive(work) => Act::Redrive.run(&letters, work).await,
        Command::Drop(work) => Act::Drop.run(&letters, work).await,
    }
}

async fn list(letters: &DeadLetters) -> Healthy {
    let summaries = letters.list().await?;
    let width = summaries.iter().map(|summary| summary.queue.name().len()).max().unwrap_or_default();
    println!("{:width$}  {:>7}  {:<14}from", "queue", "letters", "oldest");
    for summary in summaries {
        let oldest = summary.oldest.map(in_words).unwrap_or_default();
        let at_least = if summary.is_sample { "≥ " } else { "" };
        println!(
            "{:width$}  {:>7}  {:<14}{}",
            summary.queue.name(),
            summary.count,
            format!("{at_least}{oldest}"),
            origin(summary.queue)
        );
    }
    Ok(true)
}

fn origin(queue: &DeadLetterQueue) -> String {
    match queue.origin() {
        Origin::Queue { name, function, .. } => format!("queue {name}, {}", function.name),
        Origin::Stream { table, function } => format!("changes of {table}, {}", function.name),
        Origin::Unknown => "nothing that is deployed".to_owned(),
    }
}

async fn show(
    letters: &DeadLetters,
    queue: &DeadLetterQueue,
    ids: &[String],
    limit: usize,
    with_body: bool,
) -> Healthy {
    let chosen = |letter: &Letter| ids.is_empty() || ids.iter().any(|id| letter.id().starts_with(id));
    let found = letters.show(queue, &chosen, limit).await?;
    for letter in &found {
        let age = SystemTime::now().duration_since(letter.sent()).unwrap_or_default();
        println!("{}  sent {} ago, received {} times", letter.id(), in_words(age), letter.receives());
        println!("    {}", letter.content());
        println!("    failed: {}", letter.reason().unwrap_or("nobody says why"));
        if with_body {
            letter.printable_body().lines().for_each(|line| println!("    | {line}"));
        }
    }
    if found.is_empty() {
        println!(
            "{} holds {}",
            queue.name(),
            if ids.is_empty() { "nothing" } else { "nothing with such an id" }
        );
    }
    if found.len() == limit {
        println!("there may be more: --limit shows them");
    }
    Ok(true)
}

#[derive(Clone, Copy, PartialEq)]
enum Act {
    Redrive,
    Drop,
}

impl Act {
    async fn run(self, letters: &DeadLetters, work: &Work) -> Healthy {
        let queue = letters.queue(&work.queue)?;
        let ids = if work.all { HashSet::new() } else { letters.ids(queue, &work.id).await? };
        if !work.yes {
            return self.say(letters, queue, work, &ids).await;
        }
        let stop = stop_on_signals()?;
        let is_chosen = |letter: &Letter| work.all || ids.contains(letter.id());
        let progress = |outcome: &Outcome| {
            if stdout().is_terminal() {
                print!("\r{} done, {} failed ", outcome.done, outcome.failed.len());
                // That a count is shown a moment later harms nobody.
                stdout().flush().ok();
            }
        };
        let task = Task { chosen: &is_chosen, rate: work.rate, stop, progress: &progress };
        let outcome = match self {
            Self::Redrive => letters.redrive(queue, &task).await?,
            Self::Drop => letters.drop(queue, &task).await?,
        };
        self.report(queue, &outcome);
        Ok(outcome.failed.is_empty() && !outcome.is_stopped)
    }

    /// What would be done.
    async fn say(
        self,
        letters: &DeadLetters,
        queue: &DeadLetterQueue,
        work: &Work,
        ids: &HashSet<String>,
    ) -> Healthy {
        let number = match work.all {
            true => {
                letters.list().await?.iter().find(|summary| summary.queue == queue).map_or(0, |of| of.count)
            }
            false => ids.len(),
        };
        let takes = work.rate.interval() * u32::try_from(number).context("too many messages")?;
        let what = match (self, queue.origin()) {
            (Self::Drop, _) => "deleted for good".to_owned(),
            (_, Origin::Queue { name, .. }) => format!("sent to {name}, then deleted here"),
            (_, Origin::Stream { function, .. }) => format!("handed to {}, then deleted here", function.name),
            (_, Origin::Unknown) => bail!("nothing that is deployed takes what is in {}", queue.name()),
        };
        println!("{number} of {} would be {what}, {} ({}).", queue.name(), work.rate, in_words(takes));
        println!("Nothing was changed. Add --yes to do it.");
        Ok(true)
    }

    fn report(self, queue: &DeadLetterQueue, outcome: &Outcome) {
        let done = if self == Self::Drop { "deleted" } else { "redriven" };
        println!("\r{} of {} {done}, {} not chosen", outcome.done, queue.name(), outcome.left);
        if outcome.returned > 0 {
            println!("{} failed again at once and are back: the cause is not removed yet", outcome.returned);
        }
        for (id, error) in &outcome.failed {
            println!("{id} stays: {error}");
        }
        if outcome.is_stopped {
            println!("stopped; the others are where they were");
        }
    }
}
