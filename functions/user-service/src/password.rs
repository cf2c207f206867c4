/// The passwords that guessing begins with.
mod common;

use std::{
    error::Error,
    fmt,
    sync::{Mutex, PoisonError},
};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{self, phc},
};
use deserr::Deserr;
use problem_details::{InputErrors, InvalidValue};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use self::common::{folded, is_common};

/// A password that somebody wants to have: long enough, none of the most common ones, and in the one form (NFKC) that
/// all keyboards agree on.
#[derive(Debug, Clone, Deserr)]
#[deserr(error = InputErrors, try_from(String) = Password::try_from -> InvalidValue)]
pub(crate) struct Password(SecretString);

/// What somebody presents as a password. Any text will do: only its hash decides, so that no answer depends on
/// anything else.
#[derive(Debug, Clone, Deserr)]
#[deserr(error = InputErrors, from(String) = PasswordAttempt::from)]
pub(crate) struct PasswordAttempt(SecretString);

/// What is kept of a password: its salted hash as a PHC string, with the parameters that made it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PasswordHash(String);

/// A password could not be hashed or compared.
#[derive(Debug, thiserror::Error)]
#[error("a password can't be hashed")]
pub(crate) struct HashingError(#[source] Box<dyn Error + Send + Sync>);

impl Password {
    pub(crate) const MIN_CHARS: usize = 12;
    pub(crate) const MAX_CHARS: usize = 128;

    /// Whether it is one of these texts, which others know, but for capitals.
    pub(crate) fn is_one_of(&self, texts: [&str; 2]) -> bool {
        let password = folded(self.0.expose_secret());
        texts.iter().any(|text| folded(text) == password)
    }
}

impl TryFrom<String> for Password {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        let text: String = text.nfkc().collect();
        if !(Self::MIN_CHARS..=Self::MAX_CHARS).contains(&text.chars().count()) {
            return Err(InvalidValue::new("must have 12 to 128 characters"));
        }
        if is_common(&folded(&text)) {
            return Err(InvalidValue::new("must not be one of the most common passwords"));
        }
        Ok(Self(text.into()))
    }
}

impl From<String> for PasswordAttempt {
    fn from(text: String) -> Self {
        Self(text.nfkc().collect::<String>().into())
    }
}

impl PasswordHash {
    /// The hash of a password, with a salt of its own.
    pub(crate) async fn of(Password(password): &Password) -> Result<Self, HashingError> {
        Self::made_of(password.clone()).await
    }

    /// The hash that takes the place of this one, if this one was made with other parameters than those of today and
    /// of what has just been found to match it.
    pub(crate) async fn renewed(
        &self,
        PasswordAttempt(matching): &PasswordAttempt,
    ) -> Result<Option<Self>, HashingError> {
        let as_today = |kept| Ok::<_, password_hash::Error>(Params::try_from(&kept)? == today()?);
        match phc::PasswordHash::new(&self.0).map_err(password_hash::Error::from).and_then(as_today) {
            Ok(true) => Ok(None),
            Ok(false) => Self::made_of(matching.clone()).await.map(Some),
            Err(error) => Err(HashingError(error.into())),
        }
    }

    async fn made_of(password: SecretString) -> Result<Self, HashingError> {
        let hash = apart(move || {
            let (params, salt) = (today()?, phc::Salt::generate());
            Ok(phc::PasswordHash {
                algorithm: ALGORITHM.ident(),
                version: Some(VERSION.into()),
                params: phc::ParamsString::try_from(&params)?,
                salt: Some(salt),
                hash: Some(hash(params, &password, &salt)?),
            })
        });
        Ok(Self(hash.await?.to_string()))
    }

