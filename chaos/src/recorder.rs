/// One version after another of every row.
mod changes;
/// What the topics were given.
mod events;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::{sync::watch, task::JoinSet};

use self::{changes::Stream, events::Tap};
use crate::{announcements::Announcement, operator::Operator, world::World};

pub(crate) use self::{changes::row, events::PREFIX};

/// How often the streams are looked at.
const POLL: Duration = Duration::from_millis(200);

/// The tables, as their names end.
pub(crate) const TABLES: [&str; 3] = ["users", "products", "orders"];
/// The topics, as their names end, in the sequence of the tables whose changes they announce.
pub(crate) const TOPICS: [&str; 3] = ["user-events", "product-events", "order-events"];

/// Records from its start on, whatever happens to the cloud meanwhile.
///
/// It hears each topic through a queue of its own, without a filter. Such a subscription gets every message at least once
/// and in any order (SNS promises a standard queue no more), so that a message that came twice is recorded twice, and the
/// order in which the topic took them is that of the moments at which they were sent, to the millisecond.
pub(crate) struct Recorder {
    recording: Arc<Mutex<Recording>>,
    taps: Vec<Tap>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<Result<()>>,
}

/// What was recorded.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    /// In the order of each table's stream.
    pub(crate) changes: Vec<Change>,
    /// As they arrived.
    pub(crate) events: Vec<Published>,
}

/// Every row's changes, in order: by table and key.
pub(crate) type Rows<'r> = BTreeMap<&'static str, BTreeMap<&'r str, Vec<&'r Change>>>;

/// A change of a row.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// When it was seen.
    pub(crate) at: SystemTime,
    pub(crate) table: &'static str,
    /// The id of the stream's record, which is that of the event that announces it.
    pub(crate) id: String,
    pub(crate) key: String,
    /// The row after it; `None` if it was removed.
    pub(crate) after: Option<Value>,
}

/// A message that a topic took.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    /// When the topic took it, to the millisecond.
    pub(crate) at: SystemTime,
    /// Which table's changes the topic announces.
    pub(crate) table: &'static str,
    /// The event, or whatever else it was.
    pub(crate) body: Value,
}

impl Recorder {
    pub(crate) async fn start(world: &Arc<World>) -> Result<Self> {
        let recording = Arc::new(Mutex::new(Recording::default()));
        let (stop, stopped) = watch::channel(false);
        let (mut taps, mut tasks) = (Vec::new(), JoinSet::new());
        for (table, topic) in TABLES.into_iter().zip(TOPICS) {
            let tap = Tap::lay(world, table, topic).await?;
            tasks.spawn(tap.clone().run(recording.clone(), stopped.clone()));
            taps.push(tap);
            let mut stream = Stream::of(Operator::new(&world.cloud), table, &world.table(table)).await?;
            let (recording, stopped) = (recording.clone(), stopped.clone());
            tasks.spawn(async move {
                while !*stopped.borrow() {
                    let changes = stream.read().await?;
                    locked(&recording).changes.extend(changes);
                    tokio::time::sleep(POLL).await;
                }
                Ok(())
            });
        }
        Ok(Self { recording, taps, stop, tasks })
    }

    /// Looks at what was recorded so far.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&Recording) -> T) -> T {
        at(&locked(&self.recording))
    }

    /// Stops, and takes the queues away again.
    pub(crate) async fn finish(mut self) -> Result<Recording> {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            ended?.context("the recorder failed")?;
        }
        for tap in &self.taps {
            tap.remove().await?;
        }
        Ok(std::mem::take(&mut *locked(&self.recording)))
    }
}

impl Recording {
    /// Every row's changes, in order: by table and key.
    pub(crate) fn rows(&self) -> Rows<'_> {
        let mut rows = Rows::new();
        for change in &self.changes {
            rows.entry(change.table).or_default().entry(change.key.as_str()).or_default().push(change);
        }
        rows
    }

    /// What has to be announced, with the change that it follows from.
    pub(crate) fn announcements(&self) -> Vec<(&Change, Announcement)> {
        let mut announced = Vec::new();
        for changes in self.rows().into_values().flat_map(BTreeMap::into_values) {
            let mut before = None;
            for change in changes {
                announced.extend(Announcement::of(change, before).map(|event| (change, event)));
                before = change.after.as_ref();
            }
        }
        announced
    }

    /// Announcements that no topic has taken yet.
    pub(crate) fn unannounced(&self) -> usize {
        let published: HashSet<&str> = self.events.iter().map(|event| event.text("id")).collect();
        let is_missing = |(change, _): &(&Change, _)| !published.contains(change.id.as_str());
        self.announcements().iter().filter(|announced| is_missing(announced)).count()
    }
}

impl Change {
    /// The row's text under this name.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.after.as_ref().and_then(|row| row[name].as_str()).unwrap_or_default()
    }
}

impl Published {
    /// An attribute of the event: `id`, `type`, `subject`.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_default()
    }
}

fn locked(recording: &Mutex<Recording>) -> MutexGuard<'_, Recording> {
    recording.lock().unwrap_or_else(PoisonError::into_inner)
}
