//! Connections to the database, made when they are needed and as the secrets say by then.
//!
//! There is no state of a session anywhere: every transaction sets its own limits, so that a proxy may give each one
//! another connection.

/// What can fail, and what that means.
mod error;
/// What the secrets say.
mod secrets;
/// Connections on which nothing comes any more.
#[cfg(test)]
mod silence;
/// Transactions, and what becomes of their connections.
mod transaction;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use aws_types::SdkConfig;
use secrecy::ExposeSecret as _;
use service_config::{ConfigError, DEFAULT_TTL, SecretCache};
use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection, PgPool, Postgres,
    migrate::Migrator,
    pool::{PoolConnection, PoolConnectionMetadata},
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};

pub use self::{
    error::{DatabaseError, SchemaMismatch},
    secrets::{Login, Place},
    transaction::Transaction,
};

/// The schema that this code knows, step by step.
pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!();

/// Connections of one environment. A batch has up to ten messages, each of them done in milliseconds: they share.
const CONNECTIONS: u32 = 2;

/// To get a connection, a new one included. A database that is paused takes longer to wake up: then the message fails
/// and comes back.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// To learn whether a connection still lives that was made before a pause, in which the other side may have gone without
/// a word.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// How a transaction that writes begins. One that stands still, because its function was frozen in the middle of it,
/// holds no locks for long.
const WRITE: &str = "BEGIN; SET LOCAL statement_timeout = '10s'; \
    SET LOCAL idle_in_transaction_session_timeout = '20s'";

/// How a transaction that reads begins: all its statements see the same moment. Reports read much of a few tables that
/// are mostly in memory, one at a time, which the planner does not expect.
const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '5s'; \
    SET LOCAL idle_in_transaction_session_timeout = '20s'; SET LOCAL jit = off; \
    SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL random_page_cost = 1.1; SET LOCAL work_mem = '32MB'";

/// The roots of the certificates that RDS gives to databases; certificates/README.md says where they are from.
const RDS_ROOTS: &str = include_str!("../certificates/rds-roots.pem");

/// The database of reports. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Database(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    place: SecretCache<Place>,
    login: SecretCache<Login>,
    roots: Vec<u8>,
    pool: PgPool,
    /// Which versions of the secrets new connections are made with.
    applied: Mutex<Versions>,
    /// The schema was looked at, and is the one that this code knows.
    schema_known: AtomicBool,
    /// No connection from before that moment is used again.
    distrusted: Arc<Mutex<Option<Instant>>>,
}

/// Ids of the versions of both secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Versions {
    place: String,
    login: String,
}

impl Database {
    /// The database that the secret `id` names; its password is in a second secret, which the first one names.
    pub async fn load(aws: &SdkConfig, id: String) -> Result<Self, ConfigError> {
        let place: SecretCache<Place> = SecretCache::load(aws, id, DEFAULT_TTL).await?;
        let login_id = place.get().current.value.password_secret_arn.clone();
        let login = SecretCache::load(aws, login_id, DEFAULT_TTL).await?;
        Ok(Self::new(place, login, &trusted_roots()?))
    }

    /// The database at a place that is known, with the certificates of `roots` (PEM). No connection is made yet.
    pub fn new(place: SecretCache<Place>, login: SecretCache<Login>, roots: &str) -> Self {
        let distrusted = Arc::<Mutex<Option<Instant>>>::default();
        let (options, applied) = connect_options(&place, &login, roots.as_bytes());
        let since = Arc::clone(&distrusted);
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // By `acquire` instead, which does not wait for ever.
            .test_before_acquire(false)
            .before_acquire(move |_, meta| {
                let trusted = is_trusted(&since, meta);
                Box::pin(async move { Ok(trusted) })
            })
            .connect_lazy_with(options);
        let applied = Mutex::new(applied);
        let roots = roots.as_bytes().to_vec();
        Self(Arc::new(Shared {
            place,
            login,
            roots,
            pool,
            applied,
            schema_known: AtomicBool::new(false),
            distrusted,
        }))
    }

    /// Begins a transaction for a report.
    pub async fn read(&self) -> Result<Transaction, DatabaseError> {
        self.begin(READ).await
    }

    /// Begins a transaction that changes something.
    pub async fn write(&self) -> Result<Transaction, DatabaseError> {
        self.begin(WRITE).await
    }

