//! The deployed stack on the local cloud: the real template, the real binaries, every hop between them.
//!
//! `cargo xtask test` starts the cloud, deploys, and runs these with `SHOP_API_URL` (the API's address), `SHOP_CLOUD_URL`
//! (the cloud's) and `SHOP_ENVIRONMENT` (the stack's environment) set; where they are needed, also with
//! `SHOP_LOAD_BALANCER_URL` (the second front door's address), `SHOP_DEPLOYMENT` (a command that deploys), `SHOP_REDIS` and
//! `SHOP_DATABASE` (where the real Redis and PostgreSQL behind the stack's listen without TLS).

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]
#![expect(clippy::print_stdout, reason = "what was measured is shown beside the result")]

mod attaching;
mod cache;
mod client;
mod cloud;
mod dead_letters;
mod deletion;
mod files;
mod front_door;
mod load;
mod load_balancer;
mod pictures;
mod reports;
mod rotation;
mod security;
mod sessions;
mod story;
mod throttling;
mod updates;
mod uploads;
mod visit;
