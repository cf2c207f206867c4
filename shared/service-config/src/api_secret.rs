use std::str::FromStr;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::{MalformedSecret, secret_text};

/// An HMAC key that is shorter than the hash's output weakens the signature (RFC 7518, section 3.2).
const MIN_JWT_SECRET_BYTES: usize = 32;

/// The content of the secret `<environment>/microservices/api-gateway`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Fields")]
pub struct ApiSecret {
    api_key: SecretString,
    jwt_secret: SecretString,
}

/// A key or secret that would be too easy to guess.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WeakSecret {
    /// There is an API key, but it is empty.
    #[error("has an empty \"api_key\"")]
    EmptyApiKey,
    /// The signing secret is shorter than 32 bytes.
    #[error("has a \"jwt_secret\" of fewer than {MIN_JWT_SECRET_BYTES} bytes")]
    ShortJwtSecret,
}

impl ApiSecret {
    /// Refuses values that would be too easy to guess.
    pub fn new(
        api_key: impl Into<SecretString>,
        jwt_secret: impl Into<SecretString>,
    ) -> Result<Self, WeakSecret> {
        let (api_key, jwt_secret) = (api_key.into(), jwt_secret.into());
        if api_key.expose_secret().is_empty() {
            return Err(WeakSecret::EmptyApiKey);
        }
        if jwt_secret.expose_secret().len() < MIN_JWT_SECRET_BYTES {
            return Err(WeakSecret::ShortJwtSecret);
        }
        Ok(Self { api_key, jwt_secret })
    }

    /// Lets operators in where no user is known yet.
    pub fn api_key(&self) -> &SecretString {
        &self.api_key
    }

    /// Signs access tokens.
    pub fn jwt_secret(&self) -> &SecretString {
        &self.jwt_secret
    }
}

/// Reads the secret's text as [`SecretCache`](crate::SecretCache) does.
impl FromStr for ApiSecret {
    type Err = MalformedSecret;

    fn from_str(text: &str) -> Result<Self, MalformedSecret> {
        secret_text::parse(text)
    }
}

/// The fields before they are checked.
#[derive(Deserialize)]
struct Fields {
    api_key: SecretString,
    jwt_secret: SecretString,
}

impl TryFrom<Fields> for ApiSecret {
    type Error = WeakSecret;

    fn try_from(fields: Fields) -> Result<Self, WeakSecret> {
        Self::new(fields.api_key, fields.jwt_secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_values_are_refused() {
        let long = "x".repeat(MIN_JWT_SECRET_BYTES);
        assert!(ApiSecret::new("k", long.as_str()).is_ok());
        assert_eq!(ApiSecret::new("", long.as_str()).unwrap_err(), WeakSecret::EmptyApiKey);
        assert_eq!(ApiSecret::new("k", &long[1..]).unwrap_err(), WeakSecret::ShortJwtSecret);
    }

    #[test]
    fn debug_shows_no_value() {
        let secret = ApiSecret::new("the-key", "the-secret-of-at-least-32-bytes!!").unwrap();
        let text = format!("{secret:?}");
        assert!(!text.contains("the-key") && !text.contains("the-secret"), "{text}");
    }
}
