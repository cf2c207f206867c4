use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Timestamp, payload::Payload};

/// One event: what happened, to what, when, and where it was seen first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Derived from the stream record that the event was made of: a repeated publication has the same id.
    pub id: String,
    /// The service that owns the subject, as in `/order-service`.
    pub source: String,
    /// Id of the entity that the event is about.
    pub subject: String,
    /// When the change was written.
    pub time: Timestamp,
    /// W3C trace context of the request that caused the change.
    pub traceparent: Option<String>,
    /// What happened.
    pub payload: Payload,
}

/// An event as it came out of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// An event that this version of the code knows.
    Known(Box<Event>),
    /// An event of a type that is not known here, and so not meant for us.
    Unknown {
        /// The CloudEvents `type`.
        event_type: String,
    },
}

/// The text is not an event, or not of the shape that its type has.
#[derive(Debug, thiserror::Error)]
#[error("malformed event")]
pub struct MalformedEvent(#[from] serde_json::Error);

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    specversion: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(rename = "type", borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    subject: Cow<'a, str>,
    time: Timestamp,
    #[serde(borrow, default)]
    datacontenttype: Cow<'a, str>,
    #[serde(borrow, default)]
    dataschema: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Cow<'a, RawValue>,
}

impl Event {
    /// Reads an event from the text of a message.
    pub fn parse(text: &str) -> Result<Received, MalformedEvent> {
        let envelope: Envelope<'_> = serde_json::from_str(text)?;
        let Some(payload) = Payload::parse(&envelope.event_type, &envelope.data) else {
            return Ok(Received::Unknown { event_type: envelope.event_type.into_owned() });
        };
        Ok(Received::Known(Box::new(Self {
            id: envelope.id.into_owned(),
            source: envelope.source.into_owned(),
            subject: envelope.subject.into_owned(),
            time: envelope.time,
            traceparent: envelope.traceparent.map(Cow::into_owned),
            payload: payload?,
        })))
    }

    /// The event as CloudEvents JSON, in structured mode.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let event_type = self.payload.event_type();
        serde_json::to_string(&Envelope {
            specversion: "1.0".into(),
            id: self.id.as_str().into(),
            source: self.source.as_str().into(),
            event_type: event_type.into(),
            subject: self.subject.as_str().into(),
            time: self.time,
            datacontenttype: "application/json".into(),
            dataschema: format!("urn:shop:event:{event_type}:1").into(),
            traceparent: self.traceparent.as_deref().map(Cow::from),
            data: Cow::Owned(self.payload.data()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::payload;

    fn event() -> Event {
        let user = payload::User {
            user_id: Uuid::nil(),
            role: "customer".to_owned(),
            version: 1,
            created_at: Timestamp::from_millis(0),
        };
        Event {
            id: "e-1".to_owned(),
            source: "/user-service".to_owned(),
            subject: Uuid::nil().to_string(),
            time: Timestamp::from_millis(1_795_000_000_000),
            traceparent: Some("00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01".to_owned()),
            payload: Payload::UserCreated(user),
        }
    }

    #[test]
    fn an_event_survives_the_wire() {
        let event = event();
        assert_eq!(Event::parse(&event.to_json().unwrap()).unwrap(), Received::Known(Box::new(event)));
    }

    #[test]
    fn the_wire_form_has_every_required_attribute() {
        let json: serde_json::Value = serde_json::from_str(&event().to_json().unwrap()).unwrap();
        assert_eq!(json["specversion"], "1.0");
        assert_eq!(json["type"], "user_created");
        assert_eq!(json["dataschema"], "urn:shop:event:user_created:1");
        assert_eq!(json["data"]["role"], "customer");
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let text = event().to_json().unwrap().replacen('{', r#"{"extension":1,"#, 1);
        assert!(matches!(Event::parse(&text), Ok(Received::Known(_))));
    }

    #[test]
    fn an_unknown_type_is_no_error() {
        let text = event().to_json().unwrap().replace("user_created", "user_promoted");
        let expected = Received::Unknown { event_type: "user_promoted".to_owned() };
        assert_eq!(Event::parse(&text).unwrap(), expected);
    }

    #[test]
    fn a_wrong_shape_is_an_error() {
        let text = event().to_json().unwrap().replace(r#""version":1"#, r#""version":"one""#);
        Event::parse(&text).unwrap_err();
        Event::parse("{}").unwrap_err();
        Event::parse("nonsense").unwrap_err();
    }
}
