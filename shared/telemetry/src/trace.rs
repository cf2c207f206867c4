use std::fmt;

tokio::task_local! {
    static CURRENT: Trace;
}

/// A place in a distributed trace: the [W3C trace context](https://www.w3.org/TR/trace-context/) of one piece of
/// work. Its text is the `traceparent` that the next service receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    trace_id: u128,
    parent_id: u64,
    flags: u8,
}

impl Trace {
    /// Reads a `traceparent` of version 00; anything that the standard does not allow is `None`.
    pub fn from_traceparent(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let version = parts.next()?;
        let trace_id = hex(parts.next()?, 32)?;
        let parent_id = u64::try_from(hex(parts.next()?, 16)?).ok()?;
        let flags = u8::try_from(hex(parts.next()?, 2)?).ok()?;
        if version != "00" || parts.next().is_some() {
            return None;
        }
        Self::new(trace_id, parent_id, flags)
    }

    /// Reads the trace id that Lambda gives with an invocation (`X-Amzn-Trace-Id`):
    /// `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`.
    pub fn from_xray(header: &str) -> Option<Self> {
        let value = |key: &str| {
            header
                .split(';')
                .find_map(|part| part.trim().split_once('=').filter(|(name, _)| *name == key))
                .map(|(_, value)| value)
        };
        let (seconds, random) = value("Root")?.strip_prefix("1-")?.split_once('-')?;
        let trace_id = hex(seconds, 8)? << 96 | hex(random, 24)?;
        let parent_id = u64::try_from(hex(value("Parent")?, 16)?).ok()?;
        Self::new(trace_id, parent_id, u8::from(value("Sampled") == Some("1")))
    }

    /// The trace of the work that is going on in this task, if it is known.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|trace| *trace).ok()
    }

    /// Runs `work` as part of this trace: inside, [`Trace::current`] answers it.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    fn new(trace_id: u128, parent_id: u64, flags: u8) -> Option<Self> {
        (trace_id != 0 && parent_id != 0).then_some(Self { trace_id, parent_id, flags })
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.parent_id, self.flags)
    }
}

/// Exactly `digits` lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let valid = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    valid.then(|| u128::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACEPARENT: &str = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01";

    #[test]
    fn a_traceparent_survives_a_round_trip() {
        let trace = Trace::from_traceparent(TRACEPARENT).unwrap();
        assert_eq!(trace.to_string(), TRACEPARENT);
        let small = "00-00000000000000000000000000000001-0000000000000001-00";
        assert_eq!(Trace::from_traceparent(small).unwrap().to_string(), small);
    }

    #[test]
    fn malformed_traceparents_are_refused() {
        for text in [
            "",
            "00",
            "hello",
            "01-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01",
            "ff-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01",
            "00-5759E988BD862E3FE1BE46A994272793-53995c3f42cd8ad8-01",
            "00-5759e988bd862e3fe1be46a99427279-53995c3f42cd8ad8-01",
            "00-5759e988bd862e3fe1be46a9942727930-53995c3f42cd8ad8-01",
            "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad-01",
            "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-1",
            "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8",
            "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01-more",
            "00-+759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01",
            "00-00000000000000000000000000000000-53995c3f42cd8ad8-01",
            "00-5759e988bd862e3fe1be46a994272793-0000000000000000-01",
            " 00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01",
        ] {
            assert_eq!(Trace::from_traceparent(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_xray_header_becomes_a_traceparent() {
        let root = "Root=1-5759e988-bd862e3fe1be46a994272793";
        for (header, flags) in [
            (format!("{root};Parent=53995c3f42cd8ad8;Sampled=1"), "01"),
            (format!("{root};Parent=53995c3f42cd8ad8;Sampled=0"), "00"),
            (format!("{root};Parent=53995c3f42cd8ad8;Sampled=?"), "00"),
            (format!("{root};Parent=53995c3f42cd8ad8"), "00"),
            (format!("Sampled=1; Parent=53995c3f42cd8ad8; {root}; Lineage=1:a87bd80c:0"), "01"),
        ] {
            let expected = format!("00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-{flags}");
            assert_eq!(Trace::from_xray(&header).unwrap().to_string(), expected, "{header}");
        }
    }

    #[test]
    fn malformed_xray_headers_are_refused() {
        for header in [
            "",
            "Root",
            "Root=1-5759e988-bd862e3fe1be46a994272793",
            "Root=2-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
            "Root=1-5759e988bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
            "Root=1-5759e98-8bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=0000000000000000",
            "Parent=53995c3f42cd8ad8;Sampled=1",
        ] {
            assert_eq!(Trace::from_xray(header), None, "{header:?}");
        }
    }

    #[tokio::test]
    async fn a_trace_is_current_within_its_scope_alone() {
        let outer = Trace::from_traceparent(TRACEPARENT).unwrap();
        let inner = Trace { parent_id: 7, ..outer };
        assert_eq!(Trace::current(), None);
        outer
            .scope(async {
                assert_eq!(Trace::current(), Some(outer));
                inner.scope(async { assert_eq!(Trace::current(), Some(inner)) }).await;
                assert_eq!(Trace::current(), Some(outer));
            })
            .await;
        assert_eq!(Trace::current(), None);
    }
}
