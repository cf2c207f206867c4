//! report-service through its one door, on a PostgreSQL of its own: raw Lambda events and tasks in, rows and answers out.

// The lint's own exception for tests does not see the helpers of an integration test.
#![allow(clippy::unwrap_used)]

/// Logins, certificates, servers that go away.
mod connection;
/// The service with everything around it.
mod harness;
/// What events make of the tables.
mod projection;
/// Everything projected anew, beside what goes on.
mod rebuild;
/// Reports, over what events have told.
mod reports;
/// The events in `events/report-service`.
mod samples;
/// The schema, made and checked.
mod schema;
/// Secrets Manager, as far as a database needs it.
mod secrets_manager;
/// Events of orders, products and users.
mod story;
/// What the tables hold, for an operator.
mod tasks;
