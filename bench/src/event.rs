use std::{
    fmt::{self, Display, Formatter, Write},
    ops::{Deref, DerefMut},
    sync::Arc,
};

use anyhow::Result;
use serde_json::Value;

/// An event that came out of a sample, and is written as AWS writes it: without spaces, and with the members of each
/// object in the order of the sample, on which a function may count to be fast.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    value: Value,
    sample: Arc<str>,
}

impl Event {
    /// The event of a sample.
    pub(crate) fn new(sample: String) -> Result<Self> {
        Ok(Self { value: serde_json::from_str(&sample)?, sample: sample.into() })
    }

    fn write(&self, value: &Value, to: &mut Formatter<'_>) -> fmt::Result {
        match value {
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().map(|(name, value)| (quoted(name), value)).collect();
                members.sort_by_key(|(name, _)| self.place(name));
                to.write_char('{')?;
                for (index, (name, value)) in members.into_iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(to, "{comma}{name}:")?;
                    self.write(value, to)?;
                }
                to.write_char('}')
            }
            Value::Array(elements) => {
                to.write_char('[')?;
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        to.write_char(',')?;
                    }
                    self.write(element, to)?;
                }
                to.write_char(']')
            }
            other => write!(to, "{other}"),
        }
    }

    /// Where the sample mentions a name first; behind everything else, if it does not.
    fn place(&self, name: &str) -> usize {
        let mut mentioned = self.sample.match_indices(name).filter(|(at, _)| {
            let behind = &self.sample[at + name.len()..];
            behind.trim_start().starts_with(':')
        });
        mentioned.next().map_or(usize::MAX, |(at, _)| at)
    }
}

fn quoted(name: &str) -> String {
    Value::from(name).to_string()
}

impl Deref for Event {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

impl DerefMut for Event {
    fn deref_mut(&mut self) -> &mut Value {
        &mut self.value
    }
}

impl Display for Event {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.write(&self.value, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_written_in_the_order_of_the_sample() {
        let sample = r#"{ "version": "2.0", "routeKey": "body", "b": [{ "z": 1, "a": null }], "a\"": true }"#;
        let mut event = Event::new(sample.to_owned()).unwrap();
        event["new"] = "\"x\"".into();
        event["routeKey"] = "GET /".into();
        let text = r#"{"version":"2.0","routeKey":"GET /","b":[{"z":1,"a":null}],"a\"":true,"new":"\"x\""}"#;
        assert_eq!(event.to_string(), text);
    }

    #[test]
    fn requests_begin_as_those_of_api_gateway() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../events/product-service/get-product.json");
        let event = Event::new(std::fs::read_to_string(path).unwrap()).unwrap();
        assert!(event.to_string().starts_with(r#"{"version":"2.0","routeKey":"#), "{event}");
        assert_eq!(serde_json::from_str::<Value>(&event.to_string()).unwrap(), *event);
    }
}
