//! All services in one process, meeting only in events.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod events;
mod saga;
mod shop;
