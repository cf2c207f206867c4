use access_token::{AccessTokens, Role};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use service_config::{ApiSecret, MalformedSecret, SecretCache, Version, Versions};
use uuid::Uuid;

/// The member that is rotated.
const KEY: &str = "jwt_secret";

const KEY_LENGTH: usize = 64;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Why a version is not, or not any more, what services should use. None of these shows a value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("the pending version {0}")]
    Malformed(#[from] MalformedSecret),
    #[error("the current version is not a JSON object")]
    NoObject,
    #[error("there are no random numbers")]
    NoRandomNumbers(#[from] getrandom::Error),
    /// Somebody has written the secret since: what they changed would be taken back.
    #[error("the current version was changed after the pending one was made of it")]
    Outdated,
    #[error("the pending version signs no tokens")]
    DoesNotSign(#[from] access_token::SigningError),
    #[error("the pending version does not verify its own tokens")]
    DoesNotVerify(#[from] access_token::TokenError),
}

/// What follows the current content: the same with another key.
pub(crate) fn successor_of(current: &SecretString) -> Result<SecretString, Unusable> {
    let mut members = members(current)?;
    members.insert(KEY.to_owned(), Value::String(random_key()?));
    let text = Value::Object(members).to_string();
    text.parse::<ApiSecret>()?;
    Ok(text.into())
}

/// Whether services can use the pending version in the place of the current one: as they would, it issues and verifies
/// a token, which nobody gets to see. All but the key has to be as in the current version.
pub(crate) async fn test(
    version_id: &str,
    pending: &SecretString,
    current: &SecretString,
) -> Result<(), Unusable> {
    let value: ApiSecret = pending.expose_secret().parse()?;
    let [kept, replaced] = [pending, current].map(|text| {
        let mut members = members(text)?;
        members.remove(KEY);
        Ok::<_, Unusable>(members)
    });
    if kept? != replaced? {
        return Err(Unusable::Outdated);
    }
    let version = Version { id: version_id.to_owned(), value };
    let tokens = AccessTokens::new(SecretCache::fixed(Versions { current: version, previous: None }));
    let issued = tokens.issue(Uuid::nil(), Role::Customer)?;
    tokens.verify(&issued.token).await?;
    Ok(())
}

fn members(text: &SecretString) -> Result<Map<String, Value>, Unusable> {
    // serde_json's own error would quote what it did not like.
    serde_json::from_str(text.expose_secret()).map_err(|_| Unusable::NoObject)
}

/// Letters and digits, each as likely as any other, from the operating system's generator.
fn random_key() -> Result<String, getrandom::Error> {
    // Bytes from here on would make the first letters likelier.
    const END: u8 = (256 / ALPHABET.len() * ALPHABET.len()) as u8;
    let mut key = String::with_capacity(KEY_LENGTH);
    let mut bytes = [0; KEY_LENGTH];
    while key.len() < KEY_LENGTH {
        getrandom::fill(&mut bytes)?;
        let letters = bytes.iter().filter(|byte| **byte < END);
        let letters = letters.map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        key.extend(letters.take(KEY_LENGTH - key.len()));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURRENT: &str = r#"{"api_key":"k","jwt_secret":"too short","further":"f"}"#;

    fn secret(text: &str) -> SecretString {
        text.into()
    }

    fn reason(current: &str) -> String {
        successor_of(&secret(current)).err().unwrap().to_string()
    }

    #[test]
    fn only_the_key_is_replaced() {
        let next = successor_of(&secret(CURRENT)).unwrap();
        let mut next = members(&next).unwrap();
        let key = next.remove(KEY).unwrap();
        assert_eq!(key.as_str().unwrap().len(), KEY_LENGTH);
        let mut current = members(&secret(CURRENT)).unwrap();
        current.remove(KEY);
        assert_eq!(next, current);
    }

    #[test]
    fn a_content_that_services_would_refuse_has_no_successor_and_is_not_shown() {
        assert_eq!(reason("hunter2"), "the current version is not a JSON object");
        assert_eq!(reason(r#""hunter2""#), "the current version is not a JSON object");
        assert_eq!(reason(r#"{"jwt_secret":"hunter2"}"#), r#"the pending version has no string "api_key""#);
    }

    #[test]
    fn keys_are_of_letters_and_digits_and_differ() {
        let keys: Vec<String> = (0..100).map(|_| random_key().unwrap()).collect();
        assert!(keys.iter().all(|key| key.len() == KEY_LENGTH));
        assert!(keys.iter().flat_map(|key| key.bytes()).all(|letter| ALPHABET.contains(&letter)));
        assert!(ALPHABET.iter().all(|letter| keys.iter().any(|key| key.as_bytes().contains(letter))));
        assert!(keys.iter().enumerate().all(|(index, key)| !keys[..index].contains(key)));
    }

    #[tokio::test]
    async fn what_follows_the_current_version_can_be_used() {
        let (current, other) = (secret(CURRENT), secret(&CURRENT.replace('f', "g")));
        let pending = successor_of(&current).unwrap();
        test("v2", &pending, &current).await.unwrap();

        let outdated = test("v2", &pending, &other).await.unwrap_err();
        assert!(matches!(outdated, Unusable::Outdated), "{outdated}");
        let weak = test("v2", &current, &current).await.unwrap_err();
        assert_eq!(weak.to_string(), r#"the pending version has a "jwt_secret" of fewer than 32 bytes"#);
    }
}
