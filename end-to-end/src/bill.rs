//! What the shop costs on AWS, computed from what it calls.

/// The calls of each invocation.
mod calls;

pub use calls::*;
