//! What a service tells the outside about its work.
//!
//! - [`init`]: logs, one JSON object per line on standard output.
//! - [`chain`]: an error together with everything that caused it, on one line.
//! - [`can_fail`]: for a failure that nothing depends on, said by name.
//! - [`count`], [`duration`]: metrics, written as log lines from which CloudWatch extracts them.
//! - [`Trace`]: the W3C trace context of the current piece of work.
//!
//! Nothing here opens a connection or keeps a buffer: there is nothing to flush before the process is frozen.

/// Errors as text.
mod error_chain;
/// The subscriber of `tracing` and its JSON lines.
mod logs;
/// CloudWatch's embedded metric format.
mod metrics;
/// W3C trace context, also out of an X-Ray header.
mod trace;

pub use error_chain::{can_fail, chain};
pub use logs::init;
pub use metrics::{count, duration};
pub use trace::Trace;

/// Writes one line to standard output, at once and as a whole.
fn write_line(mut line: String) {
    use std::io::Write;

    line.push('\n');
    // A log line that can't be written must not fail the work that it describes, and there is no other place
    // to report it to.
    std::io::stdout().lock().write_all(line.as_bytes()).ok();
}
