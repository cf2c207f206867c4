//! The only place where services meet: what happened, as [CloudEvents 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md)
//! in JSON.
//!
//! - [`Event`] is the envelope with its [`Payload`]; [`Event::parse`] reads one that was received.
//! - [`payload`]: what each event says. No e-mail, name, postal address, hash or token is ever in an event.
//! - [`Timestamp`] and [`Money`]: values that rows, answers and events share.
//!
//! Readers are tolerant: unknown fields are ignored, an unknown type is [`Received::Unknown`] (acknowledged and
//! counted by the receiver), a known type of a wrong shape is a [`MalformedEvent`] (and ends in a dead-letter
//! queue).

/// The CloudEvents envelope.
mod envelope;
/// Amounts and currencies.
mod money;
pub mod payload;
/// Moments in time.
mod timestamp;

pub use envelope::{Event, MalformedEvent, Received};
pub use money::{Currency, InvalidCurrency, Money};
pub use payload::Payload;
pub use timestamp::{Clock, InvalidTimestamp, Timestamp};
