//! Cursors, which clients send back and could change.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use dynamodb_store::{CursorError, Cursors, Position};

use crate::{run::block_on, services::secret};

const SCOPE: &str = "orders/0198b2c4-7d1e-7a3b-9c55-0d2f6a1b8e01/all";

/// No text opens but one that was sealed here. Where the input is two bytes and a position, that is sealed and opens
/// again; and it doesn't with one bit changed, or in another list.
pub fn check(input: &[u8]) {
    let cursors = Cursors::new(secret());
    if let Ok(text) = std::str::from_utf8(input) {
        only_what_was_sealed(&cursors, text);
    }
    // As if somebody had the form right, but for the seal.
    only_what_was_sealed(&cursors, &BASE64_URL_SAFE_NO_PAD.encode(input));

    let [at, bit, position @ ..] = input else { return };
    let Ok(position) = serde_json::from_slice::<Position>(position) else { return };
    let cursor = cursors.seal(SCOPE, &position);
    if cursor.len() <= 1024 {
        assert_eq!(open(&cursors, SCOPE, &cursor).as_ref(), Some(&position), "{cursor}");
    }
    assert_eq!(open(&cursors, "orders", &cursor), None, "{cursor}");
    let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(&cursor).expect("a cursor is base64");
    let at = usize::from(*at) % bytes.len();
    bytes[at] ^= 1 << (bit % 8);
    let changed = BASE64_URL_SAFE_NO_PAD.encode(bytes);
    assert_eq!(open(&cursors, SCOPE, &changed), None, "{changed}");
}

fn only_what_was_sealed(cursors: &Cursors, text: &str) {
    if let Some(position) = open(cursors, SCOPE, text) {
        assert_eq!(cursors.seal(SCOPE, &position), text);
    }
}

fn open(cursors: &Cursors, scope: &str, text: &str) -> Option<Position> {
    match block_on(cursors.open(scope, Some(text))) {
        Ok(position) => position,
        Err(CursorError::Invalid) => None,
        Err(CursorError::Undecided(error)) => panic!("a secret that is there can't be read: {error}"),
    }
}
