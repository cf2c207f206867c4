use std::sync::Arc;

use aws_types::SdkConfig;
use secrecy::SecretString;
use serde::Deserialize;
use service_config::{ConfigError, DEFAULT_TTL, SecretCache, Version};
use tokio::sync::OnceCell;

/// The secret with which Redis knows the service, `{"auth_token": …}` in Secrets Manager.
///
/// A service that can't read it goes on without the cache, and the secret is asked for again when the cache is.
#[derive(Clone, Debug)]
pub struct CacheSecret(Arc<Source>);

#[derive(Debug)]
struct Source {
    aws: SdkConfig,
    id: String,
    loaded: OnceCell<SecretCache<AuthToken>>,
}

/// The content of the secret.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct AuthToken {
    #[serde(rename = "auth_token")]
    pub(super) text: SecretString,
}

impl CacheSecret {
    /// Reads the secret `id` now, if it can be read.
    pub async fn load(aws: &SdkConfig, id: String) -> Self {
        let secret = Self(Arc::new(Source { aws: aws.clone(), id, loaded: OnceCell::new() }));
        telemetry::can_fail("loading the secret of the cache", secret.loaded().await.map(drop));
        secret
    }

    /// The token as it was read last, without waiting.
    pub(super) fn token(&self) -> Option<Version<AuthToken>> {
        Some(self.0.loaded.get()?.get().current.clone())
    }

    /// Reads the secret again, because the version that is known is not accepted, or none is known. Nobody has to wait for
    /// that.
    pub(super) fn renew(&self, refused: Option<String>) {
        let secret = self.clone();
        tokio::spawn(async move {
            let renewed = async {
                let cache = secret.loaded().await?;
                cache
                    .look_up(|versions| {
                        refused.as_ref().is_none_or(|id| versions.current.id != *id).then_some(())
                    })
                    .await
            };
            telemetry::can_fail("renewing the secret of the cache", renewed.await);
        });
    }

    async fn loaded(&self) -> Result<&SecretCache<AuthToken>, ConfigError> {
        let Source { aws, id, loaded } = &*self.0;
        loaded.get_or_try_init(|| SecretCache::load(aws, id.clone(), DEFAULT_TTL)).await
    }
}
