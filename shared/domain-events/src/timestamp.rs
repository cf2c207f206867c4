use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use utoipa::{PartialSchema, ToSchema};

/// A moment in UTC, to the millisecond.
///
/// Written as RFC 3339 with exactly three decimals (`2026-11-22T09:30:00.000Z`), so that the order of the texts is
/// the order in time: indexes sort by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(jiff::Timestamp);

/// The text is not an RFC 3339 moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 timestamp")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// The present moment.
    pub fn now() -> Self {
        Self::from_millis(jiff::Timestamp::now().as_millisecond())
    }

    /// The moment `millis` milliseconds after 1970-01-01T00:00:00Z; out of range, the nearest there is.
    pub fn from_millis(millis: i64) -> Self {
        let clamped = millis.clamp(0, jiff::Timestamp::MAX.as_millisecond());
        Self(jiff::Timestamp::from_millisecond(clamped).unwrap_or(jiff::Timestamp::UNIX_EPOCH))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn as_millis(self) -> i64 {
        self.0.as_millisecond()
    }

    /// Seconds since 1970-01-01T00:00:00Z, as DynamoDB's time to live counts.
    pub fn as_seconds(self) -> i64 {
        self.0.as_second()
    }
}

/// What a service reads the time from. Clones of one that was moved move along.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    moved: Arc<AtomicI64>,
    stopped_at: Option<Timestamp>,
}

impl Clock {
    /// A clock that moves only when it is moved: for tests that are exact however long they take.
    pub fn stopped() -> Self {
        Self { stopped_at: Some(Timestamp::now()), ..Self::default() }
    }

    /// The present moment, as far as this clock knows.
    pub fn now(&self) -> Timestamp {
        let moment = self.stopped_at.unwrap_or_else(Timestamp::now);
        Timestamp::from_millis(moment.as_millis() + self.moved.load(Ordering::Relaxed))
    }

    /// Moves the clock forward: for tests of what happens after a month.
    pub fn advance(&self, time: Duration) {
        self.moved.fetch_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.to_string()
    }
}

impl TryFrom<String> for Timestamp {
    type Error = InvalidTimestamp;

    fn try_from(text: String) -> Result<Self, InvalidTimestamp> {
        let moment: jiff::Timestamp = text.parse().map_err(|_| InvalidTimestamp)?;
        Ok(Self::from_millis(moment.as_millisecond()))
    }
}

impl PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("RFC 3339, UTC, with milliseconds"))
            .examples(["2026-11-22T09:30:00.000Z"])
            .into()
    }
}

impl ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_order_is_time_order() {
        let moments = [0, 1, 999, 1_000, 1_795_000_000_000, 1_795_000_000_001, 1_795_000_000_010];
        let texts: Vec<String> = moments.iter().map(|ms| Timestamp::from_millis(*ms).to_string()).collect();
        assert!(texts.is_sorted(), "{texts:?}");
        assert!(texts.iter().all(|text| text.len() == "2026-11-22T09:30:00.000Z".len()), "{texts:?}");
    }

    #[test]
    fn a_stopped_clock_moves_only_when_it_is_moved() {
        let clock = Clock::stopped();
        let before = clock.now();
        clock.clone().advance(Duration::from_millis(1_234));
        assert_eq!(clock.now().as_millis(), before.as_millis() + 1_234);
    }

    #[test]
    fn reads_what_it_writes() {
        let moment = Timestamp::from_millis(1_795_000_000_120);
        assert_eq!(Timestamp::try_from(moment.to_string()), Ok(moment));
        assert_eq!(Timestamp::try_from("yesterday".to_owned()), Err(InvalidTimestamp));
    }
}
