//! What a service has to know before it can work: its environment, its AWS clients, its secrets.
//!
//! - [`required`]: a variable without which the service does not start; [`optional`]: one that switches something on.
//! - [`aws()`]: the settings that all AWS SDK clients share, with one HTTP client for all of them.
//! - [`trusted_roots`]: whose certificates to accept, for connections that no SDK makes.
//! - [`SecretCache`]: a secret that is read once at the start and refreshed in the background.
//! - [`ApiSecret`]: the secret with which the services know their callers.
//!
//! Whatever is missing or malformed is a [`ConfigError`]: one line that names the key.
//!
//! Locally the same variables are set: `AWS_ENDPOINT_URL` leads to a local cloud. To run against an AWS account
//! with a profile of the AWS CLI, export its credentials first:
//! `eval "$(aws configure export-credentials --profile NAME --format env)"`.

/// The secret for tokens and the API key.
mod api_secret;
/// Region, credentials, endpoint, time limits and trust roots of the AWS SDK.
mod aws;
/// The one error of this crate.
mod error;
/// Reading, keeping and refreshing a secret.
mod secret_cache;
/// From the text of a secret to a type, without ever showing a value.
mod secret_text;

pub use api_secret::{ApiSecret, WeakSecret};
pub use aws::{aws, trusted_roots};
pub use error::ConfigError;
pub use secret_cache::{DEFAULT_TTL, SecretCache, Version, Versions};
pub use secret_text::MalformedSecret;

/// The environment variable `name`; a variable that is empty counts as missing.
pub fn required(name: &str) -> Result<String, ConfigError> {
    optional(name).ok_or_else(|| ConfigError::missing_variable(name))
}

/// The environment variable `name`, if it is there and says something.
pub fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_required_variable_is_read_or_named() {
        assert_eq!(required("CARGO_PKG_NAME").unwrap(), "service-config");
        assert_eq!(optional("NO_SUCH_VARIABLE"), None);
        let error = required("NO_SUCH_VARIABLE").unwrap_err();
        assert_eq!(error.to_string(), "missing environment variable NO_SUCH_VARIABLE");
    }
}
