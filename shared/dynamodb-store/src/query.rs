use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::expression::{Placeholders, all_of};
use crate::table::{Item, Table, from_item};

/// How many reads a filtered page may take, so that a rare match can't turn one request into a walk over
/// everything.
const FILTERED_READS: usize = 10;

/// The rows of one partition of a table or index, in the order of its sort key.
#[must_use = "nothing is read before a page is asked for"]
pub struct Query {
    table: Table,
    index: Option<&'static str>,
    placeholders: Placeholders,
    keys: Vec<String>,
    filters: Vec<String>,
    forward: bool,
    start: Option<Position>,
}

/// Part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page starts; `None` when this is the last one.
    pub next: Option<Position>,
}

/// A place in a list: the keys of the row before it. Reaches clients only
/// [sealed](crate::Cursors).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position(BTreeMap<String, String>);

impl Query {
    pub(crate) fn new(table: Table, index: Option<&'static str>) -> Self {
        Self {
            table,
            index,
            placeholders: Placeholders::default(),
            keys: Vec::new(),
            filters: Vec::new(),
            forward: true,
            start: None,
        }
    }

    /// The partition: required.
    pub fn partition(mut self, attribute: &str, value: impl Serialize) -> Self {
        let key = self.placeholders.comparison(attribute, "=", value);
        self.keys.push(key);
        self
    }

    /// Only rows whose sort key is smaller.
    pub fn before(mut self, attribute: &str, value: impl Serialize) -> Self {
        let key = self.placeholders.comparison(attribute, "<", value);
        self.keys.push(key);
        self
    }

    /// Largest sort key first.
    pub fn newest_first(mut self) -> Self {
        self.forward = false;
        self
    }

    /// Only rows with this value. They are picked after they were read: use it where most rows match or few
    /// are there.
    pub fn filter_equals(mut self, attribute: &str, value: impl Serialize) -> Self {
        let filter = self.placeholders.comparison(attribute, "=", value);
        self.filters.push(filter);
        self
    }

    /// Continues where another page of the same query ended.
    pub fn start_after(mut self, position: Option<Position>) -> Self {
        self.start = position;
        self
    }

    /// Reads up to `limit` rows. Only a filtered page can be shorter, even empty, and still have a next one.
    pub async fn page<T: DeserializeOwned>(self, limit: usize) -> Result<Page<T>, StoreError> {
        // One row more than asked for tells whether there is a next page.
        let mut rows = self.read(limit + 1).await?;
        let next = if rows.items.len() > limit {
            rows.items.truncate(limit);
            rows.items.last().map(|last| rows.position_of(last)).transpose()?
        } else {
            rows.last_key.map(Position::try_from).transpose()?
        };
        let items = rows.items.into_iter().map(from_item).collect::<Result<_, _>>()?;
        Ok(Page { items, next })
    }

    /// Reads up to `wanted` rows, or some more if it takes several reads.
    pub(crate) async fn read(self, wanted: usize) -> Result<Rows, StoreError> {
        let bindings = self.placeholders.finish()?;
        let request = self
            .table
            .client()
            .query()
            .table_name(self.table.name())
            .set_index_name(self.index.map(str::to_owned))
            .set_key_condition_expression(all_of(&self.keys))
            .set_filter_expression(all_of(&self.filters))
            .set_expression_attribute_names(bindings.names)
            .set_expression_attribute_values(bindings.values)
            .scan_index_forward(self.forward)
            .limit(i32::try_from(wanted).unwrap_or(i32::MAX));
        // Without a filter each read brings a row at least, so that the number wanted is bound enough.
        let reads = if self.filters.is_empty() { usize::MAX } else { FILTERED_READS };

        let mut rows = Rows { items: Vec::new(), last_key: None, key_attributes: Vec::new() };
        let mut start = self.start.map(Item::from);
        for _ in 0..reads {
            let answer = request.clone().set_exclusive_start_key(start).send().await?;
            rows.items.extend(answer.items.unwrap_or_default());
            rows.last_key = answer.last_evaluated_key;
            if let Some(key) = &rows.last_key {
                rows.key_attributes = key.keys().cloned().collect();
            }
            if rows.items.len() >= wanted || rows.last_key.is_none() {
                break;
            }
            start = rows.last_key.clone();
        }
        Ok(rows)
    }
}

/// What was read, before it has a type.
pub(crate) struct Rows {
    pub(crate) items: Vec<Item>,
    /// Where DynamoDB stopped; `None` at the end of the partition.
    last_key: Option<Item>,
    /// The attributes that make a position, as DynamoDB showed them.
    key_attributes: Vec<String>,
}

impl Rows {
    /// The position after one of the rows. More rows than wanted are only there when a read stopped at its
    /// limit, which comes with a key: its attributes are known by then.
    fn position_of(&self, row: &Item) -> Result<Position, StoreError> {
        let key = self.key_attributes.iter().filter_map(|name| Some((name.clone(), row.get(name)?.clone())));
        Position::try_from(key.collect::<Item>())
    }
}

impl Position {
    pub(crate) fn new(attribute: &str, value: String) -> Self {
        Self(BTreeMap::from([(attribute.to_owned(), value)]))
    }

    pub(crate) fn get(&self, attribute: &str) -> Option<&str> {
        self.0.get(attribute).map(String::as_str)
    }
}

impl TryFrom<Item> for Position {
    type Error = StoreError;

    fn try_from(key: Item) -> Result<Self, StoreError> {
        let texts = key.into_iter().map(|(name, value)| match value {
            AttributeValue::S(text) => Ok((name, text)),
            _ => Err(StoreError::malformed::<Self>(format!("the key attribute {name} is no text"))),
        });
        let position = texts.collect::<Result<BTreeMap<_, _>, _>>()?;
        if position.is_empty() {
            return Err(StoreError::malformed::<Self>("the last row of a full page came without its key"));
        }
        Ok(Self(position))
    }
}

impl From<Position> for Item {
    fn from(position: Position) -> Self {
        position.0.into_iter().map(|(name, text)| (name, AttributeValue::S(text))).collect()
    }
}
