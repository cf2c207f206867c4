use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;

use crate::error::StoreError;
use crate::table::to_value;

/// Collects the names and values that an expression refers to. Every name goes through a placeholder, so that
/// DynamoDB's several hundred reserved words need no thought.
///
/// A value that can't be written is remembered and reported by [`finish`](Self::finish): builders stay
/// infallible.
#[derive(Default)]
pub(crate) struct Placeholders {
    names: Vec<String>,
    values: Vec<AttributeValue>,
    error: Option<StoreError>,
}

/// The names and values of a request; `None` where there are none, as DynamoDB wants it.
pub(crate) struct Bindings {
    pub(crate) names: Option<HashMap<String, String>>,
    pub(crate) values: Option<HashMap<String, AttributeValue>>,
}

impl Placeholders {
    pub(crate) fn name(&mut self, attribute: &str) -> String {
        let position = self.names.iter().position(|known| known == attribute).unwrap_or_else(|| {
            self.names.push(attribute.to_owned());
            self.names.len() - 1
        });
        format!("#n{position}")
    }

    pub(crate) fn value(&mut self, value: impl Serialize) -> String {
        match to_value(value) {
            Ok(value) => self.values.push(value),
            Err(error) => self.error = Some(error),
        }
        format!(":v{}", self.values.len().saturating_sub(1))
    }

    /// `<attribute> <operator> <value>`
    pub(crate) fn comparison(&mut self, attribute: &str, operator: &str, value: impl Serialize) -> String {
        format!("{} {operator} {}", self.name(attribute), self.value(value))
    }

    pub(crate) fn finish(self) -> Result<Bindings, StoreError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let names: HashMap<_, _> =
            self.names.into_iter().enumerate().map(|(at, name)| (format!("#n{at}"), name)).collect();
        let values: HashMap<_, _> =
            self.values.into_iter().enumerate().map(|(at, value)| (format!(":v{at}"), value)).collect();
        Ok(Bindings {
            names: Some(names).filter(|names| !names.is_empty()),
            values: Some(values).filter(|values| !values.is_empty()),
        })
    }
}

/// Joins conditions by AND; `None` when there are none.
pub(crate) fn all_of(conditions: &[String]) -> Option<String> {
    (!conditions.is_empty()).then(|| conditions.join(" AND "))
}
