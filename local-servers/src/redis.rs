use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::Mutex,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    Front, LOOPBACK,
    front::Protocol,
    installation::{self, Account},
    is_ready, lock, on_free_port,
    process::{Folder, Process},
    random_text,
};

const SETTINGS: &str = "redis.conf";
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
    process: Mutex<Process>,
    folder: Folder,
}

impl Redis {
    /// Starts one.
    pub fn start() -> Result<Self> {
        Self::start_on(None, None)
    }

    /// Starts one with its TLS front and the server itself on given ports, where they are given.
    pub fn start_on(front: Option<u16>, plain: Option<u16>) -> Result<Self> {
        on_free_port(plain, |port| {
            let folder = Folder::create("redis", Account::Own)?;
            let auth_token = random_text();
            configure(&folder, port, &auth_token)?;
            let mut command = Command::new(installation::redis_server()?);
            command.arg(folder.path().join(SETTINGS)).arg("--dir").arg(folder.path());
            let process = Process::start(&command, &folder, "KILL", Account::Own)?;
            if !is_ready(&process, || answers(port, &auth_token))? {
                bail!("redis-server does not start: {}", folder.log());
            }
            let front = Front::start(Protocol::Redis, (LOOPBACK, port).into(), front)?;
            let (required, process) = (Mutex::new(auth_token.clone()), Mutex::new(process));
            Ok(Self { front, port, auth_token, required, process, folder })
        })
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
        let mut required = lock(&self.required);
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
        lock(&self.process).stop()
    }

    /// Starts it anew where it was, with nothing in it.
    pub fn restart(&self) -> Result<()> {
        let (mut process, required) = (lock(&self.process), lock(&self.required));
        configure(&self.folder, self.port, &required)?;
        process.restart()?;
        ensure!(
            is_ready(&process, || answers(self.port, &required))?,
            "redis-server does not start again: {}",
            self.folder.log()
        );
        Ok(())
    }
}

/// Writes what the server reads when it starts.
fn configure(folder: &Folder, port: u16, password: &str) -> Result<()> {
    let settings =
        format!("bind {LOOPBACK}\nport {port}\nrequirepass \"{password}\"\nsave \"\"\nappendonly no\n");
    fs::write(folder.path().join(SETTINGS), settings).context("can't write the settings of redis-server")
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
