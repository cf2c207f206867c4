//! What tests need around a service: a store, a topic that fails on demand, and raw Lambda events.
//!
//! Nothing has to be installed or started. Everything listens on loopback ports that the system chooses and
//! lives in the test's own process, so that tests run side by side.
//!
//! ```no_run
//! use test_support::{Emulator, TestTable, TopicStub, door};
//!
//! let table = TestTable::orders();
//! let store_config = Emulator::sdk_config();
//! let topic = TopicStub::start();
//! let event = door::http_v2("POST", "/api/orders").bearer("token").json(&["…"]).build();
//! // … hand `event` to the service, then look at what it did:
//! let batch = door::stream(table.new_stream_records());
//! let published = topic.published();
//! ```

/// Raw Lambda events, and the answers to them.
pub mod door;

/// Buckets in memory.
mod bucket_stub;
/// All that a function calls, counted.
mod counting;
/// The DynamoDB emulator and its tables.
mod emulator;
/// A connection to the emulator that can be cut.
mod line;
/// What is logged, for a test to look at.
mod logs;
/// Client configuration and the runtime for servers of this crate.
mod loopback;
/// The Lambda Runtime API, for tests that start a whole function.
mod runtime_api;
/// The sample triggers in `events/`.
mod samples;
/// Table definitions out of `template.yaml`.
mod template;
/// A topic and queues that fail on demand.
mod topic_stub;

pub use bucket_stub::BucketStub;
pub use counting::{Call, CountingEndpoint};
pub use emulator::{Emulator, TestTable};
pub use line::{Cut, Line, Told, cut_every_write};
pub use logs::Logs;
pub use loopback::sdk_config;
pub use runtime_api::RuntimeApi;
pub use samples::samples;
pub use template::{Subscription, cors, subscriptions};
pub use topic_stub::{Published, Retried, Sent, TopicStub};
