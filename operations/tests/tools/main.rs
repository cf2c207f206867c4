//! Against the deployed shop: what fails ends where an operator's tools find it, and goes back where it belongs.
//!
//! `cargo xtask test` starts the cloud, deploys, and runs these with `SHOP_CLOUD_URL` (the cloud's address) and
//! `SHOP_ENVIRONMENT` (the stack's environment) set.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

/// The deployed cloud as a test sees it.
mod cloud;
mod commands;
mod diagnosis;
mod messages;
mod permissions;
mod streams;
