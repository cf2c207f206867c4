use std::marker::PhantomData;

use aws_sdk_dynamodb::types::{
    Delete as TransactDelete, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    Update as TransactUpdate,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backoff::Backoff;
use crate::error::StoreError;
use crate::expression::{Bindings, Placeholders, all_of};
use crate::table::{Key, Table, from_item};

/// One write of one row under conditions, which all have to hold. Attributes are named, not paths.
///
/// Made by [`Table::update`], [`Table::upsert`] and [`Table::delete`]; sent alone or as part of a
/// [`Transaction`](crate::Transaction).
#[must_use = "nothing is written before it is sent or committed"]
pub struct Write<Kind> {
    table: Table,
    key: Key,
    placeholders: Placeholders,
    conditions: Vec<String>,
    changes: Changes,
    kind: PhantomData<Kind>,
}

/// A change of a row.
pub type Update = Write<Change>;
/// The removal of a row.
pub type Delete = Write<Removal>;

/// What makes a [`Write`] an [`Update`].
pub enum Change {}
/// What makes a [`Write`] a [`Delete`].
pub enum Removal {}

/// The clauses of an update expression.
#[derive(Default)]
struct Changes {
    /// Names and values, both as placeholders.
    set: Vec<(String, String)>,
    remove: Vec<String>,
    add: Vec<String>,
}

/// A write in DynamoDB's words.
struct Request {
    condition: Option<String>,
    changes: String,
    bindings: Bindings,
}

const REPORT_ROW: ReturnValuesOnConditionCheckFailure = ReturnValuesOnConditionCheckFailure::AllOld;

impl<Kind> Write<Kind> {
    pub(crate) fn new(table: Table, key: Key) -> Self {
        Self {
            table,
            key,
            placeholders: Placeholders::default(),
            conditions: Vec::new(),
            changes: Changes::default(),
            kind: PhantomData,
        }
    }

    /// The row exists.
    pub fn if_exists(mut self) -> Self {
        let key = self.placeholders.name(self.key.attribute());
        self.conditions.push(format!("attribute_exists({key})"));
        self
    }

    /// The attribute has this value.
    pub fn if_equals(self, attribute: &str, value: impl Serialize) -> Self {
        self.when(attribute, "=", value)
    }

    /// The attribute has another value, or none.
    pub fn if_not_equals(mut self, attribute: &str, value: impl Serialize) -> Self {
        let (name, value) = (self.placeholders.name(attribute), self.placeholders.value(value));
        self.conditions.push(format!("({})", differs(&name, &value)));
        self
    }

    /// The attribute has one of these values. None given, none matches.
    pub fn if_in<V: Serialize>(mut self, attribute: &str, values: impl IntoIterator<Item = V>) -> Self {
        let name = self.placeholders.name(attribute);
        let values: Vec<String> = values.into_iter().map(|value| self.placeholders.value(value)).collect();
        self.conditions.push(match values.as_slice() {
            // DynamoDB has no empty list: an attribute that both exists and does not stands for "never".
            [] => format!("attribute_exists({name}) AND attribute_not_exists({name})"),
            values => format!("{name} IN ({})", values.join(", ")),
        });
        self
    }

    /// The attribute is this number or a larger one.
    pub fn if_at_least(self, attribute: &str, number: i64) -> Self {
        self.when(attribute, ">=", number)
    }

    /// The attribute is this number or a smaller one.
    pub fn if_at_most(self, attribute: &str, number: i64) -> Self {
        self.when(attribute, "<=", number)
    }

    /// The list has fewer elements than this; an absent attribute counts as an empty list.
    pub fn if_shorter_than(mut self, list: &str, length: usize) -> Self {
        let (name, length) = (self.placeholders.name(list), self.placeholders.value(length));
        self.conditions.push(format!("(attribute_not_exists({name}) OR size({name}) < {length})"));
        self
    }

    /// The row is at this version.
    pub fn if_version(self, version: u64) -> Self {
        self.if_equals("version", version)
    }

    fn when(mut self, attribute: &str, operator: &str, value: impl Serialize) -> Self {
        let condition = self.placeholders.comparison(attribute, operator, value);
        self.conditions.push(condition);
        self
    }

    fn finish(self) -> Result<(Table, Key, Request), StoreError> {
        let request = Request {
            condition: all_of(&self.conditions),
            changes: self.changes.into_expression(),
            bindings: self.placeholders.finish()?,
        };
        Ok((self.table, self.key, request))
    }
}

impl Update {
    /// Gives the attribute a value.
    pub fn set(mut self, attribute: &str, value: impl Serialize) -> Self {
        let change = (self.placeholders.name(attribute), self.placeholders.value(value));
        self.changes.set.push(change);
        self
    }

    /// Gives the attribute a value if there is one; leaves it as it is otherwise.
    pub fn set_opt(self, attribute: &str, value: Option<impl Serialize>) -> Self {
        match value {
            Some(value) => self.set(attribute, value),
            None => self,
        }
    }

    /// At least one of the attributes that were set until here has another value, or none: what is written is not what is
    /// there anyway.
    pub fn if_different(mut self) -> Self {
        let changes = self.changes.set.iter().map(|(name, value)| differs(name, value));
        let any = changes.collect::<Vec<_>>().join(" OR ");
        self.conditions.push(format!("({any})"));
        self
    }

    /// Takes the attribute away.
    pub fn remove(mut self, attribute: &str) -> Self {
        let name = self.placeholders.name(attribute);
        self.changes.remove.push(name);
        self
    }

    /// Adds to a number; an absent attribute counts as 0.
    pub fn add(mut self, attribute: &str, number: i64) -> Self {
        let change = format!("{} {}", self.placeholders.name(attribute), self.placeholders.value(number));
        self.changes.add.push(change);
        self
    }

    /// Adds to the end of a list; an absent attribute counts as an empty list.
    pub fn append(mut self, list: &str, value: impl Serialize) -> Self {
        let name = self.placeholders.name(list);
        let empty = self.placeholders.value([(); 0]);
        let value = self.placeholders.value([value]);
        let longer = format!("list_append(if_not_exists({name}, {empty}), {value})");
        self.changes.set.push((name, longer));
        self
    }

    /// Moves the row to its next version.
    pub fn bump_version(self) -> Self {
        self.add("version", 1)
    }

    /// Writes, and answers the row as it is now.
    pub async fn send<T: DeserializeOwned>(self) -> Result<T, StoreError> {
        let (table, key, request) = self.finish()?;
        let update = table
            .client()
            .update_item()
            .table_name(table.name())
            .set_key(Some(key.to_item()))
            .update_expression(request.changes)
            .set_condition_expression(request.condition)
            .set_expression_attribute_names(request.bindings.names)
            .set_expression_attribute_values(request.bindings.values)
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(REPORT_ROW);
        let mut backoff = Backoff::default();
        loop {
            match update.clone().send().await.map_err(StoreError::from) {
                Err(StoreError::Conflict(_)) if backoff.another_try().await => {}
                answer => return from_item(answer?.attributes.unwrap_or_default()),
            }
        }
    }

    pub(crate) fn into_operation(self) -> Result<TransactWriteItem, StoreError> {
        let (table, key, request) = self.finish()?;
        let update = TransactUpdate::builder()
            .table_name(table.name())
            .set_key(Some(key.to_item()))
            .update_expression(request.changes)
            .set_condition_expression(request.condition)
            .set_expression_attribute_names(request.bindings.names)
            .set_expression_attribute_values(request.bindings.values)
            .return_values_on_condition_check_failure(REPORT_ROW)
            .build()
            .map_err(|error| StoreError::Rejected(error.into()))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }
}

impl Delete {
    /// Removes the row.
    pub async fn send(self) -> Result<(), StoreError> {
        let (table, key, request) = self.finish()?;
        let delete = table
            .client()
            .delete_item()
            .table_name(table.name())
            .set_key(Some(key.to_item()))
            .set_condition_expression(request.condition)
            .set_expression_attribute_names(request.bindings.names)
            .set_expression_attribute_values(request.bindings.values)
            .return_values_on_condition_check_failure(REPORT_ROW);
        let mut backoff = Backoff::default();
        loop {
            match delete.clone().send().await.map_err(StoreError::from) {
                Err(StoreError::Conflict(_)) if backoff.another_try().await => {}
                answer => return answer.map(drop),
            }
        }
    }

    pub(crate) fn into_operation(self) -> Result<TransactWriteItem, StoreError> {
        let (table, key, request) = self.finish()?;
        let delete = TransactDelete::builder()
            .table_name(table.name())
            .set_key(Some(key.to_item()))
            .set_condition_expression(request.condition)
            .set_expression_attribute_names(request.bindings.names)
            .set_expression_attribute_values(request.bindings.values)
            .return_values_on_condition_check_failure(REPORT_ROW)
            .build()
            .map_err(|error| StoreError::Rejected(error.into()))?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }
}

/// The attribute does not have the value; one that is not there has none.
fn differs(name: &str, value: &str) -> String {
    format!("attribute_not_exists({name}) OR {name} <> {value}")
}

impl Changes {
    fn into_expression(self) -> String {
        let set = self.set.into_iter().map(|(name, value)| format!("{name} = {value}")).collect();
        [("SET", set), ("REMOVE", self.remove), ("ADD", self.add)]
            .into_iter()
            .filter(|(_, changes)| !changes.is_empty())
            .map(|(clause, changes)| format!("{clause} {}", changes.join(", ")))
            .collect::<Vec<_>>()
            .join(" ")
    }
}
