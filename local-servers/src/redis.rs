use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    Front, LOOPBACK, POLL, PORTS_TRIED, START_DEADLINE, free_port,
    front::Protocol,
    installation::{self, Account},
    process::{Folder, Process},
    random_text,
};

/// A `redis-server` with nothing in it, that keeps nothing on disk and asks for a password, as ElastiCache does with its
/// auth token. It ends with this value.
pub struct Redis {
    front: Front,
    port: u16,
    auth_token: String,
    // Ends before its folder.
    process: Mutex<Option<Process>>,
    folder: Folder,
}

impl Redis {
    /// Starts one.
    pub fn start() -> Result<Self> {
        Self::start_on(None, None)
    }

    /// Starts one with its TLS front and the server itself on given ports, where they are given.
    pub fn start_on(front: Option<u16>, plain: Option<u16>) -> Result<Self> {
        let auth_token = random_text();
        let folder = Folder::create("redis", Account::Own)?;
        for _ in 0..PORTS_TRIED {
            let port = plain.map_or_else(free_port, Ok)?;
            if let Some(process) = run(&folder, port, &auth_token)? {
                let front = Front::start(Protocol::Redis, (LOOPBACK, port).into(), front)?;
                return Ok(Self { front, port, auth_token, process: Mutex::new(Some(process)), folder });
            }
            if plain.is_some() {
                break;
            }
        }
        bail!("redis-server does not start: {}", folder.log())
    }

    /// Where it listens without TLS, for looks into it.
    pub fn plain_address(&self) -> SocketAddr {
        (LOOPBACK, self.port).into()
    }

    /// What a service is given: the address of the TLS front.
    pub fn url(&self) -> String {
        format!("rediss://localhost:{}", self.front.address().port())
    }

    /// The password that it started with.
    pub fn auth_token(&self) -> &str {
        &self.auth_token
    }

    /// The CA of the TLS front, as PEM.
    pub fn roots(&self) -> &str {
        self.front.roots()
    }

    /// The way to it, and what can go wrong there.
    pub fn line(&self) -> &Front {
        &self.front
    }

    /// Ends the server, and with it what it held. The TLS front stays and closes what connects.
    pub fn stop(&self) -> Result<()> {
        self.process().take().map_or(Ok(()), Process::stop)
    }

    /// Starts it anew where it was, with nothing in it.
    pub fn restart(&self) -> Result<()> {
        let mut process = self.process();
        if let Some(running) = process.take() {
            running.stop()?;
        }
        let started = run(&self.folder, self.port, &self.auth_token)?;
        *process = Some(started.with_context(|| format!("it does not start: {}", self.folder.log()))?);
        Ok(())
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the server, or answers nothing if it ends at once.
fn run(folder: &Folder, port: u16, password: &str) -> Result<Option<Process>> {
    let settings = folder.path().join("redis.conf");
    let persistence = "save \"\"\nappendonly no\n";
    fs::write(&settings, format!("bind {LOOPBACK}\nport {port}\nrequirepass {password}\n{persistence}"))?;
    let mut command = Command::new(installation::redis_server()?);
    command.arg(settings).arg("--dir").arg(folder.path());
    let process = Process::start(&command, folder, "KILL", Account::Own)?;
    let started = Instant::now();
    while !process.has_ended() {
        if answers(port, password) {
            return Ok(Some(process));
        }
        if started.elapsed() > START_DEADLINE {
            bail!("redis-server does not answer: {}", folder.log());
        }
        thread::sleep(POLL);
    }
    process.stop()?;
    Ok(None)
}

/// Whether the server there is the one with this password.
fn answers(port: u16, password: &str) -> bool {
    let ask = || {
        let mut server = TcpStream::connect((LOOPBACK, port))?;
        server.set_read_timeout(Some(Duration::from_secs(1)))?;
        server.write_all(format!("AUTH {password}\r\n").as_bytes())?;
        let mut answer = [0; 5];
        server.read_exact(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    ask().is_ok_and(|answer| answer == *b"+OK\r\n")
}
