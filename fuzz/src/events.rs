//! Messages, as the services read what others have published.

use domain_events::{Event, Received};

/// What can be read as an event is the same event after it was written again.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(Received::Known(event)) = Event::parse(text) else { return };
    let written = event.to_json().expect("an event has a JSON form");
    let read = Event::parse(&written).expect("what was written can be read");
    assert_eq!(read, Received::Known(event), "{written}");
}