    /// A hash that no password is known for. Comparing with it takes the time that any comparison takes.
    pub(crate) fn of_nobody() -> Self {
        let (salt, hash) = ("bm9ib2R5J3Mgc2FsdC4uLg", "q0sYzcf2zKZlTLvKdzyK7S5Ox9cdNo7D5c0rhP1ZQpE");
        let (memory, rounds, lanes) = (MEMORY_KIB, ROUNDS, LANES);
        Self(format!("$argon2id$v=19$m={memory},t={rounds},p={lanes}${salt}${hash}"))
    }

    /// Whether this is the hash of what was presented.
    pub(crate) async fn matches(&self, attempt: &PasswordAttempt) -> Result<bool, HashingError> {
        let (Self(kept), PasswordAttempt(attempt)) = (self.clone(), attempt.clone());
        apart(move || {
            let kept = phc::PasswordHash::new(&kept)?;
            let (Some(salt), Some(expected)) = (kept.salt, kept.hash) else {
                return Err(password_hash::Error::EncodingInvalid);
            };
            if (kept.algorithm, kept.version) != (ALGORITHM.ident(), Some(VERSION.into())) {
                return Err(password_hash::Error::Algorithm);
            }
            // The comparison takes the same time wherever the first difference is.
            Ok(hash(Params::try_from(&kept)?, &attempt, &salt)? == expected)
        })
        .await
    }
}

/// Even a hash stays out of logs: it can be attacked at leisure.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

// Argon2id as OWASP's password storage cheat sheet asks for it at least (as of 2026): 19 MiB, 2 rounds, 1 lane. It has
// other choices of the same strength with more memory or more rounds; this one takes the least time of the small ones.
// Hashes name their parameters: after a change here, those that are there go on working and are renewed at login.
const ALGORITHM: Algorithm = Algorithm::Argon2id;
const VERSION: Version = Version::V0x13;
const MEMORY_KIB: u32 = 19_456;
const ROUNDS: u32 = 2;
const LANES: u32 = 1;

/// The parameters of new hashes.
fn today() -> Result<Params, argon2::Error> {
    Params::new(MEMORY_KIB, ROUNDS, LANES, Some(Params::DEFAULT_OUTPUT_LEN))
}

/// The memory of hashes that are done, for those to come: one for each that was under way at the same time. An
/// allocator that is asked for so much again and again keeps several times as much.
static MEMORY: Mutex<Vec<Vec<Block>>> = Mutex::new(Vec::new());

/// The Argon2id hash of a text, as long as the parameters say.
fn hash(params: Params, text: &SecretString, salt: &[u8]) -> password_hash::Result<phc::Output> {
    let memory = || MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let mut blocks = memory().pop().unwrap_or_default();
    blocks.resize(params.block_count(), Block::default());
    let mut output = vec![0; params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN)];
    let argon2 = Argon2::new(ALGORITHM, VERSION, params);
    let done = argon2.hash_password_into_with_memory(
        text.expose_secret().as_bytes(),
        salt,
        &mut output,
        &mut blocks,
    );
    memory().push(blocks);
    done?;
    Ok(phc::Output::new(&output)?)
}

