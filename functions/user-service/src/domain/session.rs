use std::collections::BTreeMap;

use domain_events::Timestamp;
use serde::{Deserialize, Serialize};

use crate::refresh_token::SecretHash;

const SECOND: i64 = 1_000;
const DAY: i64 = 24 * 60 * 60 * SECOND;

/// How long a session lives without being used, in milliseconds.
const IDLE: i64 = 30 * DAY;
/// How long a session lives, however it is used.
const LIFE: i64 = 90 * DAY;
/// How long after a refresh the token that was used for it is taken for a repetition, not for a theft.
const GRACE: i64 = 10 * SECOND;
/// The most sessions of one user.
const MOST: usize = 20;

/// Which of a user's sessions. Only its tokens name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionId(pub(crate) u64);

/// A login and all that was refreshed from it: a family of tokens, of which the newest is good for a refresh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Of the token that is good for the next refresh.
    hash: SecretHash,
    /// Of the token that was good for the last refresh, at `used_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<SecretHash>,
    opened_at: Timestamp,
    used_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    /// How often the account's password had been changed before the one that opened the session.
    credentials: u64,
}

/// What it means that a token is presented.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Presented {
    /// It is good for a refresh; this is the session after it.
    Good(Session),
    /// It was used a moment ago, as when somebody clicks twice.
    Superseded,
    /// It was used before, or made up: somebody has a token of the session who should not, perhaps the newest one.
    Reused,
    /// The session is over.
    Over,
}

/// All sessions of a user.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sessions {
    pub(crate) by_id: BTreeMap<SessionId, Session>,
    /// When the last of them ends at the latest, in seconds since 1970.
    pub(crate) last_end: i64,
}

impl Session {
    /// A session as a login opens it, with the hash of its first token.
    pub(crate) fn opened(hash: SecretHash, credentials: u64, now: Timestamp) -> Self {
        Self { hash, previous: None, opened_at: now, used_at: now, ends_at: end(now, now), credentials }
    }

    /// Decides about a token by its hash; `next` is the hash of the one that follows if it is good.
    pub(crate) fn presented(
        &self,
        hash: &SecretHash,
        next: SecretHash,
        credentials: u64,
        now: Timestamp,
    ) -> Presented {
        if self.is_over(credentials, now) {
            return Presented::Over;
        }
        if *hash == self.hash {
            let (previous, ends_at) = (Some(self.hash.clone()), end(self.opened_at, now));
            return Presented::Good(Self { hash: next, previous, used_at: now, ends_at, ..*self });
        }
        let lately = now.as_millis() < self.used_at.as_millis() + GRACE;
        if lately && self.previous.as_ref() == Some(hash) { Presented::Superseded } else { Presented::Reused }
    }

    /// Whether it came to its end or was opened with a password that the account, by now changed so and so often, no
    /// longer has. A session that knows of a later change than the caller is no older for it.
    fn is_over(&self, credentials: u64, now: Timestamp) -> bool {
        now >= self.ends_at || self.credentials < credentials
    }
}

impl Sessions {
    /// Those that are over.
    pub(crate) fn over(&self, credentials: u64, now: Timestamp) -> Vec<SessionId> {
        let over = self.by_id.iter().filter(|(_, session)| session.is_over(credentials, now));
        over.map(|(id, _)| *id).collect()
    }

    /// Those to remove: what is over, and what is too many, first what was used longest ago.
    ///
    /// It does not matter which session somebody has just opened. Logins that overlap agree on what goes, so that each
    /// finds out by its condition what another has removed; if each spared its own, two of them could remove two for one.
    pub(crate) fn surplus(&self, credentials: u64, now: Timestamp) -> Vec<SessionId> {
        let mut surplus = self.over(credentials, now);
        let alive = self.by_id.iter().filter(|(id, _)| !surplus.contains(id));
        let mut alive: Vec<_> = alive.map(|(id, session)| (session.used_at, *id)).collect();
        alive.sort_unstable();
        let too_many = alive.len().saturating_sub(MOST);
        surplus.extend(alive.into_iter().take(too_many).map(|(_, id)| id));
        surplus
    }
}

