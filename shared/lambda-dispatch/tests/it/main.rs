//! The dispatcher through its only door: raw events in, answers out.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod cors;
mod function;
mod http;
mod probe;
mod queue;
mod silent;
mod stream;
mod task;
