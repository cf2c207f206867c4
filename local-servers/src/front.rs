use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc as answers,
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Runtime,
    sync::{mpsc, watch},
    task::AbortHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::{LOOPBACK, POLL};

/// How clients of a protocol come to TLS.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Protocol {
    /// With the first byte.
    Redis,
    /// They ask for it first.
    Postgres,
}

/// With what a PostgreSQL client asks for TLS, and the answer that there is.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const TLS_FOLLOWS: u8 = b'S';
/// What no server ever says, in Redis' protocol as in PostgreSQL's.
const GARBAGE: u8 = 0xfe;
const CHUNK: usize = 16 * 1024;

/// A TLS front of a server, with a certificate for `localhost` under a CA of its own. Whatever is made to go wrong here,
/// the server behind it stays as it is.
pub struct Front {
    address: SocketAddr,
    roots: String,
    orders: mpsc::UnboundedSender<Order>,
    mode: watch::Sender<Mode>,
    open: Open,
    accepted: Arc<AtomicUsize>,
    /// Its threads go on when the test that started it blocks, or ends.
    runtime: Option<Runtime>,
}

/// What is done with what the server says.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Pass,
    Hang,
    Delay(Duration),
    Garbage,
}

/// Whether to listen; answered when that is so.
struct Order {
    listen: bool,
    done: answers::Sender<io::Result<()>>,
}

/// The connections that are open.
type Open = Arc<Mutex<Vec<AbortHandle>>>;

impl Front {
    /// Starts one before a server.
    pub(crate) fn start(protocol: Protocol, server: SocketAddr, port: Option<u16>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tls-front")
            .enable_all()
            .build()?;
        let _context = runtime.enter();
        let port = Port::reserve(port.unwrap_or_default())?;
        let (acceptor, roots) = certified()?;
        let (orders, received) = mpsc::unbounded_channel();
        let (mode, _) = watch::channel(Mode::Pass);
        let (open, accepted) = (Open::default(), Arc::default());
        let address = port.address;
        let door = Door {
            protocol,
            server,
            acceptor,
            mode: mode.clone(),
            open: Arc::clone(&open),
            accepted: Arc::clone(&accepted),
        };
        runtime.spawn(door.keep(port, received));
        drop(_context);
        let front = Self { address, roots, orders, mode, open, accepted, runtime: Some(runtime) };
        front.listen(true)?;
        Ok(front)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The CA of its certificate, as PEM.
    pub(crate) fn roots(&self) -> &str {
        &self.roots
    }

    /// How many connections were ever accepted.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Passes everything on, as from the start.
    pub fn pass(&self) -> Result<()> {
        self.mode.send_replace(Mode::Pass);
        self.listen(true)
    }

    /// Closes what is open and lets nobody in: connections are refused.
    pub fn refuse(&self) -> Result<()> {
        self.listen(false)?;
        self.cut();
        Ok(())
    }

    /// Accepts connections and says nothing, on those that are open neither.
    pub fn hang(&self) -> Result<()> {
        self.mode.send_replace(Mode::Hang);
        self.listen(true)
    }

    /// Lets each chunk of what the server says arrive later.
    pub fn delay(&self, by: Duration) -> Result<()> {
        self.mode.send_replace(Mode::Delay(by));
        self.listen(true)
    }

    /// Says nonsense instead of what the server says and hangs up, on open connections and on new ones after the TLS
    /// handshake.
    pub fn garbage(&self) -> Result<()> {
        self.mode.send_replace(Mode::Garbage);
        self.listen(true)
    }

    /// Closes the open connections. New ones are as before.
    pub fn cut(&self) {
        let cut: Vec<_> = open(&self.open).drain(..).collect();
        cut.iter().for_each(AbortHandle::abort);
        while !cut.iter().all(AbortHandle::is_finished) {
            thread::sleep(POLL);
        }
    }

    fn listen(&self, listen: bool) -> Result<()> {
        let (done, answer) = answers::channel();
        let gone = || anyhow!("the TLS front is gone");
        self.orders.send(Order { listen, done }).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?.context("the TLS front can't listen")
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Does not wait, so that it may be dropped by an async test.
            runtime.shutdown_background();
        }
    }
}

/// A port that stays this front's own while nobody listens on it.
struct Port {
    address: SocketAddr,
    #[expect(dead_code, reason = "its being bound keeps the port")]
    reserved: TcpSocket,
}

