use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::query::Position;

/// The first byte of every cursor, so that a later shape can be told from this one.
const VERSION: u8 = 1;
/// 128 bits of the seal are kept: out of reach of guessing, and short in a URL.
const SEAL: usize = 16;
/// Nothing longer is looked at.
const LONGEST: usize = 1024;

/// Makes [`Position`]s safe to hand to clients: a cursor opens only unchanged, and only in the scope that it
/// was sealed for. It is readable, not secret.
#[derive(Clone)]
pub struct CursorSealer {
    /// The current key, then the one before it. Keyed once; each use starts from a copy.
    keys: Vec<Hmac<Sha256>>,
}

/// The text is no cursor of this list: damaged, made up, or from another list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not valid for this list")]
pub struct InvalidCursor;

impl CursorSealer {
    /// Seals and opens with a key that is derived from the secret, so that the secret may have other uses.
    pub fn new(secret: &[u8]) -> Self {
        Self { keys: vec![derived(secret)] }
    }

    /// Opens what was sealed with the secret before a rotation, too, if there was one.
    pub fn with_previous(mut self, secret: Option<&[u8]>) -> Self {
        self.keys.extend(secret.map(derived));
        self
    }

    /// The cursor of a position. The scope names the list with everything that selects its rows: partition,
    /// caller, filters.
    pub fn seal(&self, scope: &str, position: &Position) -> String {
        let mut cursor = vec![VERSION];
        serde_json::to_writer(&mut cursor, position).expect("a map of texts always has a JSON form");
        let seal = bound(&self.keys[0], scope, &cursor).finalize().into_bytes();
        cursor.extend_from_slice(&seal[..SEAL]);
        BASE64_URL_SAFE_NO_PAD.encode(cursor)
    }

    /// The position of a cursor, if it was sealed for this scope.
    pub fn open(&self, scope: &str, cursor: &str) -> Result<Position, InvalidCursor> {
        if cursor.len() > LONGEST {
            return Err(InvalidCursor);
        }
        let cursor = BASE64_URL_SAFE_NO_PAD.decode(cursor).map_err(|_| InvalidCursor)?;
        let (content, seal) = cursor.split_last_chunk::<SEAL>().ok_or(InvalidCursor)?;
        // The comparison takes the same time wherever the first difference is.
        if !self.keys.iter().any(|key| bound(key, scope, content).verify_truncated_left(seal).is_ok()) {
            return Err(InvalidCursor);
        }
        match content {
            [VERSION, position @ ..] => serde_json::from_slice(position).map_err(|_| InvalidCursor),
            _ => Err(InvalidCursor),
        }
    }
}

fn derived(secret: &[u8]) -> Hmac<Sha256> {
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
    use proptest::prelude::*;

    use super::*;

    const SECRET: &[u8] = b"a secret of some thirty-two bytes";

    fn position(text: &str) -> Position {
        Position::new("order_id", text.to_owned())
    }

    proptest! {
        #[test]
        fn opens_what_it_sealed(scope in ".{0,40}", text in ".{0,80}") {
            let sealer = CursorSealer::new(SECRET);
            let cursor = sealer.seal(&scope, &position(&text));
            prop_assert_eq!(sealer.open(&scope, &cursor), Ok(position(&text)));
        }

        #[test]
        fn refuses_any_changed_character(at in any::<prop::sample::Index>(), other in "[A-Za-z0-9_=.-]") {
            let sealer = CursorSealer::new(SECRET);
            let mut cursor = sealer.seal("orders", &position("0198")).into_bytes();
            let at = at.index(cursor.len());
            prop_assume!(cursor[at] != other.as_bytes()[0]);
            cursor[at] = other.as_bytes()[0];
            let cursor = String::from_utf8(cursor).unwrap();
            prop_assert_eq!(sealer.open("orders", &cursor), Err(InvalidCursor));
        }

        #[test]
        fn refuses_any_part(length in any::<prop::sample::Index>()) {
            let sealer = CursorSealer::new(SECRET);
            let cursor = sealer.seal("orders", &position("0198"));
            let part = &cursor[..length.index(cursor.len())];
            prop_assert_eq!(sealer.open("orders", part), Err(InvalidCursor));
        }

        #[test]
        fn refuses_any_other_scope(scope in ".{0,40}", other in ".{0,40}") {
            prop_assume!(scope != other);
            let sealer = CursorSealer::new(SECRET);
            let cursor = sealer.seal(&scope, &position("0198"));
            prop_assert_eq!(sealer.open(&other, &cursor), Err(InvalidCursor));
        }

        #[test]
        fn refuses_anything_made_up(cursor in ".{0,200}") {
            prop_assert_eq!(CursorSealer::new(SECRET).open("orders", &cursor), Err(InvalidCursor));
        }
    }

    #[test]
    fn opens_what_the_previous_secret_sealed_and_nothing_older() {
        let cursor = CursorSealer::new(SECRET).seal("orders", &position("0198"));
        let rotated = CursorSealer::new(b"the next secret").with_previous(Some(SECRET));
        assert_eq!(rotated.open("orders", &cursor), Ok(position("0198")));
        let rotated_again = CursorSealer::new(b"a third one").with_previous(Some(b"the next secret"));
        assert_eq!(rotated_again.open("orders", &cursor), Err(InvalidCursor));
    }

    #[test]
    fn seals_with_a_key_of_its_own() {
        let cursor = CursorSealer::new(SECRET).seal("orders", &position("0198"));
        let mut content = BASE64_URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        content.truncate(content.len() - SEAL);
        let with_the_secret_itself = bound(&keyed(SECRET), "orders", &content).finalize().into_bytes();
        content.extend_from_slice(&with_the_secret_itself[..SEAL]);
        let forged = BASE64_URL_SAFE_NO_PAD.encode(content);
        assert_eq!(CursorSealer::new(SECRET).open("orders", &forged), Err(InvalidCursor));
    }

    #[test]
    fn refuses_a_cursor_longer_than_any_it_would_read() {
        let sealer = CursorSealer::new(SECRET);
        let cursor = sealer.seal("orders", &position(&"x".repeat(LONGEST)));
        assert_eq!(sealer.open("orders", &cursor), Err(InvalidCursor));
    }
}
