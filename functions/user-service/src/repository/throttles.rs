use std::net::IpAddr;

use domain_events::Timestamp;
use dynamodb_store::{Consistency, Key, StoreError, Table, from_item};
use hmac::{Hmac, Mac};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use service_config::{ApiSecret, SecretCache};
use sha2::Sha256;
use uuid::Uuid;

use super::{ClaimRow, KEY, claim_id};
use crate::domain::{Counting, Email, Failures, Limit, OF_ACCOUNT, OF_SOURCE, TooManyAttempts};

/// Rows of the users' table that count attempts to log in. What they count is in their keys as a MAC, so that they tell
/// nobody's address; its key is derived from the signing secret, so that a rotation of that begins all counts anew.
#[derive(Debug, Clone)]
pub(crate) struct Throttles {
    table: Table,
    secret: SecretCache<ApiSecret>,
}

/// The count that an attempt goes to, as far as it was seen.
#[derive(Debug)]
pub(crate) struct Throttle {
    limit: &'static Limit,
    id: String,
    seen: Option<Failures>,
}

/// All that a login has to know before it looks at the account.
#[derive(Debug)]
pub(crate) struct Beginning {
    /// Whose address was given.
    pub(crate) owner: Option<Uuid>,
    pub(crate) account: Throttle,
    /// Absent where nobody knows where the request came from.
    pub(crate) source: Option<Throttle>,
}

