use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use secrecy::ExposeSecret as _;
use serde::{Serialize, de::DeserializeOwned};
use service_config::{ApiSecret, ConfigError, SecretCache, Versions};
use sha2::Sha256;

/// The first byte of every cursor, so that a later shape can be told from this one.
const VERSION: u8 = 1;
/// 128 bits of the seal are kept: out of reach of guessing, and short in a URL.
const SEAL: usize = 16;
/// Nothing longer is looked at.
const LONGEST: usize = 1024;

/// Makes positions in lists safe to hand to clients: a cursor opens only unchanged, and only in the scope that it was
/// sealed for. The scope names the list with everything that selects its rows: partition, caller, filters. A cursor is
/// readable, not secret.
///
/// Positions in a table are [`Position`](crate::Position)s; of another store's lists they are whatever plain data says
/// where a page ended.
#[derive(Clone, Debug)]
pub struct Cursors {
    secret: SecretCache<ApiSecret>,
}

/// Why a cursor does not open.
#[derive(Debug, thiserror::Error)]
pub enum CursorError {
    /// The text is no cursor of this list: damaged, made up, or from another list.
    #[error("the cursor is not valid for this list")]
    Invalid,
    /// It may have been sealed with a version of the secret that can't be read now.
    #[error("the cursor can't be checked")]
    Undecided(#[from] ConfigError),
}

impl Cursors {
    /// Cursors that are sealed with a key which is derived from the secret's present version. Those that the version
    /// before has sealed open, too.
    pub fn new(secret: SecretCache<ApiSecret>) -> Self {
        Self { secret }
    }

    /// The cursor of a position.
    pub fn seal(&self, scope: &str, position: &impl Serialize) -> String {
        let mut cursor = vec![VERSION];
        serde_json::to_writer(&mut cursor, position).expect("plain data always has a JSON form");
        let seal = bound(&key(&self.secret.get().current.value), scope, &cursor).finalize().into_bytes();
        cursor.extend_from_slice(&seal[..SEAL]);
        BASE64_URL_SAFE_NO_PAD.encode(cursor)
    }

