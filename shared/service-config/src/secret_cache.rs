use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_sdk_secretsmanager::Client;
use aws_types::SdkConfig;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::{ConfigError, secret_text};

/// How long a secret is used before it is read again.
pub const DEFAULT_TTL: Duration = Duration::from_secs(5 * 60);

/// A refresh in the background starts at most this often; longer than one refresh can take, so that there is never
/// more than one at a time.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// A refresh that a caller waits for happens at most this often.
const DEMAND_INTERVAL: Duration = Duration::from_secs(10);

/// A secret of Secrets Manager: read at the start, then always at hand, refreshed in the background when it is older
/// than its time to live. Clones share one value.
pub struct SecretCache<T>(Arc<Shared<T>>);

/// The versions of a secret that are valid now.
#[derive(Clone, Debug)]
pub struct Versions<T> {
    /// The version to use (`AWSCURRENT`).
    pub current: Version<T>,
    /// The version before (`AWSPREVIOUS`), if there is one and it was needed: what was made with it may still be
    /// around. [`SecretCache::look_up`] asks for it.
    pub previous: Option<Version<T>>,
}

/// One version of a secret.
#[derive(Clone, Debug)]
pub struct Version<T> {
    /// The version's id, which is no secret.
    pub id: String,
    /// The secret itself.
    pub value: T,
}

impl<T> Versions<T> {
    /// The value of the version `id`, if it is the current or the previous one.
    pub fn find(&self, id: &str) -> Option<&T> {
        self.iter().find(|version| version.id == id).map(|version| &version.value)
    }

    /// The values of all versions that are known, the current one first.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.iter().map(|version| &version.value)
    }

    fn iter(&self) -> impl Iterator<Item = &Version<T>> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> SecretCache<T> {
    /// Reads the current version of the secret `id` (a name or an ARN) now. The service can't start if that fails.
    pub async fn load(config: &SdkConfig, id: impl Into<String>, ttl: Duration) -> Result<Self, ConfigError> {
        let source = Source {
            client: Client::new(config),
            id: id.into(),
            ttl,
            due: Mutex::new(Instant::now() + ttl),
            refreshing: tokio::sync::Mutex::default(),
            unreadable: AtomicBool::default(),
        };
        let versions = Versions { current: source.current().await?, previous: None };
        Ok(Self::new(versions, Some(source)))
    }

    /// A secret that never changes, without Secrets Manager: for tests and tools.
    pub fn fixed(versions: Versions<T>) -> Self {
        Self::new(versions, None)
    }

    /// The secret as it was read last, without waiting. If that was too long ago, a refresh begins in the
    /// background.
    pub fn get(&self) -> Arc<Versions<T>> {
        if self.0.source.as_ref().is_some_and(Source::claim_refresh) {
            let cache = self.clone();
            tokio::spawn(async move {
                if let Some(source) = &cache.0.source {
                    let _turn = source.refreshing.lock().await;
                    cache.refresh(source, false).await;
                }
            });
        }
        self.latest()
    }

    /// What `find` finds in the versions at hand or, if that is nothing, in both versions as they are now: for a caller
    /// who has met what was made with a version that is not known here.
    ///
    /// The versions are read at most once in 10 seconds, whatever callers send; those that come together wait for one
    /// answer. An error if nothing was found and the versions can't be read: it may be there all the same.
    pub async fn look_up<R>(
        &self,
        find: impl Fn(&Versions<T>) -> Option<R>,
    ) -> Result<Option<R>, ConfigError> {
        if let Some(found) = find(&self.get()) {
            return Ok(Some(found));
        }
        let Some(source) = &self.0.source else { return Ok(None) };
        let mut demanded = source.refreshing.lock().await;
        if demanded.is_none_or(|at| at.elapsed() >= DEMAND_INTERVAL) {
            *demanded = Some(Instant::now());
            self.refresh(source, true).await;
        }
        drop(demanded);
        match find(&self.latest()) {
            None => source.check().map(|()| None),
            found => Ok(found),
        }
    }

    /// An error if the secret could not be read when that was last tried: the one in use still works, but a new start
    /// would not.
    pub fn check(&self) -> Result<(), ConfigError> {
        // Whoever only asks for its health keeps the secret fresh, too.
        self.get();
        self.0.source.as_ref().map_or(Ok(()), Source::check)
    }

    fn new(versions: Versions<T>, source: Option<Source>) -> Self {
        Self(Arc::new(Shared { versions: RwLock::new(Arc::new(versions)), source }))
    }

    fn latest(&self) -> Arc<Versions<T>> {
        Arc::clone(&self.0.versions.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the current version, and the one before it if that is known, demanded, or no longer what it was. Only one
    /// refresh goes on at a time, so that none undoes what another has read.
    async fn refresh(&self, source: &Source, both: bool) {
        match source.read(&self.latest(), both).await {
            Ok(versions) => {
                *self.0.versions.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(versions);
                source.refreshed();
            }
            Err(error) => {
                source.not_refreshed();
                tracing::warn!(error = %telemetry::chain(&error), "secret not refreshed; the old one stays in use");
            }
        }
    }
}

impl<T> Clone for SecretCache<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for SecretCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.0.source.as_ref().map(|source| &source.id);
        f.debug_struct("SecretCache").field("id", &id).finish_non_exhaustive()
    }
}

