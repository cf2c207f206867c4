//! Errors as part of the API: RFC 9457 problem details, and the strict reading of input that produces most
//! of them.
//!
//! - [`Problem`]: one error answer, with a stable `type`, a status and optional field errors. It is an axum
//!   response; the HTTP edge completes it with the request id.
//! - [`Json`] and [`Query`]: extractors that read a body or a query string completely before they complain,
//!   so that one answer names every field that is wrong.
//! - [`PathId`], [`PathIds`] and [`PageLimit`]: the ids in a path and the size of a page, the same for all collections.
//! - [`IdempotencyKey`] and [`Replayed`]: what lets a client ask again when it got no answer.
//! - [`EntityTag`], [`IfMatch`] and [`IfNoneMatch`]: optimistic concurrency and revalidation over HTTP
//!   (RFC 9110, section 13) with row versions as tags.

/// Entity tags and preconditions.
mod conditional;
/// Requests that a client can repeat without a second effect.
mod idempotency;
/// Strict bodies and queries.
mod input;
/// Ids in paths and sizes of pages.
mod parameters;
/// The error answer.
mod problem;

pub use conditional::{EntityTag, IfMatch, IfNoneMatch};
pub use idempotency::{IdempotencyKey, Replayed};
pub use input::{InputErrors, InvalidValue, Json, Query};
pub use parameters::{PageLimit, PathId, PathIds};
pub use problem::{FieldError, Problem, ProblemBody};
