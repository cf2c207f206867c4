use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use tokio::task::spawn_blocking;

use crate::{
    plan::{Kind, Outage},
    schedule::Schedule,
    stores::Stores,
};

/// How late what Redis or PostgreSQL says can be: later than anybody waits, and later than somebody likes.
const REDIS_DELAY: Duration = Duration::from_millis(60);
const POSTGRES_DELAY: Duration = Duration::from_millis(150);

/// What happens at one moment happens so often in a time.
const AGAIN: Duration = Duration::from_millis(250);

/// Something that can be wrong with a server for a while.
pub(super) trait Fault: Copy + Send + 'static {
    const KIND: Kind;
    const ALL: &'static [Self];

    /// As it is counted.
    fn name(self) -> &'static str;
    /// Whether it is a matter of a moment, and so done over and over.
    fn is_a_moment(self) -> bool;
    fn begin(self, stores: &Stores) -> Result<()>;
    fn end(self, stores: &Stores) -> Result<()>;
}

#[derive(Clone, Copy)]
pub(super) enum CacheFault {
    Refuses,
    Hangs,
    Slow,
    Cut,
    Restarted,
    Flushed,
    Garbage,
    GarbledValues,
    Full,
}

#[derive(Clone, Copy)]
pub(super) enum DatabaseFault {
    Refuses,
    Hangs,
    Slow,
    Cut,
    Restarted,
    Terminated,
    ReadOnly,
}

/// Lets a server fail as the plan has it.
pub(super) async fn cause<F: Fault>(stores: Arc<Stores>, schedule: Arc<Schedule>) -> Result<Vec<String>> {
    for Outage { fault, from, to } in schedule.plan.outages(F::KIND, F::ALL) {
        if !schedule.reaches(from).await {
            break;
        }
        let began = SystemTime::now();
        schedule.ledger.write(&format!("{} {} begins", F::KIND.name(), fault.name()));
        let failed = |what| format!("{} can't be made to {what}: {}", F::KIND.name(), fault.name());
        on(&stores, move |stores| fault.begin(stores)).await.with_context(|| failed("begin"))?;
        while fault.is_a_moment() && schedule.now().is_some_and(|now| now + AGAIN < to) {
            tokio::time::sleep(AGAIN).await;
            on(&stores, move |stores| fault.begin(stores)).await.with_context(|| failed("begin again"))?;
        }
        schedule.reaches(to).await;
        on(&stores, move |stores| fault.end(stores)).await.with_context(|| failed("end"))?;
        schedule.ledger.lasted(F::KIND, fault.name(), began);
    }
    Ok(Vec::new())
}

/// Does something that blocks.
async fn on(stores: &Arc<Stores>, work: impl FnOnce(&Stores) -> Result<()> + Send + 'static) -> Result<()> {
    let stores = Arc::clone(stores);
    spawn_blocking(move || work(&stores)).await?
}

impl Fault for CacheFault {
    const KIND: Kind = Kind::Cache;
    const ALL: &'static [Self] = &[
        Self::Refuses,
        Self::Hangs,
        Self::Slow,
        Self::Cut,
        Self::Restarted,
        Self::Flushed,
        Self::Garbage,
        Self::GarbledValues,
        Self::Full,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Refuses => "refuses",
            Self::Hangs => "hangs",
            Self::Slow => "slow",
            Self::Cut => "cut",
            Self::Restarted => "restarted",
            Self::Flushed => "flushed",
            Self::Garbage => "garbage",
            Self::GarbledValues => "garbled values",
            Self::Full => "full",
        }
    }

    fn is_a_moment(self) -> bool {
        matches!(self, Self::Cut | Self::Flushed | Self::GarbledValues)
    }

    fn begin(self, stores: &Stores) -> Result<()> {
        let line = stores.redis.line();
        match self {
            Self::Refuses => line.refuse(),
            Self::Hangs => line.hang(),
            Self::Slow => line.delay(REDIS_DELAY),
            Self::Cut => {
                line.cut();
                Ok(())
            }
            Self::Restarted => stores.redis.restart(),
            Self::Flushed => stores.flush(),
            Self::Garbage => line.garbage(),
            Self::GarbledValues => stores.garble(),
            Self::Full => stores.fill(true),
        }
    }

    fn end(self, stores: &Stores) -> Result<()> {
        match self {
            Self::Full => stores.fill(false),
            _ => stores.redis.line().pass(),
        }
    }
}

impl Fault for DatabaseFault {
    const KIND: Kind = Kind::Database;
    const ALL: &'static [Self] = &[
        Self::Refuses,
        Self::Hangs,
        Self::Slow,
        Self::Cut,
        Self::Restarted,
        Self::Terminated,
        Self::ReadOnly,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Refuses => "refuses",
            Self::Hangs => "hangs",
            Self::Slow => "slow",
            Self::Cut => "cut",
            Self::Restarted => "restarted",
            Self::Terminated => "sessions terminated",
            Self::ReadOnly => "read-only",
        }
    }

    fn is_a_moment(self) -> bool {
        matches!(self, Self::Cut | Self::Terminated)
    }

    fn begin(self, stores: &Stores) -> Result<()> {
        let line = stores.postgres.line();
        match self {
            Self::Refuses => line.refuse(),
            Self::Hangs => line.hang(),
            Self::Slow => line.delay(POSTGRES_DELAY),
            Self::Cut => {
                line.cut();
                Ok(())
            }
            Self::Restarted => stores.postgres.restart(),
            Self::Terminated => stores.postgres.terminate_backends(&stores.database),
            Self::ReadOnly => stores.postgres.set_read_only(&stores.database, true),
        }
    }

    fn end(self, stores: &Stores) -> Result<()> {
        match self {
            Self::ReadOnly => stores.postgres.set_read_only(&stores.database, false),
            _ => stores.postgres.line().pass(),
        }
    }
}
