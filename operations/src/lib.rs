//! What an operator needs when something of the shop is stuck, on the local cloud and on AWS.
//!
//! Everything is found by asking the cloud what is deployed for an environment; nothing here knows a list of queues or
//! functions.

/// What could not be handled and waits for somebody: looked at, given back, or given up.
pub mod dead_letters;
/// Whether a stack is healthy, and what to do if it is not.
pub mod doctor;
/// The database of the reports: its schema, making it anew, and whether it agrees with the tables.
pub mod reports;

/// Calls of AWS for which there is no SDK here.
mod aws;
mod functions;

pub use functions::Function;
