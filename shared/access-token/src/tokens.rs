use std::{fmt, sync::Arc};

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind, get_current_timestamp,
};
use secrecy::ExposeSecret as _;
use service_config::{ApiSecret, SecretCache};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::{
    claims::{AUDIENCE, Claims, ISSUER, LIFETIME, Role},
    extract::Caller,
    hs256,
};

/// Longer texts are refused unread; ours have some 400 characters.
const MAX_TOKEN_LENGTH: usize = 4096;

/// Seconds by which the clocks of two machines may differ.
const LEEWAY: u64 = 30;

/// Issues and verifies access tokens, and knows the API key. Clones share the secret.
#[derive(Clone)]
pub struct AccessTokens {
    secret: SecretCache<ApiSecret>,
    validation: Arc<Validation>,
}

/// A token that was made for a user. It has no `Debug`, so that it can't be logged by accident.
pub struct IssuedToken {
    /// The token itself, which is all that its bearer needs.
    pub token: String,
    /// Seconds until it expires.
    pub expires_in: u32,
}

/// Why a token is refused; more than this is nobody's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It was valid once.
    #[error("The access token has expired.")]
    Expired,
    /// It is not one of ours, or not yet valid.
    #[error("The access token is not valid.")]
    Invalid,
    /// The version of the secret that it names can't be read; that was logged.
    #[error("The access token can't be checked.")]
    Undecided,
}

/// A token could not be made.
#[derive(Debug, thiserror::Error)]
#[error("can't sign an access token")]
pub struct SigningError(#[source] jsonwebtoken::errors::Error);

impl AccessTokens {
    /// Tokens that are signed with the current version of the secret.
    pub fn new(secret: SecretCache<ApiSecret>) -> Self {
        hs256::install();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["sub", "iss", "aud", "nbf", "exp"]);
        Self { secret, validation: Arc::new(validation) }
    }

    /// A new token for this user, valid from now on for 15 minutes.
    pub fn issue(&self, user_id: Uuid, role: Role) -> Result<IssuedToken, SigningError> {
        let token = self.sign(&Claims::new(user_id, role, get_current_timestamp()))?;
        Ok(IssuedToken { token, expires_in: LIFETIME })
    }

    /// Signs any claims, also some that [`verify`](Self::verify) refuses. Services issue tokens with
    /// [`issue`](Self::issue); this is for tests and tools that need particular times.
    pub fn sign(&self, claims: &Claims) -> Result<String, SigningError> {
        let versions = self.secret.get();
        let header = Header { kid: Some(versions.current.id.clone()), ..Header::new(Algorithm::HS256) };
        let key = EncodingKey::from_secret(jwt_secret(&versions.current.value));
        jsonwebtoken::encode(&header, claims, &key).map_err(SigningError)
    }

    /// Who bears this token.
    ///
    /// A token of a version of the secret that is not known here may be younger than the secret in memory, which is
    /// then read again, within the limits of [`SecretCache::look_up`].
    pub async fn verify(&self, token: &str) -> Result<Caller, TokenError> {
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(TokenError::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        let (Algorithm::HS256, Some(version)) = (header.alg, header.kid) else {
            return Err(TokenError::Invalid);
        };
        let key_of = |secret: &ApiSecret| DecodingKey::from_secret(jwt_secret(secret));
        let key = self.secret.look_up(|versions| versions.find(&version).map(key_of)).await;
        let key = key.map_err(|_| TokenError::Undecided)?.ok_or(TokenError::Invalid)?;
        let verified = jsonwebtoken::decode::<Claims>(token, &key, &self.validation);
        match verified {
            Ok(token) => Ok(Caller { user_id: token.claims.sub, role: token.claims.role }),
            // Found out only after the signature, so that it is no hint for anybody who made the token up.
            Err(error) if *error.kind() == ErrorKind::ExpiredSignature => Err(TokenError::Expired),
            Err(_) => Err(TokenError::Invalid),
        }
    }

    /// Whether this is the current API key. The time it takes tells nothing about the key.
    pub fn api_key_matches(&self, candidate: &str) -> bool {
        let secret = self.secret.get();
        let key = secret.current.value.api_key().expose_secret();
        // Hashed, because a comparison of the keys themselves would end early on another length.
        Sha256::digest(candidate).ct_eq(&Sha256::digest(key)).into()
    }
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokens").field("secret", &self.secret).finish_non_exhaustive()
    }
}

fn jwt_secret(secret: &ApiSecret) -> &[u8] {
    secret.jwt_secret().expose_secret().as_bytes()
}
