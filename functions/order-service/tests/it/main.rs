//! order-service through its one door: raw Lambda events in, answers and rows out.

// The lint's own exception for tests does not see the helpers of an integration test.
#![allow(clippy::unwrap_used)]

/// Who is let in, and to what.
mod access;
/// Cancelling, shipping, delivering.
mod changes;
/// Writes whose outcome is not known at first.
mod cuts;
/// What is left of a customer who is gone.
mod deletion;
/// The service with everything around it.
mod harness;
/// Which events the changes of rows become.
mod outgoing;
/// Placing orders, once per key.
mod placing;
/// One order, and lists of them.
mod reading;
/// Outcomes and deadlines, in any sequence.
mod saga;
/// The events in `events/order-service`.
mod samples;
/// A table that is asked too much.
mod throttling;
