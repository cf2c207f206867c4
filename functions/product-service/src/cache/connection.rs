use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, ErrorKind, FromRedisValue, Pipeline, RedisConnectionInfo, RedisError,
    aio::MultiplexedConnection,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, InvalidDnsNameError, ServerName, pem::PemObject as _},
};
use secrecy::ExposeSecret as _;
use tokio::{
    net::TcpStream,
    sync::Mutex as Turn,
    task::AbortHandle,
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;

use super::{
    circuit::{Admission, Circuit, Failed},
    secret::CacheSecret,
};

/// A connection that was idle for longer is made anew. What a frozen environment has kept may be long gone, and whoever
/// sends something over it would wait for nothing.
const LONGEST_IDLE: Duration = Duration::from_secs(60);

/// How long Redis is waited for, and how long it is left alone after a failure.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// To connect, with TLS and authentication.
    pub connect: Duration,
    /// Of one round trip.
    pub command: Duration,
    /// After the first failure; doubled with each further one.
    pub first_pause: Duration,
    /// At most.
    pub longest_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_millis(90),
            command: Duration::from_millis(40),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
        }
    }
}

/// The one connection of an environment to Redis. It is made when it is first used, and nobody needs it: what can't be done
/// is not done.
pub(super) struct Connection {
    host: String,
    port: u16,
    /// Whose certificates are accepted, as PEM.
    roots: Cow<'static, str>,
    tls: OnceLock<TlsConnector>,
    secret: CacheSecret,
    limits: Limits,
    circuit: Circuit,
    live: Mutex<Option<Live>>,
    /// Held by whoever connects.
    connecting: Turn<()>,
}

/// A connection that is open, as far as is known.
#[derive(Clone)]
struct Live {
    commands: MultiplexedConnection,
    /// Ends with the last one that uses it.
    driver: Arc<Driver>,
    used: Instant,
}

/// The task that sends and receives.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why Redis was of no use.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the secret of the cache can't be read")]
    NoToken,
    #[error("no connection within {0:?}")]
    SlowConnection(Duration),
    #[error("no answer within {0:?}")]
    SlowAnswer(Duration),
    #[error("another request has just failed to connect")]
    GivenUp,
    #[error("can't connect")]
    Connect(#[from] std::io::Error),
    #[error("its address is no name")]
    Name(#[from] InvalidDnsNameError),
    #[error("the trusted roots can't be read")]
    Roots(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("Redis refuses the token")]
    Refused { version: String, source: RedisError },
    #[error("Redis failed")]
    Redis(#[from] RedisError),
}

impl Connection {
    pub(super) fn new(
        host: String,
        port: u16,
        roots: Cow<'static, str>,
        secret: CacheSecret,
        limits: Limits,
    ) -> Self {
        Self {
            host,
            port,
            roots,
            tls: OnceLock::new(),
            secret,
            limits,
            circuit: Circuit::new(limits.first_pause, limits.longest_pause),
            live: Mutex::default(),
            connecting: Turn::default(),
        }
    }

    /// Sends commands in one round trip. `None` if there is no answer, for whatever reason: that is told here, once, and is
    /// nothing that the caller would have to know.
    pub(super) async fn run<T: FromRedisValue>(&self, commands: &Pipeline) -> Option<T> {
        let admission = self.circuit.admit(Instant::now())?;
        match self.answer(commands, &admission).await {
            Ok(answer) => {
                if admission.succeeded(Instant::now()) {
                    tracing::info!("the cache answers again");
                }
                Some(answer)
            }
            Err(failure) => {
                self.failed(admission, &failure);
                None
            }
        }
    }

    fn failed(&self, admission: Admission<'_>, failure: &Failure) {
        match failure {
            Failure::NoToken => self.secret.renew(None),
            Failure::Refused { version, .. } => self.secret.renew(Some(version.clone())),
            _ => {}
        }
        let failed = admission.failed(Instant::now());
        if failed == Failed::Opened {
            tracing::warn!(error = %telemetry::chain(failure), "the cache failed and is left alone for a while");
        }
        // A try that failed is counted, too: who watches the metric sees for how long the cache is away.
        if failed != Failed::Known {
            let service = <crate::ProductService as lambda_dispatch::Service>::NAME;
            telemetry::count("cache_failures", ("service", service));
        }
    }

    async fn answer<T: FromRedisValue>(
        &self,
        commands: &Pipeline,
        admission: &Admission<'_>,
    ) -> Result<T, Failure> {
        let Limits { connect, command, .. } = self.limits;
        let mut live = match self.open() {
            Some(live) => live,
            None => timeout(connect, self.connected(admission))
                .await
                .map_err(|_| Failure::SlowConnection(connect))??,
        };
        let answer = match timeout(command, commands.query_async(&mut live.commands)).await {
            Ok(answer) => answer.map_err(Failure::from),
            Err(_) => Err(Failure::SlowAnswer(command)),
        };
        let mut latest = self.lock();
        let own = latest.as_mut().filter(|latest| Arc::ptr_eq(&latest.driver, &live.driver));
        match (&answer, own) {
            (Ok(_), Some(latest)) => latest.used = Instant::now(),
            // A node that has just lost its role goes on refusing, and one that hangs has the answers of others to come.
            (Err(_), Some(_)) => *latest = None,
            (_, None) => {}
        }
        answer
    }

    /// The connection, if there is one that can be relied upon.
    fn open(&self) -> Option<Live> {
        let mut live = self.lock();
        *live = live.take().filter(|live| live.used.elapsed() < LONGEST_IDLE);
        live.clone()
    }

    /// The connection that somebody else has just made, or a new one.
    async fn connected(&self, admission: &Admission<'_>) -> Result<Live, Failure> {
        let _turn = self.connecting.lock().await;
        if let Some(live) = self.open() {
            return Ok(live);
        }
        if !admission.holds() {
            return Err(Failure::GivenUp);
        }
        let token = self.secret.token().ok_or(Failure::NoToken)?;
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
        tcp.set_nodelay(true)?;
        let stream = self.tls()?.connect(ServerName::try_from(self.host.clone())?, tcp).await?;
        let login = RedisConnectionInfo::default()
            .set_password(token.value.text.expose_secret())
            .set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let connection = MultiplexedConnection::new_with_config(&login, stream, config).await;
        let (commands, driver) = connection.map_err(|source| match source.kind() {
            ErrorKind::AuthenticationFailed => Failure::Refused { version: token.id, source },
            _ => Failure::Redis(source),
        })?;
        let driver = Arc::new(Driver(tokio::spawn(driver).abort_handle()));
        let live = Live { commands, driver, used: Instant::now() };
        *self.lock() = Some(live.clone());
        Ok(live)
    }

    /// One for all connections, so that the next one can resume the session of the last one.
    fn tls(&self) -> Result<&TlsConnector, Failure> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls);
        }
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(self.roots.as_bytes()) {
            roots
                .add(root.map_err(|error| Failure::Roots(error.into()))?)
                .map_err(|error| Failure::Roots(error.into()))?;
        }
        // The provider is named, so that none has to be installed for the whole process.
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::Roots(error.into()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(self.tls.get_or_init(|| TlsConnector::from(Arc::new(config))))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Connection")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}
