//! The helpers themselves: a helper that lies makes every test built on it lie.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

/// Buckets in memory.
mod bucket_stub;
/// The endpoint that counts calls.
mod counting;
/// Events as the front doors make them.
mod door;
/// Tables and streams of the emulator.
mod emulator;
/// The log as tests see it.
mod logs;
/// The topic that fails on demand.
mod topic_stub;
