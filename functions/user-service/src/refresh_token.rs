use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::SessionId;

const SECRET_BYTES: usize = 32;
const ID_BYTES: usize = size_of::<u64>();
const USER_BYTES: usize = 16;
const TOKEN_BYTES: usize = USER_BYTES + ID_BYTES + SECRET_BYTES;

/// What a client keeps to get its next access token: whose session it belongs to, and a secret that is good for one
/// refresh. It has no `Debug`, so that it can't be logged by accident.
#[derive(Clone)]
pub(crate) struct RefreshToken {
    pub(crate) user_id: Uuid,
    pub(crate) session_id: SessionId,
    secret: [u8; SECRET_BYTES],
}

/// What is kept of a refresh token's secret. Nobody guesses 256 random bits, so that, unlike a password's, it needs neither
/// salt nor work, and comparing two in the plain way tells nobody anything.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SecretHash(String);

impl RefreshToken {
    /// The first token of a new session.
    pub(crate) fn new(user_id: Uuid) -> Result<Self, getrandom::Error> {
        let session_id = SessionId(u64::from_be_bytes(random()?));
        Ok(Self { user_id, session_id, secret: random()? })
    }

    /// The next token of the same session.
    pub(crate) fn next(&self) -> Result<Self, getrandom::Error> {
        Ok(Self { secret: random()?, ..self.clone() })
    }

    /// Reads a token; a text that can't be one is none. Of two texts that differ at most one is a given token.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; TOKEN_BYTES] = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (user_id, rest) = bytes.split_first_chunk()?;
        let (session_id, secret) = rest.split_first_chunk()?;
        Some(Self {
            user_id: Uuid::from_bytes(*user_id),
            session_id: SessionId(u64::from_be_bytes(*session_id)),
            secret: secret.try_into().ok()?,
        })
    }

    /// The token as its client gets it.
    pub(crate) fn to_text(&self) -> String {
        let parts = [self.user_id.as_bytes().as_slice(), &self.session_id.0.to_be_bytes(), &self.secret];
        BASE64_URL_SAFE_NO_PAD.encode(parts.concat())
    }

    /// What is kept of it.
    pub(crate) fn hash(&self) -> SecretHash {
        SecretHash(BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(self.secret)))
    }
}

/// Bytes of the operating system's generator.
fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// A hash stays out of logs, like a password's.
impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let token = RefreshToken::new(Uuid::now_v7()).unwrap();
        let text = token.to_text();
        assert_eq!(text.len(), 75);
        let read = RefreshToken::parse(&text).unwrap();
        assert_eq!((read.user_id, read.session_id), (token.user_id, token.session_id));
        assert!(read.hash() == token.hash() && read.to_text() == text);
        assert!(!format!("{:?}", token.hash()).contains(&token.hash().0));
    }

    #[test]
    fn no_two_tokens_have_the_same_secret() {
        let token = RefreshToken::new(Uuid::nil()).unwrap();
        let (next, other) = (token.next().unwrap(), RefreshToken::new(Uuid::nil()).unwrap());
        assert_eq!((next.user_id, next.session_id), (token.user_id, token.session_id));
        assert_ne!(other.session_id, token.session_id);
        assert!(next.hash() != token.hash() && other.hash() != token.hash());
    }

    #[test]
    fn what_is_no_token_is_not_read() {
        let text = RefreshToken::new(Uuid::now_v7()).unwrap().to_text();
        let padded = format!("{text}=");
        let longer = format!("{text}A");
        // The last character has two bits that no byte needs.
        let other_end = format!("{}{}", &text[..74], char::from(text.as_bytes()[74] + 1));
        for wrong in ["", "A", "e30.e30.e30", &text[1..], &text[..74], &padded, &longer, &other_end, "ä"] {
            assert!(RefreshToken::parse(wrong).is_none(), "{wrong}");
        }
    }
}