/// Why an attempt was not counted, so that it must not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CountError {
    #[error(transparent)]
    TooMany(#[from] TooManyAttempts),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How often a count is tried anew because others counted meanwhile. Those that are many are blocked before that.
const TRIES: usize = 10;

const FAILURES: &str = "failures";
const BLOCKED_UNTIL: &str = "blocked_until";
const EXPIRES_AT: &str = "expires_at";
const COUNTED_BY: &str = "counted_by";

/// The row of a count.
#[derive(Debug, Serialize, Deserialize)]
struct ThrottleRow {
    user_id: String,
    failures: u64,
    /// Milliseconds since 1970.
    blocked_until: i64,
    /// The end of the window, in seconds since 1970; some time after it DynamoDB removes the row.
    expires_at: i64,
    /// Stands for the write that changed the count last, so that it is known again when its answer got lost.
    #[serde(default)]
    counted_by: Uuid,
}

/// What a login reads first.
#[derive(Deserialize)]
#[serde(untagged)]
enum FirstRow {
    Throttle(ThrottleRow),
    Claim(ClaimRow),
}

impl Throttles {
    pub(crate) fn new(table: Table, secret: SecretCache<ApiSecret>) -> Self {
        Self { table, secret }
    }

    /// The count of an account with this address, not read yet.
    pub(crate) fn of_account(&self, email: &Email) -> Throttle {
        self.throttle(&OF_ACCOUNT, email.as_str())
    }

    /// The count of a source, not read yet. Whoever has one IPv6 address has the other 2⁶⁴ of its network, too.
    fn of_source(&self, address: IpAddr) -> Throttle {
        let network = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("{:016x}", address.to_bits() >> 64),
        };
        self.throttle(&OF_SOURCE, &network)
    }

    fn throttle(&self, limit: &'static Limit, whose: &str) -> Throttle {
        let secret = self.secret.get();
        let key = keyed(secret.current.value.jwt_secret().expose_secret().as_bytes());
        let key = keyed(&key.chain_update("login-throttle").finalize().into_bytes());
        let mac = key.chain_update(limit.of).chain_update("#").chain_update(whose).finalize().into_bytes();
        let mac: String = mac.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Throttle { limit, id: format!("throttle#{}#{mac}", limit.of), seen: None }
    }

    /// Reads what a login begins with, in one call. A text that is no e-mail address costs the same reads.
    pub(crate) async fn at_login(
        &self,
        email: String,
        source: Option<IpAddr>,
    ) -> Result<Beginning, StoreError> {
        let (account, claim) = match Email::try_from(email.clone()) {
            Ok(email) => (self.of_account(&email), claim_id(email.as_str())),
            Err(_) => (self.throttle(&OF_ACCOUNT, &email), claim_id("")),
        };
        let source = source.map(|address| self.of_source(address));
        let mut beginning = Beginning { owner: None, account, source };
        let throttles = [&beginning.account].into_iter().chain(&beginning.source);
        let ids = throttles.map(|throttle| &throttle.id).chain([&claim]);
        let keys: Vec<Key> = ids.map(|id| Key::new(KEY, id)).collect();
        for row in self.table.get_many(&keys, Consistency::Strong).await? {
            match row {
                FirstRow::Claim(claim) => beginning.owner = Some(claim.owner),
                FirstRow::Throttle(row) => {
                    let mut throttles = [&mut beginning.account].into_iter().chain(&mut beginning.source);
                    if let Some(throttle) = throttles.find(|throttle| throttle.id == row.user_id) {
                        throttle.seen = Some(row.into());
                    }
                }
            }
        }
        Ok(beginning)
    }

    /// Counts an attempt, before it is made: those that come together are no more than the limit allows.
    pub(crate) async fn count(&self, throttle: &Throttle, now: Timestamp) -> Result<(), CountError> {
        let (Throttle { limit, id, .. }, mut seen) = (throttle, throttle.seen);
        let counting_id = Uuid::now_v7();
        for _ in 0..TRIES {
            let counting = limit.count(seen.as_ref(), now)?;
            let update = || self.table.update(Key::new(KEY, id));
            let written = match (counting, &seen) {
                (Counting::Become(failures), None) => {
                    self.table.create(KEY, &ThrottleRow::new(id.clone(), failures, counting_id)).await
                }
                (Counting::Become(failures), Some(seen)) => {
                    let update = update()
                        .if_equals(FAILURES, seen.count)
                        .if_equals(BLOCKED_UNTIL, seen.blocked_until.as_millis())
                        .if_equals(EXPIRES_AT, seen.ends_at.as_seconds())
                        .set(FAILURES, failures.count)
                        .set(BLOCKED_UNTIL, failures.blocked_until.as_millis())
                        .set(EXPIRES_AT, failures.ends_at.as_seconds())
                        .set(COUNTED_BY, counting_id);
                    update.send::<IgnoredAny>().await.map(drop)
                }
                (Counting::Add { below, blocked_until }, seen) => {
                    let ends_at = seen.map_or(0, |seen| seen.ends_at.as_seconds());
                    let update = update()
                        .if_equals(EXPIRES_AT, ends_at)
                        .if_at_most(FAILURES, i64::try_from(below).unwrap_or(i64::MAX) - 1)
                        .if_not_equals(COUNTED_BY, counting_id)
                        .set(COUNTED_BY, counting_id)
                        .set(BLOCKED_UNTIL, blocked_until.as_millis())
                        .add(FAILURES, 1);
                    update.send::<IgnoredAny>().await.map(drop)
                }
            };
            match written {
                Err(StoreError::ConditionFailed { item }) => {
                    let present = item.map(from_item::<ThrottleRow>).transpose()?;
                    if present.as_ref().is_some_and(|row| row.counted_by == counting_id) {
                        return Ok(());
                    }
                    seen = present.map(Failures::from);
                }
                written => return Ok(written?),
            }
        }
        Err(StoreError::Conflict("attempts were counted at every try".into()).into())
    }

    /// Forgets all failures.
    pub(crate) async fn forget(&self, throttle: &Throttle) -> Result<(), StoreError> {
        self.table.delete(Key::new(KEY, &throttle.id)).send().await
    }

    /// Takes back one attempt that was no failure, or was not made. The others still count: whoever knows one password could
    /// otherwise try as many of other people as he likes.
    pub(crate) async fn take_back(&self, throttle: &Throttle) -> Result<(), StoreError> {
        let counting_id = Uuid::now_v7();
        let update = self
            .table
            .update(Key::new(KEY, &throttle.id))
            .if_at_least(FAILURES, 1)
            .if_not_equals(COUNTED_BY, counting_id)
            .set(COUNTED_BY, counting_id)
            .add(FAILURES, -1);
        match update.send::<IgnoredAny>().await {
            Err(StoreError::ConditionFailed { .. }) => Ok(()),
            result => result.map(drop),
        }
    }
}

impl Throttle {
    /// Whether an attempt may be made, as far as that was seen.
    pub(crate) fn check(&self, now: Timestamp) -> Result<(), TooManyAttempts> {
        self.limit.check(self.seen.as_ref(), now)
    }
}

impl ThrottleRow {
    fn new(user_id: String, Failures { count, blocked_until, ends_at }: Failures, counted_by: Uuid) -> Self {
        let (blocked_until, expires_at) = (blocked_until.as_millis(), ends_at.as_seconds());
        Self { user_id, failures: count, blocked_until, expires_at, counted_by }
    }
}

impl From<ThrottleRow> for Failures {
    fn from(ThrottleRow { failures, blocked_until, expires_at, .. }: ThrottleRow) -> Self {
        Self {
            count: failures,
            blocked_until: Timestamp::from_millis(blocked_until),
            ends_at: Timestamp::from_millis(expires_at.saturating_mul(1000)),
        }
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}
