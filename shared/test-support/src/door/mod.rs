//! Raw Lambda events as JSON texts, the way AWS sends them, and the answers to them.
//!
//! ```
//! use test_support::door;
//!
//! let event = door::http_v2("GET", "/api/products?limit=5").header("x-request-id", "r-1").build();
//! let batch = door::sqs("dev-stock-requests", ["{}", "not an event"]);
//! # let answer = r#"{"statusCode":200,"headers":{"etag":"\"3\""},"body":"{\"stock\":7}","isBase64Encoded":false}"#;
//! let answer = door::HttpAnswer::parse(answer);
//! assert_eq!((answer.status, answer.header("ETag")), (200, Some("\"3\"")));
//! assert_eq!(answer.json()["stock"], 7);
//! ```

mod batch;
mod driver;
mod http;

pub use batch::{failures, message_id, sqs, sqs_redelivery, stream};
pub use driver::Door;
pub use http::{HttpAnswer, HttpEvent, alb, http_v1, http_v2};
