use std::{collections::BTreeSet, time::Duration};

use clap::ValueEnum;
use sha2::{Digest, Sha256};

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
    /// A call is carried out when nobody waits any more, and perhaps a second try was before it.
    Late,
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
    /// Redis does not work, or forgets everything.
    Cache,
    /// PostgreSQL does not work, or ends what it was at.
    Database,
    /// An operator makes the reports anew.
    Rebuild,
}

impl Kind {
    /// As it is named on the command line and in what is printed.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// How likely it is that a call is hit: at any time, and in one of the kind's windows. The first is mostly cured by
    /// the tries of the SDK; the second outlasts them, so that it gets to the shop's own ways to go on.
    fn chances(self) -> (f64, f64) {
        match self {
            Self::DynamodbThrottled | Self::DynamodbFailing => (0.01, 0.95),
            Self::SnsFailing => (0.03, 0.95),
            Self::SnsEntries => (0.05, 0.6),
            Self::SecretsDown => (0.1, 1.0),
            // Each of these keeps a function busy for seconds.
            Self::Slow | Self::Late => (0.003, 0.3),
            Self::ResetBefore | Self::ResetAfter => (0.01, 0.7),
            _ => (0.0, 0.0),
        }
    }

    /// The mean time from one to the next of what is not tied to calls.
    fn period(self) -> Option<Duration> {
        match self {
            Self::Kill => Some(Duration::from_secs(3)),
            Self::Poison => Some(Duration::from_secs(8)),
            Self::Restart => Some(Duration::from_secs(50)),
            Self::Cache => Some(Duration::from_secs(8)),
            Self::Database => Some(Duration::from_secs(10)),
            Self::Rebuild => Some(Duration::from_secs(40)),
            _ => None,
        }
    }
}

/// What a kind's windows have in common: about one in each such time, and how long it is.
const WINDOW_EVERY: Duration = Duration::from_secs(40);
const SHORTEST_WINDOW: Duration = Duration::from_secs(1);
const LONGEST_WINDOW: Duration = Duration::from_secs(4);

/// So much of a run passes before the cache fails for the first time: until then, what is read has to be current.
const GOOD_CACHE: f64 = 0.3;

/// What is injected, and when: all of it follows from the seed.
pub(crate) struct Plan {
    /// The seed, also of the shoppers' own randomness.
    pub(crate) seed: u64,
    /// For how long there are faults and shoppers.
    pub(crate) duration: Duration,
    kinds: BTreeSet<Kind>,
    windows: Vec<Window>,
}

/// A time in which nearly all that a kind can hit is hit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    pub(crate) kind: Kind,
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

/// A time in which something does not work in one of the ways in which it can fail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Outage<F> {
    pub(crate) fault: F,
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

impl Plan {
    /// The plan of a seed for a run of this length.
    pub(crate) fn new(seed: u64, duration: Duration, kinds: BTreeSet<Kind>) -> Self {
        let mut plan = Self { seed, duration, kinds, windows: Vec::new() };
        let hitting = plan.kinds.iter().filter(|kind| kind.chances().1 > 0.0);
        let mut windows: Vec<Window> = hitting.flat_map(|kind| plan.windows_of(*kind)).collect();
        windows.sort_by_key(|window| window.from);
        plan.windows = windows;
        plan
    }

    /// Whether this kind is injected at all.
    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// The windows of all kinds, in order of time.
    pub(crate) fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// Whether the `n`th call of this name is hit by this kind, so long after the start.
    pub(crate) fn hits(&self, kind: Kind, call: &str, n: u64, at: Duration) -> bool {
        let (always, in_window) = kind.chances();
        let is_open = |window: &Window| window.kind == kind && window.from <= at && at < window.to;
        let chance = if self.windows.iter().any(is_open) { in_window } else { always };
        self.has(kind) && self.draw(&format!("{} {call}", kind.name()), n) < chance
    }

    /// When something happens that is not tied to calls, in order of time: one at some moment of each period.
    pub(crate) fn moments(&self, kind: Kind) -> Vec<Duration> {
        let Some(period) = kind.period().filter(|_| self.has(kind)) else { return Vec::new() };
        // A short run has one, too, if there is the time for it to matter.
        let period = period.min(self.duration.mul_f64(0.8));
        let name = format!("{} at", kind.name());
        slots(period, self.duration).map(|(n, start)| start + period.mul_f64(self.draw(&name, n))).collect()
    }

    /// When a kind's outages are, and which of these faults each one is: one after the other until each had its turn, in
    /// another order each time. One is over before the next begins.
    pub(crate) fn outages<F: Copy>(&self, kind: Kind, faults: &[F]) -> Vec<Outage<F>> {
        let Some(period) = kind.period().filter(|_| self.has(kind)) else { return Vec::new() };
        let quiet = if kind == Kind::Cache { self.duration.mul_f64(GOOD_CACHE) } else { Duration::ZERO };
        let times = slots(period, self.duration.saturating_sub(quiet));
        let name = |what| format!("{} {what}", kind.name());
        let outage = |(n, start): (u64, Duration)| {
            let (round, place) = (n / faults.len() as u64, n as usize % faults.len());
            let mut order: Vec<usize> = (0..faults.len()).collect();
            let rank = |fault: &usize| self.draw(&name(format!("order {round}")), *fault as u64);
            order.sort_by(|one, other| rank(one).total_cmp(&rank(other)));
            let length = self.length(&name("length".to_owned()), n, LONGEST_WINDOW);
            let from = quiet + start + (period - length).mul_f64(self.draw(&name("start".to_owned()), n));
            Outage { fault: faults[order[place]], from, to: from + length }
        };
        times.map(outage).collect()
    }

