use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    Front, LOOPBACK,
    front::Protocol,
    installation::{self, Account, output, output_with},
    is_ready, lock, on_free_port,
    process::{Folder, Process},
};

/// Who may do everything, without a password, from this machine.
const SUPERUSER: &str = "postgres";
/// Nothing is kept longer than the server runs, so that nothing has to reach the disk.
const SETTINGS: [&str; 6] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=off",
    "full_page_writes=off",
    "timezone=UTC",
    "log_timezone=UTC",
];
/// Copies a new cluster at the first start. Here, so that a process that is killed meanwhile leaves nothing of it. Later
/// starts remove what the server says of itself, which may be left of an end that was no end in order.
const START: &str = r#"new=$1; data=$2; shift 2; rm -f "$data/postmaster.pid"; [ -e "$data" ] || cp -a "$new" "$data" && exec "$@""#;
const DATA: &str = "data";
/// Where the server says how far it is.
const STATUS: &str = "postmaster.pid";
const ACCESS: &str = "
host all postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
";

/// A PostgreSQL cluster with nothing in it. It ends with this value, and its files with it.
pub struct Postgres {
    front: Front,
    port: u16,
    programs: PathBuf,
    // Ends before its folder.
    process: Mutex<Process>,
    folder: Folder,
}

impl Postgres {
    /// Starts one.
    pub fn start() -> Result<Self> {
        Self::start_on(None, None)
    }

    /// Starts one with its TLS front and the server itself on given ports, where they are given.
    pub fn start_on(front: Option<u16>, plain: Option<u16>) -> Result<Self> {
        let account = Account::of_postgres()?;
        let home = installation::postgres(account)?;
        let programs = home.join("bin");
        let new_cluster = new_cluster(&home, account)?;
        on_free_port(plain, |port| {
            let folder = Folder::create("postgres", account)?;
            let data = folder.path().join(DATA);
            let mut command = Command::new("sh");
            command.args(["-c", START, "start"]).arg(&new_cluster).arg(&data);
            command.arg(programs.join("postgres")).arg("-D").arg(&data).args(["-p", &port.to_string()]);
            command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
            // An immediate shutdown: it also ends the server's own children.
            let process = Process::start(&command, &folder, "QUIT", account)?;
            if !is_ready(&process, || accepts(&folder))? {
                bail!("postgres does not start: {}", folder.log());
            }
            let front = Front::start(Protocol::Postgres, (LOOPBACK, port).into(), front)?;
            Ok(Self { front, port, programs: programs.clone(), process: Mutex::new(process), folder })
        })
    }

    /// Host and port of the TLS front, which is what a service is given.
    pub fn host_and_port(&self) -> (String, u16) {
        ("localhost".to_owned(), self.front.address().port())
    }

    /// The port on 127.0.0.1 where it listens without TLS and lets the superuser `postgres` in without a password, for
    /// looks into it.
    pub fn plain_port(&self) -> u16 {
        self.port
    }

    /// Where it listens without TLS.
    pub fn plain_address(&self) -> SocketAddr {
        (LOOPBACK, self.port).into()
    }

    /// The CA of the TLS front, as PEM.
    pub fn roots(&self) -> &str {
        self.front.roots()
    }

    /// The way to it, and what can go wrong there.
    pub fn line(&self) -> &Front {
        &self.front
    }

    /// Gives a role a password; makes the role if there is none of this name.
    pub fn set_password(&self, role: &str, password: &str) -> Result<()> {
        let (name, role_text) = (identifier(role), literal(role));
        let make = literal(&format!("CREATE ROLE {name} LOGIN CREATEDB CREATEROLE"));
        self.psql(
            SUPERUSER,
            &format!(
                "SELECT {make} WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {role_text}) \\gexec
                ALTER ROLE {name} PASSWORD {}",
                literal(password)
            ),
        )?;
        Ok(())
    }

    /// Makes a database that belongs to a role, unless it is there.
    pub fn create_database(&self, database: &str, owner: &str) -> Result<()> {
        let make = literal(&format!("CREATE DATABASE {} OWNER {}", identifier(database), identifier(owner)));
        let name = literal(database);
        self.psql(
            SUPERUSER,
            &format!(
                "SELECT {make} WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = {name}) \\gexec"
            ),
        )?;
        Ok(())
    }

    /// Runs SQL in a database as the superuser and gives its rows, a line each, columns between `|`.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = Command::new(self.programs.join("psql"));
        // No settings and no password file of whoever runs this.
        psql.env_clear().args(["-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"]);
        psql.args(["-p", &self.port.to_string(), "-U", SUPERUSER, "-d", database]);
        Ok(output_with(&mut psql, sql)?.trim_end().to_owned())
    }

    /// Ends all sessions of a database, as a failover does.
    pub fn terminate_backends(&self, database: &str) -> Result<()> {
        let name = literal(database);
        let sql = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {name}");
        self.psql(SUPERUSER, &sql).map(drop)
    }

    /// Refuses or allows to write in a database. Sessions that are open when it becomes read-only see it at once, those
    /// that are open when it is writable again go on to be read-only.
    pub fn set_read_only(&self, database: &str, read_only: bool) -> Result<()> {
        let name = identifier(database);
        let sql = format!("ALTER DATABASE {name} SET default_transaction_read_only = {read_only}");
        self.psql(SUPERUSER, &sql)?;
        if read_only { self.terminate_backends(database) } else { Ok(()) }
    }

    /// Ends the server as a power cut does. What was committed stays. The TLS front stays and closes what connects.
    pub fn stop(&self) -> Result<()> {
        lock(&self.process).stop()
    }

    /// Starts it anew where it was, with what was committed.
    pub fn restart(&self) -> Result<()> {
        let mut process = lock(&self.process);
        process.restart()?;
        ensure!(
            is_ready(&process, || accepts(&self.folder))?,
            "postgres does not start again: {}",
            self.folder.log()
        );
        Ok(())
    }
}

/// A cluster with nothing in it, made once for all processes.
fn new_cluster(home: &Path, account: Account) -> Result<PathBuf> {
    let cluster = home.join("new-cluster");
    installation::once(&cluster, |folder| {
        account.own(folder)?;
        let data = folder.join("data");
        let mut initdb = account.command(&home.join("bin/initdb").to_string_lossy());
        initdb.current_dir("/").args(["--username", SUPERUSER, "--encoding", "UTF8", "--locale", "C"]);
        initdb.args(["--no-sync", "--wal-segsize", "1", "--pgdata"]).arg(&data);
        output(&mut initdb).context("can't make a PostgreSQL cluster")?;
        fs::write(data.join("pg_hba.conf"), ACCESS)?;
        Ok(())
    })?;
    Ok(cluster.join("data"))
}

/// Whether the server says that it accepts connections.
fn accepts(folder: &Folder) -> bool {
    fs::read_to_string(folder.path().join(DATA).join(STATUS))
        .is_ok_and(|status| status.lines().any(|line| line.trim() == "ready"))
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