/// When a session ends that is used now.
fn end(opened_at: Timestamp, now: Timestamp) -> Timestamp {
    Timestamp::from_millis((now.as_millis() + IDLE).min(opened_at.as_millis() + LIFE))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::refresh_token::RefreshToken;

    fn hash() -> SecretHash {
        RefreshToken::new(Uuid::nil()).unwrap().hash()
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn good(presented: Presented) -> Session {
        match presented {
            Presented::Good(session) => session,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_newest_token_is_good_and_the_one_before_for_a_moment_a_repetition() {
        let (first, second, third) = (hash(), hash(), hash());
        let session = Session::opened(first.clone(), 0, at(0));
        let session = good(session.presented(&first, second.clone(), 0, at(DAY)));
        let present = |hash: &SecretHash, now| session.presented(hash, third.clone(), 0, at(now));
        assert_eq!(present(&first, DAY + GRACE - 1), Presented::Superseded);
        assert_eq!(present(&first, DAY + GRACE), Presented::Reused);
        assert_eq!(present(&hash(), DAY), Presented::Reused);
        let session = good(present(&second, DAY + 1));
        assert_eq!(session.presented(&first, hash(), 0, at(DAY + 2)), Presented::Reused);
        assert_eq!(session.presented(&second, hash(), 0, at(DAY + 2)), Presented::Superseded);
    }

    #[test]
    fn a_session_is_over_to_the_millisecond() {
        let (first, second) = (hash(), hash());
        let session = Session::opened(first.clone(), 0, at(0));
        assert_eq!(session.presented(&first, hash(), 0, at(IDLE)), Presented::Over);
        let session = good(session.presented(&first, second.clone(), 0, at(IDLE - 1)));
        assert_eq!(session.ends_at, at(2 * IDLE - 1));
        // Over is over, also for a token that was used before.
        assert_eq!(session.presented(&first, hash(), 0, at(2 * IDLE - 1)), Presented::Over);
        let session = good(session.presented(&second, hash(), 0, at(2 * IDLE - 2)));
        assert_eq!(session.ends_at, at(3 * IDLE - 2));
    }

    #[test]
    fn another_password_ends_what_older_ones_opened() {
        let first = hash();
        let session = Session::opened(first.clone(), 3, at(0));
        assert_eq!(session.presented(&first, hash(), 4, at(1)), Presented::Over);
        // Whoever read the account before its password changed sees a session of the new one.
        good(session.presented(&first, hash(), 2, at(1)));
    }

    #[test]
    fn room_is_made_by_those_that_were_used_longest_ago() {
        let session = |used_at| Session::opened(hash(), 1, at(used_at));
        let mut by_id: BTreeMap<_, _> = (0..22).map(|n| (SessionId(n), session(100 - n as i64))).collect();
        by_id.insert(SessionId(90), Session { ends_at: at(150), ..session(200) });
        by_id.insert(SessionId(91), Session { credentials: 0, ..session(200) });
        let sessions = Sessions { by_id, last_end: 0 };
        assert_eq!(sessions.surplus(1, at(160)), [90, 91, 21, 20].map(SessionId));
        assert_eq!(sessions.over(1, at(160)), [90, 91].map(SessionId));
    }

    proptest! {
        /// Whoever sees more sessions removes whatever those remove who see fewer: one of the two finds it gone.
        #[test]
        fn those_who_make_room_at_once_agree_on_what_goes(
            used_at in prop::collection::vec(0..5_i64, 21..60),
            fewer in 21..60_usize,
        ) {
            let seen = |count: usize| {
                let used_at = used_at.iter().take(count).enumerate();
                // Ids say nothing of the order in which sessions were opened.
                let ids = used_at.map(|(n, at)| (SessionId((n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)), *at));
                let by_id = ids.map(|(id, used_at)| (id, Session::opened(hash(), 0, at(used_at)))).collect();
                Sessions { by_id, last_end: 0 }
            };
            let (more, fewer) = (seen(used_at.len()), seen(fewer));
            let [of_more, of_fewer] = [&more, &fewer].map(|sessions| sessions.surplus(0, at(10)));
            prop_assert_eq!(of_more.len(), more.by_id.len() - MOST);
            prop_assert!(of_fewer.iter().all(|id| of_more.contains(id)));
        }

        /// However a session is used, it never lives longer than it may.
        #[test]
        fn no_use_moves_the_end_beyond_its_limits(pauses in prop::collection::vec(0..2 * IDLE, 1..20)) {
            let (mut token, mut now) = (hash(), 0);
            let mut session = Session::opened(token.clone(), 0, at(now));
            for pause in pauses {
                now += pause;
                let next = hash();
                match session.presented(&token, next.clone(), 0, at(now)) {
                    Presented::Good(after) => {
                        prop_assert!(pause < IDLE && now < LIFE);
                        prop_assert!(after.ends_at <= at(LIFE) && after.ends_at <= at(now + IDLE));
                        prop_assert!(after.ends_at >= session.ends_at);
                        (session, token) = (after, next);
                    }
                    other => {
                        prop_assert_eq!(other, Presented::Over);
                        prop_assert!(pause >= IDLE || now >= LIFE);
                        break;
                    }
                }
            }
        }
    }
}