struct Shared<T> {
    versions: RwLock<Arc<Versions<T>>>,
    /// Where the secret comes from; none if it is fixed.
    source: Option<Source>,
}

struct Source {
    client: Client,
    id: String,
    ttl: Duration,
    /// When the next refresh in the background may begin.
    due: Mutex<Instant>,
    /// Locked while a refresh goes on; when a caller last waited for one.
    refreshing: tokio::sync::Mutex<Option<Instant>>,
    /// The last refresh failed.
    unreadable: AtomicBool,
}

impl Source {
    /// Whether the caller is the one to refresh the secret. The next one may try after the retry interval, which is
    /// also how a failed refresh backs off.
    fn claim_refresh(&self) -> bool {
        let now = Instant::now();
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let claimed = now >= *due;
        if claimed {
            *due = now + RETRY_INTERVAL;
        }
        claimed
    }

    fn check(&self) -> Result<(), ConfigError> {
        match self.unreadable.load(Ordering::Relaxed) {
            true => Err(ConfigError::new(format!("secret {} can't be refreshed", self.id))),
            false => Ok(()),
        }
    }

    fn refreshed(&self) {
        self.unreadable.store(false, Ordering::Relaxed);
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + self.ttl;
    }

    /// What a caller could not be told is tried again soon, however new the secret at hand is: until it can be read,
    /// the check fails.
    fn not_refreshed(&self) {
        self.unreadable.store(true, Ordering::Relaxed);
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        *due = (*due).min(Instant::now() + RETRY_INTERVAL);
    }

    async fn read<T: DeserializeOwned>(
        &self,
        known: &Versions<T>,
        both: bool,
    ) -> Result<Versions<T>, ConfigError> {
        let current = self.current().await?;
        let both = both || known.previous.is_some() || known.current.id != current.id;
        let previous = if both { self.text("AWSPREVIOUS").await? } else { None };
        // A malformed previous version is no reason to refuse the current one: it may be the very mistake that the
        // current one corrects.
        let previous = previous.and_then(|previous| {
            self.parse(previous)
                .inspect_err(|error| tracing::warn!(%error, "previous version of the secret not used"))
                .ok()
        });
        Ok(Versions { current, previous })
    }

    async fn current<T: DeserializeOwned>(&self) -> Result<Version<T>, ConfigError> {
        let current = self.text("AWSCURRENT").await?;
        let missing = || ConfigError::new(format!("secret {} does not exist or has no value", self.id));
        self.parse(current.ok_or_else(missing)?)
    }

    fn parse<T: DeserializeOwned>(&self, text: Version<String>) -> Result<Version<T>, ConfigError> {
        match secret_text::parse(&text.value) {
            Ok(value) => Ok(Version { id: text.id, value }),
            Err(malformed) => Err(ConfigError::new(format!("secret {} {malformed}", self.id))),
        }
    }

    /// The text of the version in this stage, if there is one.
    async fn text(&self, stage: &str) -> Result<Option<Version<String>>, ConfigError> {
        match self.client.get_secret_value().secret_id(&self.id).version_stage(stage).send().await {
            Ok(answer) => match (answer.version_id, answer.secret_string) {
                (Some(id), Some(value)) => Ok(Some(Version { id, value })),
                _ => Err(ConfigError::new(format!("secret {} has no text", self.id))),
            },
            Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) => {
                Ok(None)
            }
            Err(error) => Err(ConfigError::new(format!("can't read secret {}", self.id)).caused_by(error)),
        }
    }
}
