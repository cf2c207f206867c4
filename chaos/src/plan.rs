use std::{collections::BTreeSet, time::Duration};

use clap::ValueEnum;

/// A kind of fault, as `--only` and `--without` name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub(crate) enum Kind {
    /// DynamoDB answers that it is called too often.
    DynamodbThrottled,
    /// DynamoDB answers 500.
    DynamodbFailing,
    /// SNS answers 500.
    SnsFailing,
    /// SNS takes some entries of a batch and refuses others.
    SnsEntries,
    /// Secrets Manager answers 500.
    SecretsDown,
    /// A call is carried out, and answered when nobody waits any more.
    Slow,
    /// The connection is cut before the call is carried out.
    ResetBefore,
    /// The connection is cut after the call is carried out.
    ResetAfter,
    /// A function's process is killed.
    Kill,
    /// The cloud is restarted with its state.
    Restart,
    /// Messages come twice.
    Duplicates,
    /// Messages come late, and so out of order.
    Disorder,
    /// Stream batches that are done come again.
    RepeatedBatches,
    /// Messages that nobody can read are sent to the queues.
    Poison,
    /// Shoppers have tokens of a server whose clock is off.
    TokenSkew,
}

impl Kind {
    /// Every kind.
    pub(crate) const ALL: [Self; 15] = [
        Self::DynamodbThrottled,
        Self::DynamodbFailing,
        Self::SnsFailing,
        Self::SnsEntries,
        Self::SecretsDown,
        Self::Slow,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::Kill,
        Self::Restart,
        Self::Duplicates,
        Self::Disorder,
        Self::RepeatedBatches,
        Self::Poison,
        Self::TokenSkew,
    ];
}

/// What is injected, and when: all of it follows from the seed.
pub(crate) struct Plan {
    /// The seed, also of the shoppers' own randomness.
    pub(crate) seed: u64,
    /// For how long there are faults and shoppers.
    pub(crate) duration: Duration,
    kinds: BTreeSet<Kind>,
}

impl Plan {
    pub(crate) fn new(seed: u64, duration: Duration, kinds: BTreeSet<Kind>) -> Self {
        Self { seed, duration, kinds }
    }

    /// Whether this kind is injected at all.
    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }
}
