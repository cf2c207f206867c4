use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, ReturnValuesOnConditionCheckFailure};
use aws_types::SdkConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_dynamo::aws_sdk_dynamodb_1 as dynamo;

use crate::backoff::Backoff;
use crate::error::StoreError;
use crate::query::Query;
use crate::write::{Delete, Update};

/// A row as DynamoDB has it: attribute name to value.
pub type Item = HashMap<String, AttributeValue>;

/// DynamoDB's limit of keys in one batch read.
const BATCH: usize = 100;

/// One DynamoDB table. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Table {
    client: Client,
    name: Arc<str>,
}

/// The primary key of one row: the table's only key attribute and its text value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    attribute: &'static str,
    value: String,
}

/// Whether a read must see every write that was acknowledged before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// May miss the last second's writes; half the cost.
    Eventual,
    /// Sees every acknowledged write.
    Strong,
}

impl Table {
    /// The table `name`, reached as `config` says.
    pub fn new(config: &SdkConfig, name: impl Into<String>) -> Self {
        Self::with_client(Client::new(config), name)
    }

    /// The table `name`, reached through an existing client.
    pub fn with_client(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into().into() }
    }

    /// The table's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The client, for what this crate does not cover (a readiness check, for instance).
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Reads one row.
    pub async fn get<T: DeserializeOwned>(
        &self,
        key: &Key,
        consistency: Consistency,
    ) -> Result<Option<T>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(self.name())
            .set_key(Some(key.to_item()))
            .consistent_read(consistency == Consistency::Strong)
            .send()
            .await?;
        answer.item.map(from_item).transpose()
    }

    /// Reads the rows of `keys` that exist, in any order. Keys may repeat; a row comes once.
    ///
    /// Several reads are needed past 100 keys or 16 MB: together they are no snapshot.
    pub async fn get_many<T: DeserializeOwned>(
        &self,
        keys: &[Key],
        consistency: Consistency,
    ) -> Result<Vec<T>, StoreError> {
        let distinct: HashSet<&Key> = keys.iter().collect();
        let mut pending: Vec<Item> = distinct.into_iter().map(Key::to_item).collect();
        let mut rows = Vec::with_capacity(pending.len());
        let mut backoff = Backoff::default();
        while !pending.is_empty() {
            let rest = pending.split_off(pending.len().min(BATCH));
            let asked = pending.len();
            let (items, unprocessed) = self.get_batch(pending, consistency).await?;
            for item in items {
                rows.push(from_item(item)?);
            }
            // Progress earns new tries: they bound how long nothing at all moves.
            if unprocessed.len() < asked {
                backoff = Backoff::default();
            }
            if !unprocessed.is_empty() && !backoff.another_try().await {
                return Err(StoreError::Throttled("keys stayed unprocessed".into()));
            }
            pending = rest;
            pending.extend(unprocessed);
        }
        Ok(rows)
    }

    async fn get_batch(
        &self,
        keys: Vec<Item>,
        consistency: Consistency,
    ) -> Result<(Vec<Item>, Vec<Item>), StoreError> {
        let wanted = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .consistent_read(consistency == Consistency::Strong)
            .build()
            .map_err(|error| StoreError::Rejected(error.into()))?;
        let answer = self.client.batch_get_item().request_items(self.name(), wanted).send().await?;
        // One table was asked, so whatever is there is that table's.
        let items = answer.responses.unwrap_or_default().into_values().flatten().collect();
        let unprocessed =
            answer.unprocessed_keys.unwrap_or_default().into_values().flat_map(|keys| keys.keys).collect();
        Ok((items, unprocessed))
    }

    /// Writes a new row. [`StoreError::ConditionFailed`] with the present row if its key is taken.
    pub async fn create(&self, key_attribute: &'static str, row: &impl Serialize) -> Result<(), StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(self.name())
            .set_item(Some(to_item(row)?))
            .condition_expression("attribute_not_exists(#key)")
            .expression_attribute_names("#key", key_attribute)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let mut backoff = Backoff::default();
        loop {
            match put.clone().send().await.map_err(StoreError::from) {
                Err(StoreError::Conflict(_)) if backoff.another_try().await => {}
                answer => return answer.map(drop),
            }
        }
    }

    /// Starts a change of the row at `key`, which has to exist.
    pub fn update(&self, key: Key) -> Update {
        Update::new(self.clone(), key).if_exists()
    }

    /// Starts a change of the row at `key`, which is made if it does not exist. A condition on an attribute lets no
    /// row be made.
    pub fn upsert(&self, key: Key) -> Update {
        Update::new(self.clone(), key)
    }

    /// Starts the removal of the row at `key`. Without a condition an absent row is no error.
    pub fn delete(&self, key: Key) -> Delete {
        Delete::new(self.clone(), key)
    }

    /// Starts a query of `index`, or of the table itself.
    pub fn query(&self, index: Option<&'static str>) -> Query {
        Query::new(self.clone(), index)
    }
}

impl Key {
    /// The key of the row whose `attribute` is `value`.
    pub fn new(attribute: &'static str, value: impl Display) -> Self {
        Self { attribute, value: value.to_string() }
    }

    pub(crate) fn attribute(&self) -> &'static str {
        self.attribute
    }

    pub(crate) fn to_item(&self) -> Item {
        Item::from([(self.attribute.to_owned(), AttributeValue::S(self.value.clone()))])
    }
}

/// Reads a row into its type. A row enum may be untagged.
pub fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    dynamo::from_item(item).map_err(StoreError::malformed::<T>)
}

/// Writes a row's type as DynamoDB has it.
pub fn to_item<T: Serialize + ?Sized>(row: &T) -> Result<Item, StoreError> {
    dynamo::to_item(row).map_err(StoreError::malformed::<T>)
}

pub(crate) fn to_value<T: Serialize>(value: T) -> Result<AttributeValue, StoreError> {
    dynamo::to_attribute_value(value).map_err(StoreError::malformed::<T>)
}
