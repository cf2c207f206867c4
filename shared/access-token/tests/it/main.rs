//! Tokens and extractors, seen from outside.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail like the test itself")]

mod extractors;
mod rotation;
mod tokens;

use access_token::AccessTokens;
use service_config::{ApiSecret, SecretCache, Version, Versions};

const API_KEY: &str = "the-api-key";
const OLD_KEY: &str = "the signing secret of last year!";
const KEY: &str = "the signing secret of this year!";

fn version(id: &str, jwt_secret: &str) -> Version<ApiSecret> {
    Version { id: id.to_owned(), value: ApiSecret::new(API_KEY, jwt_secret).unwrap() }
}

fn tokens_of(current: Version<ApiSecret>, previous: Option<Version<ApiSecret>>) -> AccessTokens {
    AccessTokens::new(SecretCache::fixed(Versions { current, previous }))
}

/// The tokens of a shop that has rotated its secret once.
fn tokens() -> AccessTokens {
    tokens_of(version("v2", KEY), Some(version("v1", OLD_KEY)))
}
