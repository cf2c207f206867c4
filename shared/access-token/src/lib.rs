//! Who is calling: access tokens (JWT, HS256), and the arguments with which a handler says whom it lets in.
//!
//! - [`AccessTokens`] issues tokens and verifies them, with the keys of the shop's API secret. A token names the
//!   version of the secret that signed it (`kid`), so that a rotation of the secret invalidates nothing: tokens of
//!   the previous version are accepted until they expire.
//! - [`Caller`], [`Admin`] and [`ApiKeyOrAdmin`] are axum extractors. A handler without one of them is visibly
//!   public.
//!
//! ```
//! use access_token::{AccessTokens, Admin, Caller};
//! use axum::{Router, routing::{delete, get}};
//!
//! async fn own_account(caller: Caller) -> String {
//!     caller.user_id.to_string()
//! }
//!
//! async fn remove(_: Admin) {}
//!
//! fn routes(tokens: AccessTokens) -> Router {
//!     Router::new().route("/me", get(own_account)).route("/all", delete(remove)).with_state(tokens)
//! }
//! ```

/// What a token says.
mod claims;
/// The extractors and their answers to those who are not let in.
mod extract;
/// The only signature algorithm that exists here.
mod hs256;
/// Issuing and verifying.
mod tokens;

pub use claims::{Claims, Role, UnknownRole};
pub use extract::{Admin, ApiKeyOrAdmin, Caller};
pub use tokens::{AccessTokens, IssuedToken, SigningError, TokenError};
