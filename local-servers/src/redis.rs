use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    Front, LOOPBACK, POLL, PORTS_TRIED, START_DEADLINE, free_port,
    front::Protocol,
    installation::{self, Account},
    process::{Folder, Process},
    random_text,
};

const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// A `redis-server` with nothing in it, that keeps nothing on disk and asks for a password, as ElastiCache does with its
/// auth token. It ends with this value.
pub struct Redis {
    front: Front,
    port: u16,
    auth_token: String,
    /// The password that it asks for now.
    required: Mutex<String>,
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
                let (required, process) = (Mutex::new(auth_token.clone()), Mutex::new(Some(process)));
                return Ok(Self { front, port, auth_token, required, process, folder });
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

    /// Asks for another password from now on, as if it had been made with that one. Who has logged in stays so.
    pub fn set_auth_token(&self, token: &str) -> Result<()> {
        let mut required = self.required.lock().unwrap_or_else(PoisonError::into_inner);
        let commands = [&["AUTH", required.as_str()][..], &["CONFIG", "SET", "requirepass", token]];
        ask(self.port, &commands).context("redis-server does not take another password")?;
        token.clone_into(&mut required);
        Ok(())
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
        let required = self.required.lock().unwrap_or_else(PoisonError::into_inner);
        let started = run(&self.folder, self.port, &required)?;
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
    fs::write(&settings, format!("bind {LOOPBACK}\nport {port}\nrequirepass \"{password}\"\n{persistence}"))?;
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
    ask(port, &[&["AUTH", password]]).is_ok()
}

/// Gives commands, each of which has to be answered by OK.
fn ask(port: u16, commands: &[&[&str]]) -> Result<()> {
    let mut server = TcpStream::connect((LOOPBACK, port))?;
    server.set_read_timeout(Some(ANSWER_DEADLINE))?;
    for words in commands {
        let mut command = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| command += &format!("${}\r\n{word}\r\n", word.len()));
        server.write_all(command.as_bytes())?;
        let mut answer = [0; 5];
        server.read_exact(&mut answer)?;
        ensure!(answer == *b"+OK\r\n", "it answers {:?}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}