    /// The position of a cursor, if it was sealed for this scope. No cursor stands for the start of the list.
    pub async fn open<P: DeserializeOwned>(
        &self,
        scope: &str,
        cursor: Option<&str>,
    ) -> Result<Option<P>, CursorError> {
        let Some(cursor) = cursor else { return Ok(None) };
        if cursor.len() > LONGEST {
            return Err(CursorError::Invalid);
        }
        let cursor = BASE64_URL_SAFE_NO_PAD.decode(cursor).map_err(|_| CursorError::Invalid)?;
        let (content, seal) = cursor.split_last_chunk::<SEAL>().ok_or(CursorError::Invalid)?;
        let [VERSION, position @ ..] = content else { return Err(CursorError::Invalid) };
        // The comparison takes the same time wherever the first difference is.
        let sealed_with =
            |secret: &ApiSecret| bound(&key(secret), scope, content).verify_truncated_left(seal).is_ok();
        let by_either = |versions: &Versions<ApiSecret>| {
            let mut values = versions.values();
            values.any(sealed_with).then_some(())
        };
        self.secret.look_up(by_either).await?.ok_or(CursorError::Invalid)?;
        serde_json::from_slice(position).map(Some).map_err(|_| CursorError::Invalid)
    }
}

/// A key of its own for cursors: the secret has other uses.
fn key(secret: &ApiSecret) -> Hmac<Sha256> {
    let secret = secret.jwt_secret().expose_secret().as_bytes();
    keyed(&keyed(secret).chain_update("cursor").finalize().into_bytes())
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// Scope and content under one seal; the scope's length keeps the border between them.
fn bound(key: &Hmac<Sha256>, scope: &str, content: &[u8]) -> Hmac<Sha256> {
    key.clone().chain_update((scope.len() as u64).to_be_bytes()).chain_update(scope).chain_update(content)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use proptest::prelude::*;
    use service_config::Version;

    use super::*;
    use crate::Position;

    const SECRET: &str = "a secret of some thirty-two bytes";

    fn cursors(current: &str, previous: Option<&str>) -> Cursors {
        let version =
            |secret: &str| Version { id: secret.to_owned(), value: ApiSecret::new("key", secret).unwrap() };
        let versions = Versions { current: version(current), previous: previous.map(version) };
        Cursors::new(SecretCache::fixed(versions))
    }

    fn position(text: &str) -> Position {
        Position::new("order_id", text.to_owned())
    }

    fn open(cursors: &Cursors, scope: &str, cursor: &str) -> Option<Position> {
        // A fixed secret answers at once.
        match cursors.open(scope, Some(cursor)).now_or_never().unwrap() {
            Ok(position) => position,
            Err(CursorError::Invalid) => None,
            Err(CursorError::Undecided(cause)) => panic!("{cause}"),
        }
    }

    proptest! {
        #[test]
        fn opens_what_it_sealed(scope in ".{0,40}", text in ".{0,80}") {
            let cursors = cursors(SECRET, None);
            let cursor = cursors.seal(&scope, &position(&text));
            prop_assert_eq!(open(&cursors, &scope, &cursor), Some(position(&text)));
        }

        #[test]
        fn refuses_any_changed_character(at in any::<prop::sample::Index>(), other in "[A-Za-z0-9_=.-]") {
            let cursors = cursors(SECRET, None);
            let mut cursor = cursors.seal("orders", &position("0198")).into_bytes();
            let at = at.index(cursor.len());
            prop_assume!(cursor[at] != other.as_bytes()[0]);
            cursor[at] = other.as_bytes()[0];
            let cursor = String::from_utf8(cursor).unwrap();
            prop_assert_eq!(open(&cursors, "orders", &cursor), None);
        }

        #[test]
        fn refuses_any_part(length in any::<prop::sample::Index>()) {
            let cursors = cursors(SECRET, None);
            let cursor = cursors.seal("orders", &position("0198"));
            let part = &cursor[..length.index(cursor.len())];
            prop_assert_eq!(open(&cursors, "orders", part), None);
        }

        #[test]
        fn refuses_any_other_scope(scope in ".{0,40}", other in ".{0,40}") {
            prop_assume!(scope != other);
            let cursors = cursors(SECRET, None);
            let cursor = cursors.seal(&scope, &position("0198"));
            prop_assert_eq!(open(&cursors, &other, &cursor), None);
        }

        #[test]
        fn refuses_anything_made_up(cursor in ".{0,200}") {
            prop_assert_eq!(open(&cursors(SECRET, None), "orders", &cursor), None);
        }
    }

    #[test]
    fn no_cursor_is_the_start() {
        let start = cursors(SECRET, None).open::<Position>("orders", None).now_or_never();
        assert!(matches!(start, Some(Ok(None))));
    }

    #[test]
    fn opens_what_the_previous_secret_sealed_and_nothing_older() {
        let (next, third) = ("the next secret of thirty-two bytes", "a third secret of thirty-two bytes.");
        let cursor = cursors(SECRET, None).seal("orders", &position("0198"));
        assert_eq!(open(&cursors(next, Some(SECRET)), "orders", &cursor), Some(position("0198")));
        assert_eq!(open(&cursors(third, Some(next)), "orders", &cursor), None);
    }

    #[test]
    fn seals_with_a_key_of_its_own() {
        let cursors = cursors(SECRET, None);
        let cursor = cursors.seal("orders", &position("0198"));
        let mut content = BASE64_URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        content.truncate(content.len() - SEAL);
        let with_the_secret_itself =
            bound(&keyed(SECRET.as_bytes()), "orders", &content).finalize().into_bytes();
        content.extend_from_slice(&with_the_secret_itself[..SEAL]);
        let forged = BASE64_URL_SAFE_NO_PAD.encode(content);
        assert_eq!(open(&cursors, "orders", &forged), None);
    }

    #[test]
    fn refuses_a_cursor_longer_than_any_it_would_read() {
        let cursors = cursors(SECRET, None);
        let cursor = cursors.seal("orders", &position(&"x".repeat(LONGEST)));
        assert_eq!(open(&cursors, "orders", &cursor), None);
    }
}
