use std::time::Duration;

use domain_events::Timestamp;

/// How many wrong passwords are borne before each further attempt has to wait, twice as long each time.
#[derive(Debug)]
pub(crate) struct Limit {
    /// What is limited, as security events name it.
    pub(crate) of: &'static str,
    /// So many attempts don't have to wait.
    free: u64,
    /// How long failures count, from the first of them.
    window: Duration,
}

/// Attempts at one account, whether it exists or not.
pub(crate) const OF_ACCOUNT: Limit = Limit { of: "account", free: 5, window: Duration::from_hours(24) };
/// Attempts from one address, behind which there may be many people.
pub(crate) const OF_SOURCE: Limit = Limit { of: "source", free: 100, window: Duration::from_hours(1) };

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(15);

/// The attempts that count: all but those that turned out to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failures {
    pub(crate) count: u64,
    /// Who has used up the free attempts has to wait until then for the next one.
    pub(crate) blocked_until: Timestamp,
    /// The end of the window, after which there are none; a whole second.
    pub(crate) ends_at: Timestamp,
}

/// How an attempt that may be made is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counting {
    /// The failures become these, provided that they are as they were seen.
    Become(Failures),
    /// One more, provided that there are fewer than `below` in this window.
    Add { below: u64, blocked_until: Timestamp },
}

/// An attempt came too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts")]
pub(crate) struct TooManyAttempts {
    /// What it is limited by.
    pub(crate) of: &'static str,
    /// How long to wait.
    pub(crate) wait: Duration,
}

impl Limit {
    /// Whether an attempt may be made, given the failures so far.
    pub(crate) fn check(&self, seen: Option<&Failures>, now: Timestamp) -> Result<(), TooManyAttempts> {
        match present(seen, now) {
            Some(seen) if seen.count >= self.free && now < seen.blocked_until => {
                let millis = seen.blocked_until.min(seen.ends_at).as_millis() - now.as_millis();
                let wait = Duration::from_millis(millis.try_into().unwrap_or_default());
                Err(TooManyAttempts { of: self.of, wait })
            }
            _ => Ok(()),
        }
    }

    /// How to count an attempt that is made now, if it may be made.
    pub(crate) fn count(&self, seen: Option<&Failures>, now: Timestamp) -> Result<Counting, TooManyAttempts> {
        self.check(seen, now)?;
        let after = |count| later(now, self.delay(count));
        Ok(match present(seen, now) {
            None => {
                let ends_at = Timestamp::from_millis(later(now, self.window).as_seconds() * 1000);
                Counting::Become(Failures { count: 1, blocked_until: after(1), ends_at })
            }
            // Those that come together add up in any order. The wait matters only to what follows the last of them.
            Some(seen) if seen.count < self.free => {
                Counting::Add { below: self.free, blocked_until: after(self.free) }
            }
            Some(seen) => {
                let count = seen.count + 1;
                Counting::Become(Failures { count, blocked_until: after(count), ends_at: seen.ends_at })
            }
        })
    }

    /// The wait after so many failures.
    fn delay(&self, count: u64) -> Duration {
        let doublings = u32::try_from(count.saturating_sub(self.free)).unwrap_or(u32::MAX);
        2_u32.checked_pow(doublings).map_or(LONGEST, |times| SHORTEST.saturating_mul(times).min(LONGEST))
    }
}

/// The failures, unless their window is over.
fn present(seen: Option<&Failures>, now: Timestamp) -> Option<&Failures> {
    seen.filter(|seen| now < seen.ends_at)
}

fn later(now: Timestamp, time: Duration) -> Timestamp {
    Timestamp::from_millis(now.as_millis().saturating_add(time.as_millis().try_into().unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the store does.
    fn applied(seen: Option<Failures>, counting: Counting) -> Failures {
        match (counting, seen) {
            (Counting::Become(failures), _) => failures,
            (Counting::Add { below, blocked_until }, Some(seen)) => {
                assert!(seen.count < below);
                Failures { count: seen.count + 1, blocked_until, ..seen }
            }
            (Counting::Add { .. }, None) => panic!("nothing to add to"),
        }
    }

    fn limits() -> impl Strategy<Value = &'static Limit> {
        prop_oneof![Just(&OF_ACCOUNT), Just(&OF_SOURCE)]
    }

    #[test]
    fn the_wait_doubles_from_a_second_to_a_quarter_of_an_hour() {
        let waits = (5..17).map(|count| OF_ACCOUNT.delay(count).as_secs());
        assert_eq!(waits.collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        assert_eq!(OF_SOURCE.delay(100).as_secs(), 1);
        assert_eq!(OF_SOURCE.delay(u64::MAX), LONGEST);
    }

    proptest! {
        #[test]
        fn the_wait_never_shrinks(limit in limits(), count in 0..10_000_u64) {
            prop_assert!(limit.delay(count) <= limit.delay(count + 1));
            prop_assert!((SHORTEST..=LONGEST).contains(&limit.delay(count)));
        }

        /// Attempts at any times: what is admitted is exactly what is free or has waited.
        #[test]
        fn nobody_is_admitted_while_blocked_and_everybody_after_that(
            limit in limits(),
            pauses in proptest::collection::vec(prop_oneof![0..2_000_i64, 0..2_000_000_i64], 1..400),
        ) {
            let (mut now, mut seen) = (1_795_000_000_123, None::<Failures>);
            for pause in pauses {
                now += pause;
                let at = Timestamp::from_millis(now);
                let before = seen.filter(|seen| at < seen.ends_at);
                let blocked = before.is_some_and(|seen| seen.count >= limit.free && at < seen.blocked_until);
                match limit.count(seen.as_ref(), at) {
                    Ok(counting) => {
                        prop_assert!(!blocked);
                        let after = applied(seen, counting);
                        prop_assert_eq!(after.count, before.map_or(0, |before| before.count) + 1);
                        if let Some(before) = before {
                            prop_assert_eq!(after.ends_at, before.ends_at);
                        } else {
                            let window = after.ends_at.as_millis() - now;
                            let most = i64::try_from(limit.window.as_millis()).unwrap();
                            prop_assert!(window <= most && window > most - 1000);
                        }
                        if after.count >= limit.free {
                            let wait = limit.delay(after.count);
                            prop_assert_eq!(after.blocked_until, later(at, wait));
                            // Nothing more at this moment, and one more when the wait or the window is over.
                            let end = after.blocked_until.min(after.ends_at);
                            prop_assert!(limit.check(Some(&after), at).is_err());
                            prop_assert!(limit.check(Some(&after), Timestamp::from_millis(end.as_millis() - 1)).is_err());
                            prop_assert!(limit.check(Some(&after), end).is_ok());
                        }
                        seen = Some(after);
                    }
                    Err(TooManyAttempts { of, wait }) => {
                        prop_assert!(blocked);
                        prop_assert_eq!(of, limit.of);
                        prop_assert!(wait > Duration::ZERO && wait <= LONGEST);
                        prop_assert!(limit.check(seen.as_ref(), later(at, wait)).is_ok());
                    }
                }
            }
        }
    }
}
