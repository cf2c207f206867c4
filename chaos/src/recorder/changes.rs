use std::time::SystemTime;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::Change;
use crate::operator::Operator;

const STREAMS: &str = "DynamoDBStreams_20120810";

/// Rows that change at every attempt to log in, and say nothing about anything that is promised here.
const COUNTS: &str = "throttle#";

/// A reader of a table's stream.
pub(super) struct Stream {
    operator: Operator,
    table: &'static str,
    arn: String,
    shard: String,
    iterator: Option<String>,
    /// Where it goes on when the iterator is no longer good.
    last: Option<String>,
}

impl Stream {
    /// Reads from the oldest record on.
    pub(super) async fn of(operator: Operator, table: &'static str, name: &str) -> Result<Self> {
        let ask = async |operation: &str, input: Value| {
            operator.json("dynamodb", &format!("{STREAMS}.{operation}"), &input).await
        };
        let streams = ask("ListStreams", json!({ "TableName": name })).await?;
        let arn = text(&streams["Streams"][0], "StreamArn")?;
        let description = ask("DescribeStream", json!({ "StreamArn": arn })).await?;
        // The local cloud never splits a shard.
        let shard = text(&description["StreamDescription"]["Shards"][0], "ShardId")?;
        Ok(Self { operator, table, arn, shard, iterator: None, last: None })
    }

    /// What has changed since it was asked last.
    pub(super) async fn read(&mut self) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        loop {
            let iterator = match self.iterator.take() {
                Some(iterator) => iterator,
                None => self.go_on().await?,
            };
            // An iterator expires, for one; the next one begins where this one came to.
            let Ok(page) = self.ask("GetRecords", json!({ "ShardIterator": iterator })).await else {
                return Ok(changes);
            };
            self.iterator = page["NextShardIterator"].as_str().map(str::to_owned);
            let records = page["Records"].as_array().context("GetRecords answered no records")?;
            for record in records {
                self.last = Some(text(&record["dynamodb"], "SequenceNumber")?);
                changes.extend(self.change(record)?);
            }
            if records.is_empty() {
                return Ok(changes);
            }
        }
    }

    async fn go_on(&self) -> Result<String> {
        let mut input = json!({ "StreamArn": self.arn, "ShardId": self.shard });
        match &self.last {
            None => input["ShardIteratorType"] = "TRIM_HORIZON".into(),
            Some(last) => {
                input["ShardIteratorType"] = "AFTER_SEQUENCE_NUMBER".into();
                input["SequenceNumber"] = last.as_str().into();
            }
        }
        text(&self.ask("GetShardIterator", input).await?, "ShardIterator")
    }

    async fn ask(&self, operation: &str, input: Value) -> Result<Value> {
        self.operator.json("dynamodb", &format!("{STREAMS}.{operation}"), &input).await
    }

    fn change(&self, record: &Value) -> Result<Option<Change>> {
        let keys = row(&record["dynamodb"]["Keys"]);
        let key = keys.as_object().and_then(|keys| keys.values().next()?.as_str());
        let key = key.context("a record without a key")?.to_owned();
        if key.starts_with(COUNTS) {
            return Ok(None);
        }
        let after = record["dynamodb"].get("NewImage").map(row);
        Ok(Some(Change {
            at: SystemTime::now(),
            table: self.table,
            id: text(record, "eventID")?,
            key,
            after,
        }))
    }
}

/// A row as plain JSON.
pub(crate) fn row(attributes: &Value) -> Value {
    let members = attributes.as_object().into_iter().flatten();
    members.map(|(name, value)| (name.clone(), plain(value))).collect::<Map<_, _>>().into()
}

/// The value of an attribute, without its type.
fn plain(attribute: &Value) -> Value {
    let Some((kind, value)) = attribute.as_object().and_then(|typed| typed.iter().next()) else {
        return Value::Null;
    };
    match (kind.as_str(), value) {
        ("N", Value::String(number)) => number.parse().map_or_else(|_| value.clone(), Value::Number),
        ("M", members) => row(members),
        ("L", Value::Array(items)) => items.iter().map(plain).collect(),
        ("NULL", _) => Value::Null,
        _ => value.clone(),
    }
}

fn text(value: &Value, name: &str) -> Result<String> {
    let text = value[name].as_str().with_context(|| format!("no {name} in {value}"))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_loses_the_types_of_its_attributes() {
        let typed = json!({
            "order_id": { "S": "o" }, "version": { "N": "3" }, "gone": { "NULL": true }, "open": { "BOOL": false },
            "items": { "L": [{ "M": { "quantity": { "N": "2" } } }] }, "tags": { "SS": ["a"] },
        });
        let plain = json!({
            "order_id": "o", "version": 3, "gone": null, "open": false, "items": [{ "quantity": 2 }], "tags": ["a"],
        });
        assert_eq!(row(&typed), plain);
    }
}