/// Hashing takes tens of milliseconds of a core: off the thread on which other requests wait for the network.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> password_hash::Result<T> + Send + 'static,
) -> Result<T, HashingError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| HashingError(error.into()))?;
    done.map_err(|error| HashingError(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::try_from(text.to_owned()).unwrap()
    }

    async fn matches(hash: &PasswordHash, attempt: &str) -> bool {
        hash.matches(&PasswordAttempt::from(attempt.to_owned())).await.unwrap()
    }

    #[test]
    fn length_counts_in_characters_of_the_normal_form() {
        for valid in ["ä".repeat(12), "x".repeat(128), " ".repeat(12), "\u{fb03}".repeat(4)] {
            assert!(Password::try_from(valid.clone()).is_ok(), "{valid}");
        }
        for wrong in [String::new(), "ä".repeat(11), "a\u{308}".repeat(11), "x".repeat(129)] {
            assert!(Password::try_from(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_hash_matches_its_password_alone_however_that_was_typed() {
        let hash = PasswordHash::of(&password("Zoe\u{308} likes plums")).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        assert!(matches(&hash, "Zo\u{eb} likes plums").await);
        assert!(!matches(&hash, "Zoe likes plums").await);
        assert!(!matches(&hash, "").await);
    }

    #[tokio::test]
    async fn a_hash_names_what_made_it() {
        // "Zoe likes plums", as argon2's own verification knows it, with parameters of its own.
        let params = Params::new(64, 1, 1, None).unwrap();
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash = argon2::PasswordHasher::hash_password(&argon2, b"Zoe likes plums").unwrap().to_string();
        assert!(matches(&PasswordHash(hash.clone()), "Zoe likes plums").await);
        assert!(!matches(&PasswordHash(hash.clone()), "Zoe likes pears").await);
        for other in
            [hash.replace("argon2id", "argon2i"), hash.replace("v=19", "v=16"), hash.replace("$v=19", "")]
        {
            let attempt = PasswordAttempt::from("Zoe likes plums".to_owned());
            assert!(PasswordHash(other.clone()).matches(&attempt).await.is_err(), "{other}");
        }
    }

    #[tokio::test]
    async fn a_hash_of_other_parameters_is_renewed_and_one_of_todays_is_not() {
        let attempt = PasswordAttempt::from("Zoe likes plums".to_owned());
        let present = PasswordHash::of(&password("Zoe likes plums")).await.unwrap();
        assert_eq!(present.renewed(&attempt).await.unwrap(), None);
        for (memory, rounds, lanes, length) in [(64, 1, 1, 32), (19_456, 3, 1, 32), (19_456, 2, 1, 16)] {
            let params = Params::new(memory, rounds, lanes, Some(length)).unwrap();
            let argon2 = Argon2::new(ALGORITHM, VERSION, params);
            let old = argon2::PasswordHasher::hash_password(&argon2, b"Zoe likes plums").unwrap().to_string();
            let old = PasswordHash(old);
            assert!(matches(&old, "Zoe likes plums").await && !matches(&old, "Zoe likes pears").await);
            let renewed = old.renewed(&attempt).await.unwrap().unwrap();
            assert!(renewed.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", renewed.0);
            assert!(matches(&renewed, "Zoe likes plums").await);
        }
    }

    #[test]
    fn what_everybody_tries_first_is_refused_however_it_is_written() {
        for common in [
            "1q2w3e4r5t6y",
            "PasswordPassword",
            "iloveyou1234",
            "\u{ff11}\u{ff12}3456123456",
            "aaaaaaaaaaaaa",
        ] {
            assert!(Password::try_from(common.to_owned()).is_err(), "{common}");
        }
    }

    #[test]
    fn a_text_that_others_know_is_recognised() {
        let texts = ["ada.lovelace@example.com", "Augusta Ada King"];
        for own in ["ada.lovelace@example.com", "Ada.Lovelace@Example.com", "AUGUSTA ADA KING"] {
            assert!(password(own).is_one_of(texts), "{own}");
        }
        assert!(!password("Augusta Ada Kings").is_one_of(texts));
    }

    #[tokio::test]
    async fn equal_passwords_have_different_hashes() {
        let password = password("Zoe likes plums");
        assert_ne!(PasswordHash::of(&password).await.unwrap(), PasswordHash::of(&password).await.unwrap());
    }

    #[tokio::test]
    async fn nobody_can_be_compared_with() {
        assert!(!matches(&PasswordHash::of_nobody(), "Zoe likes plums").await);
    }

    #[test]
    fn nothing_of_a_password_is_shown() {
        let shown =
            format!("{:?} {:?}", password("Zoe likes plums"), PasswordHash("$argon2id$secret".to_owned()));
        assert!(!shown.contains("plums") && !shown.contains("argon2id"), "{shown}");
    }
}