    /// A number from 0 to 1, of which no other is a function but the seed's, the name's and its place in their sequence.
    pub(crate) fn draw(&self, name: &str, n: u64) -> f64 {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_be_bytes());
        hash.update(n.to_be_bytes());
        hash.update(name);
        let [a, b, c, d, ..] = *hash.finalize() else { return 0.0 };
        f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
    }

    fn windows_of(&self, kind: Kind) -> Vec<Window> {
        let every = WINDOW_EVERY.min(self.duration);
        let (starts, lengths) = (format!("{} window", kind.name()), format!("{} length", kind.name()));
        let window = |(n, start): (u64, Duration)| {
            let length = self.length(&lengths, n, LONGEST_WINDOW.min(every));
            let from = start + (every - length).mul_f64(self.draw(&starts, n));
            Window { kind, from, to: from + length }
        };
        slots(every, self.duration).map(window).collect()
    }

    /// How long a window is.
    fn length(&self, name: &str, n: u64, longest: Duration) -> Duration {
        SHORTEST_WINDOW.min(longest) + longest.saturating_sub(SHORTEST_WINDOW).mul_f64(self.draw(name, n))
    }
}

/// The whole periods of a run: the number of each, and when it begins.
fn slots(period: Duration, duration: Duration) -> impl Iterator<Item = (u64, Duration)> {
    (0..)
        .zip(std::iter::successors(Some(Duration::ZERO), move |start| Some(*start + period)))
        .take_while(move |(_, start)| *start + period <= duration && !period.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64) -> Plan {
        Plan::new(seed, Duration::from_secs(120), Kind::value_variants().iter().copied().collect())
    }

    #[test]
    fn a_seed_gives_the_same_plan_and_another_gives_another() {
        let hit = |plan: &Plan| -> Vec<bool> {
            (0..2000).map(|n| plan.hits(Kind::ResetAfter, "PutItem", n, Duration::from_secs(200))).collect()
        };
        assert_eq!(plan(1).windows(), plan(1).windows());
        assert_eq!(hit(&plan(1)), hit(&plan(1)));
        assert_eq!(plan(1).moments(Kind::Kill), plan(1).moments(Kind::Kill));
        assert_ne!(plan(1).windows(), plan(2).windows());
        assert_ne!(hit(&plan(1)), hit(&plan(2)));
        assert_ne!(plan(1).moments(Kind::Kill), plan(2).moments(Kind::Kill));
    }

    #[test]
    fn windows_lie_in_the_run_and_hit_nearly_everything() {
        let plan = plan(7);
        for window in plan.windows() {
            assert!(window.to <= plan.duration, "{window:?}");
            assert!((SHORTEST_WINDOW..=LONGEST_WINDOW).contains(&(window.to - window.from)), "{window:?}");
        }
        let failing = plan.windows().iter().find(|window| window.kind == Kind::DynamodbFailing).unwrap();
        let hits = |at| (0..1000).filter(|n| plan.hits(Kind::DynamodbFailing, "GetItem", *n, at)).count();
        assert!(hits(failing.from) > 900);
        assert!((1..50).contains(&hits(Duration::from_secs(1000))));
    }

    #[test]
    fn what_is_left_out_never_happens() {
        let plan = Plan::new(7, Duration::from_secs(120), BTreeSet::from([Kind::Kill]));
        assert!(plan.windows().is_empty());
        assert!(plan.moments(Kind::Restart).is_empty());
        assert!(!(0..1000).any(|n| plan.hits(Kind::Slow, "GetItem", n, Duration::ZERO)));
        assert_eq!(plan.moments(Kind::Kill).len(), 40);
    }

    #[test]
    fn each_fault_has_its_turn_and_the_cache_is_good_at_first() {
        let faults = [0, 1, 2, 3, 4];
        let outages = plan(7).outages(Kind::Cache, &faults);
        assert_eq!(outages, plan(7).outages(Kind::Cache, &faults));
        assert_ne!(outages, plan(8).outages(Kind::Cache, &faults));
        assert!(outages[0].from >= plan(7).duration.mul_f64(GOOD_CACHE));
        assert!(outages.windows(2).all(|pair| pair[0].to <= pair[1].from), "{outages:?}");
        for round in outages.chunks_exact(faults.len()) {
            let turns: BTreeSet<i32> = round.iter().map(|outage| outage.fault).collect();
            assert_eq!(turns, BTreeSet::from(faults));
        }
        let database = plan(7).outages(Kind::Database, &faults);
        assert!(database[0].from < Duration::from_secs(10) && database.len() == 12, "{database:?}");
        let without = Plan::new(7, Duration::from_secs(120), BTreeSet::from([Kind::Kill]));
        assert!(without.outages(Kind::Cache, &faults).is_empty());
    }

    #[test]
    fn a_short_run_has_its_restart() {
        let plan = Plan::new(7, Duration::from_secs(30), BTreeSet::from([Kind::Restart]));
        assert_eq!(plan.moments(Kind::Restart).len(), 1);
    }
}
