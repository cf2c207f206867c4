use std::time::{Duration, SystemTime};

use access_token::{AccessTokens, Claims, Role};
use anyhow::{Context, Result};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use rand::{RngExt, rngs::StdRng};
use secrecy::ExposeSecret as _;
use service_config::{ApiSecret, SecretCache, Version, Versions};
use uuid::Uuid;

use crate::world::World;

/// Seconds that a token lasts, and by which clocks may differ: what the shop promises its clients.
const LIFETIME: i64 = 15 * 60;
const LEEWAY: i64 = 30;

/// Seconds around a limit within which nothing is expected: tokens know no parts of a second.
const MARGIN: i64 = 2;

/// By how many seconds a server's clock is off. By the last one in either direction, so little that its tokens count.
const SHIFTS: [i64; 4] = [120, 20, -(LIFETIME + 120), -(LIFETIME + 15)];

/// An access token and when it counts, in seconds since 1970.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: String,
    /// A server whose clock is off has made it.
    pub(super) skewed: bool,
    not_before: i64,
    expires: i64,
}

/// What a service has to say about a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    Refuse,
    /// The token's time begins or ends just now.
    Either,
}

/// What the shop's own secret can do: make tokens, and admins.
pub(crate) struct Secret {
    tokens: AccessTokens,
    pub(super) api_key: String,
}

impl Token {
    /// A token that the shop has just answered.
    pub(super) fn issued(text: String) -> Self {
        let now = seconds(SystemTime::now());
        Self { text, skewed: false, not_before: now, expires: now + LIFETIME }
    }

    /// Whose token it is.
    pub(super) fn subject(&self) -> Option<String> {
        let claims = BASE64_URL_SAFE_NO_PAD.decode(self.text.split('.').nth(1)?).ok()?;
        Some(serde_json::from_slice::<Claims>(&claims).ok()?.sub.to_string())
    }

    /// What is expected of a service that got it at some time between these two.
    pub(super) fn verdict(&self, sent: SystemTime, took: Duration) -> Verdict {
        let (from, to) = (seconds(sent), seconds(sent + took) + 1);
        let begins = self.not_before - LEEWAY;
        let ends = self.expires + LEEWAY;
        if to < begins - MARGIN || from > ends + MARGIN {
            Verdict::Refuse
        } else if from > begins + MARGIN && to < ends - MARGIN {
            Verdict::Accept
        } else {
            Verdict::Either
        }
    }
}

impl Secret {
    pub(crate) async fn read(world: &World) -> Result<Self> {
        let id = format!("{}/microservices/api-gateway", world.environment);
        let read = world.secrets.get_secret_value().secret_id(&id).send().await;
        let read = read.with_context(|| format!("can't read the secret {id}"))?;
        let value = read.secret_string.context("a secret without text")?.parse()?;
        Ok(Self::of(Version { id: read.version_id.context("a secret without version")?, value }))
    }

    fn of(current: Version<ApiSecret>) -> Self {
        let api_key = current.value.api_key().expose_secret().to_owned();
        Self { tokens: AccessTokens::new(SecretCache::fixed(Versions { current, previous: None })), api_key }
    }

    #[cfg(test)]
    pub(super) fn example() -> Self {
        let value = ApiSecret::new("key", "a secret of some 32 bytes, or more").unwrap();
        Self::of(Version { id: "1".to_owned(), value })
    }

    /// A token of somebody who runs the shop.
    pub(crate) fn of_an_admin(&self) -> Result<String> {
        let claims = Claims::new(Uuid::now_v7(), Role::Admin, seconds(SystemTime::now()).try_into()?);
        Ok(self.tokens.sign(&claims)?)
    }

    /// A token for this user as a server would have made it now whose clock is off.
    pub(super) fn skewed(&self, user_id: Uuid, role: Role, rng: &mut StdRng) -> Option<Token> {
        let issued = seconds(SystemTime::now()) + SHIFTS[rng.random_range(0..SHIFTS.len())];
        let text = self.tokens.sign(&Claims::new(user_id, role, issued.try_into().ok()?)).ok()?;
        Some(Token { text, skewed: true, not_before: issued, expires: issued + LIFETIME })
    }
}

fn seconds(at: SystemTime) -> i64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_counts_within_the_leeway_and_is_undecided_at_its_limits() {
        let token = |shift: i64| {
            let issued = 1_000_000 + shift;
            Token { text: String::new(), skewed: true, not_before: issued, expires: issued + LIFETIME }
        };
        let sent = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let verdict = |shift| token(shift).verdict(sent, Duration::from_millis(200));
        assert_eq!(SHIFTS.map(verdict), [Verdict::Refuse, Verdict::Accept, Verdict::Refuse, Verdict::Accept]);
        assert_eq!(verdict(0), Verdict::Accept);
        assert_eq!([verdict(LEEWAY), verdict(-LIFETIME - LEEWAY)], [Verdict::Either; 2]);
        // A slow answer says nothing about when the token was looked at.
        assert_eq!(token(-LIFETIME - 15).verdict(sent, Duration::from_secs(20)), Verdict::Either);
    }
}