    /// Whether the secrets can be read, and the database answers and has the schema that this code knows.
    pub async fn ready(&self) -> Result<(), DatabaseError> {
        self.0.place.check()?;
        self.0.login.check()?;
        let mut transaction = self.read().await?;
        sqlx::query("SELECT").execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// A connection of its own, for what is about the schema itself, whatever that is.
    pub(crate) async fn connection(&self) -> Result<PgConnection, DatabaseError> {
        let rejected = self.follow_secrets();
        match Box::pin(self.0.pool.connect_options().connect()).await {
            Err(error) if error::is_rejected_login(&error) => {
                self.renew_login(rejected, error).await?;
                Ok(self.0.pool.connect_options().connect().await?)
            }
            connected => Ok(connected?),
        }
    }

    /// The version of the schema that the database has; 0 if it has none.
    pub(crate) async fn schema_version(connection: &mut PgConnection) -> Result<i64, DatabaseError> {
        let version =
            sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM public._sqlx_migrations WHERE success");
        match version.fetch_one(connection).await {
            Err(error) if error::is_undefined_table(&error) => Ok(0),
            version => Ok(version?),
        }
    }

    /// Learns from the failure of a transaction: what it is the connections' fault for is not tried again over those that
    /// there are.
    pub(crate) fn learn_from(&self, error: &DatabaseError) {
        if error.is_of_the_connection() {
            *self.0.distrusted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }

    async fn begin(&self, statement: &'static str) -> Result<Transaction, DatabaseError> {
        let rejected = self.follow_secrets();
        // On the heap: the future holds all that making a connection takes, which is seldom done.
        let acquired = match Box::pin(self.acquire()).await {
            Err(error) if error::is_rejected_login(&error) => {
                self.renew_login(rejected, error).await?;
                Box::pin(self.acquire()).await
            }
            acquired => acquired,
        };
        let mut transaction = Transaction::begin(acquired?, statement).await?;
        self.check_schema(&mut transaction).await?;
        Ok(transaction)
    }

    /// A connection that lives, as far as can be known. One that does not is dropped, without a goodbye for which it would
    /// have to live.
    async fn acquire(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        for _ in 0..CONNECTIONS {
            let mut connection = self.0.pool.acquire().await?;
            if is_alive(&mut connection).await {
                return Ok(connection);
            }
            drop(connection.detach());
        }
        // All that were there are gone: this one is new.
        self.0.pool.acquire().await
    }

    /// Refuses a schema that this code does not know. Once it was the right one, it is not looked at again.
    async fn check_schema(&self, connection: &mut PgConnection) -> Result<(), DatabaseError> {
        if !self.0.schema_known.load(Ordering::Relaxed) {
            SchemaMismatch::check(Self::schema_version(connection).await?)?;
            self.0.schema_known.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// New connections are made as the secrets say by now. Answers the version of the login.
    fn follow_secrets(&self) -> String {
        let versions = Versions::of(&self.0.place, &self.0.login);
        let mut applied = self.0.applied.lock().unwrap_or_else(PoisonError::into_inner);
        if *applied != versions {
            let (options, versions) = connect_options(&self.0.place, &self.0.login, &self.0.roots);
            self.0.pool.set_connect_options(options);
            *applied = versions;
        }
        applied.login.clone()
    }

    /// Reads the login anew if it still is the one that was rejected. If there is no other one, the rejection stands.
    async fn renew_login(&self, rejected: String, error: sqlx::Error) -> Result<(), DatabaseError> {
        let renewed =
            self.0.login.look_up(|versions| (versions.current.id != rejected).then_some(())).await?;
        renewed.ok_or(error)?;
        self.follow_secrets();
        Ok(())
    }
}

impl Versions {
    fn of(place: &SecretCache<Place>, login: &SecretCache<Login>) -> Self {
        Self { place: place.get().current.id.clone(), login: login.get().current.id.clone() }
    }
}

/// How to connect as the secrets say now, and which versions of them say so.
fn connect_options(
    place: &SecretCache<Place>,
    login: &SecretCache<Login>,
    roots: &[u8],
) -> (PgConnectOptions, Versions) {
    let (place, login) = (place.get(), login.get());
    let versions = Versions { place: place.current.id.clone(), login: login.current.id.clone() };
    let (place, login) = (&place.current.value, &login.current.value);
    let options = PgConnectOptions::new_without_pgpass()
        .host(&place.host)
        .port(place.port)
        .database(&place.dbname)
        .username(&login.username)
        .password(login.password.expose_secret())
        .ssl_mode(PgSslMode::VerifyFull)
        .ssl_root_cert_from_pem(roots.to_vec())
        .application_name("report-service")
        // Every failure is logged where it is handled, and statements are no news.
        .disable_statement_logging();
    (options, versions)
}

fn is_trusted(distrusted: &Mutex<Option<Instant>>, meta: PoolConnectionMetadata) -> bool {
    let since = *distrusted.lock().unwrap_or_else(PoisonError::into_inner);
    since.is_none_or(|since| meta.age < since.elapsed())
}

async fn is_alive(connection: &mut PgConnection) -> bool {
    matches!(tokio::time::timeout(PING_TIMEOUT, connection.ping()).await, Ok(Ok(())))
}

/// In whom to trust beside the public authorities, whom the client library always trusts. What `SSL_CERT_FILE` names stands
/// for itself; otherwise a database has a certificate of RDS' own authority for the region, and a proxy one of Amazon's.
fn trusted_roots() -> Result<String, ConfigError> {
    let roots = service_config::trusted_roots()?;
    Ok(match service_config::optional("SSL_CERT_FILE") {
        Some(_) => roots.into_owned(),
        None => format!("{roots}\n{}", rds_roots(&service_config::required("AWS_REGION")?)),
    })
}

/// The roots of one region: there are many regions, and all of them are read for each connection.
fn rds_roots(region: &str) -> String {
    let of_region = format!("Amazon RDS {region} Root CA ");
    RDS_ROOTS.split("# ").filter(|root| root.starts_with(&of_region)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_region_has_roots_of_its_own() {
        for region in ["us-east-1", "eu-central-1", "ap-southeast-2"] {
            assert_eq!(rds_roots(region).matches("-----BEGIN CERTIFICATE-----").count(), 3, "{region}");
        }
        assert_eq!(rds_roots("us-east"), "");
    }
}
