//! What other tests rely on: that the real servers answer over TLS, that a fault does what it says, and that nothing is
//! left of a server when its process is gone.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their attribute, and not what they call")]

/// PostgreSQL.
mod postgres;
/// The end of a process that had servers.
mod processes;
/// Redis.
mod redis;

use std::{
    thread,
    time::{Duration, Instant},
};

/// Waits for something that is about to happen.
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}: not within 30 s");
        thread::sleep(Duration::from_millis(5));
    }
}