impl Port {
    fn reserve(port: u16) -> Result<Self> {
        let reserved =
            bound(SocketAddrV4::new(LOOPBACK, port).into()).context("can't have the TLS front's port")?;
        Ok(Self { address: reserved.local_addr()?, reserved })
    }

    fn listen(&self) -> io::Result<TcpListener> {
        bound(self.address)?.listen(1024)
    }
}

/// Several sockets can share an address, as long as one of them at most listens.
fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Lets clients in.
struct Door {
    protocol: Protocol,
    server: SocketAddr,
    acceptor: TlsAcceptor,
    mode: watch::Sender<Mode>,
    open: Open,
    accepted: Arc<AtomicUsize>,
}

impl Door {
    async fn keep(self, port: Port, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut listener = None;
        loop {
            tokio::select! {
                biased;
                order = orders.recv() => {
                    let Some(Order { listen, done }) = order else { return };
                    let outcome = match (listen, &listener) {
                        (true, None) => port.listen().map(|opened| listener = Some(opened)),
                        (true, Some(_)) => Ok(()),
                        (false, _) => { listener = None; Ok(()) }
                    };
                    // Who gave the order waits for this.
                    done.send(outcome).ok();
                }
                Ok(client) = accept(listener.as_ref()) => self.let_in(client),
            }
        }
    }

    fn let_in(&self, client: TcpStream) {
        self.accepted.fetch_add(1, Ordering::SeqCst);
        let (protocol, server, acceptor) = (self.protocol, self.server, self.acceptor.clone());
        let mode = self.mode.subscribe();
        let connection = tokio::spawn(async move {
            // A connection that fails is closed, which tells its client enough.
            serve(protocol, server, acceptor, mode, client).await.ok();
        });
        let mut open = open(&self.open);
        open.retain(|other| !other.is_finished());
        open.push(connection.abort_handle());
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

async fn serve(
    protocol: Protocol,
    server: SocketAddr,
    acceptor: TlsAcceptor,
    mut mode: watch::Receiver<Mode>,
    mut client: TcpStream,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    say_nothing(&mut mode).await;
    if protocol == Protocol::Postgres {
        let mut request = [0; SSL_REQUEST.len()];
        client.read_exact(&mut request).await?;
        if request != SSL_REQUEST {
            return Err(io::Error::other("a client that does not ask for TLS"));
        }
        client.write_all(&[TLS_FOLLOWS]).await?;
    }
    let (mut from_client, mut to_client) = split(acceptor.accept(client).await?);
    let server = TcpStream::connect(server).await?;
    server.set_nodelay(true)?;
    let (mut from_server, mut to_server) = server.into_split();
    let mut mode_of_requests = mode.clone();
    tokio::select! {
        ended = copy(&mut from_client, &mut to_server, &mut mode_of_requests, false) => ended?,
        ended = copy(&mut from_server, &mut to_client, &mut mode, true) => ended?,
    }
    to_client.shutdown().await
}

/// Copies what one side says to the other, until it ends.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mode: &mut watch::Receiver<Mode>,
    of_server: bool,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        say_nothing(mode).await;
        let now = *mode.borrow();
        match now {
            Mode::Delay(by) if of_server => tokio::time::sleep(by).await,
            Mode::Garbage if of_server => {
                // The end too: some clients would wait for as much as a nonsensical length tells them.
                to.write_all(&vec![GARBAGE; length]).await?;
                return Ok(());
            }
            _ => {}
        }
        to.write_all(&buffer[..length]).await?;
        to.flush().await?;
    }
}

/// Waits for as long as the front hangs.
async fn say_nothing(mode: &mut watch::Receiver<Mode>) {
    // The front is gone if this fails, and its connections with it.
    mode.wait_for(|mode| *mode != Mode::Hang).await.ok();
}

fn open(open: &Open) -> MutexGuard<'_, Vec<AbortHandle>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A certificate for `localhost`, and the CA that it is under.
fn certified() -> Result<(TlsAcceptor, String)> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(rcgen::DnType::CommonName, "CA of a local server");
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

    let mut params = CertificateParams::new(["localhost".to_owned()])?;
    params.subject_alt_names.push(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;

    let config = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )?;
    Ok((TlsAcceptor::from(Arc::new(config)), issuer.pem()))
}
