use std::collections::HashSet;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::aws::{Aws, DYNAMODB};

use super::persistently;

/// Parts of a table that are read side by side: as many as leave the shop's own requests alone.
const SEGMENTS: u64 = 4;
/// Keys that one call reads.
const KEYS: usize = 100;
/// Calls for what a call before has left, before that is an error.
const LEFTOVERS: usize = 10;

/// The tables of an environment whose rows are reported on.
#[derive(Debug)]
pub(super) struct Tables<'a> {
    pub(super) aws: &'a Aws,
    pub(super) environment: &'a str,
}

/// What a table holds, and which attributes of it matter here. No other is read: they are personal, or nobody's concern.
pub(super) trait Row: DeserializeOwned {
    const TABLE: &'static str;
    const KEY: &'static str;
    const ATTRIBUTES: &'static [&'static str];
}

/// An order, as it is handed over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OrderRow {
    pub(super) order_id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) status: String,
    pub(super) items: Vec<Item>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) total: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    history: Vec<Step>,
    pub(super) version: u64,
    created_at: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Item {
    pub(super) product_id: Uuid,
    pub(super) quantity: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unit_price: Option<Money>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Money {
    pub(super) amount: i64,
    pub(super) currency: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Step {
    status: String,
    at: String,
}

/// A product, as it is handed over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ProductRow {
    pub(super) product_id: Uuid,
    pub(super) version: u64,
    pub(super) name: String,
    pub(super) category: String,
}

/// That there is such a user.
#[derive(Debug, Deserialize)]
pub(super) struct UserRow {
    pub(super) user_id: Uuid,
}

impl Row for OrderRow {
    const TABLE: &'static str = "orders";
    const KEY: &'static str = "order_id";
    const ATTRIBUTES: &'static [&'static str] =
        &["order_id", "user_id", "status", "items", "total", "reason", "history", "version", "created_at"];
}

impl Row for ProductRow {
    const TABLE: &'static str = "products";
    const KEY: &'static str = "product_id";
    const ATTRIBUTES: &'static [&'static str] = &["product_id", "version", "name", "category"];
}

impl Row for UserRow {
    const TABLE: &'static str = "users";
    const KEY: &'static str = "user_id";
    const ATTRIBUTES: &'static [&'static str] = &["user_id"];
}

/// A part of what a table holds.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) rows: Vec<T>,
    /// Rows of all kinds that were read for it.
    pub(super) read: u64,
    /// Rows that should be such and can't be read, and why.
    pub(super) unreadable: Vec<String>,
}

impl Tables<'_> {
    /// How many rows of all kinds a table has. DynamoDB counts every six hours.
    pub(super) async fn about<T: Row>(&self) -> Result<u64> {
        let input = json!({ "TableName": self.name::<T>() });
        let answer = self.aws.json(DYNAMODB, "DescribeTable", &input).await?;
        Ok(answer["Table"]["ItemCount"].as_u64().unwrap_or_default())
    }

    /// Reads a whole table, in parts side by side. Every row is as some moment of the reading has it, at the earliest its
    /// beginning; one that was there all the time is among them. A part waits until what it has read before is taken.
    pub(super) async fn scan<T: Row>(&self, take: impl AsyncFn(Page<T>) -> Result<()>) -> Result<()> {
        let (projection, names) = projection(T::ATTRIBUTES);
        let (take, projection, names) = (&take, &projection, &names);
        let segments = try_join_all((0..SEGMENTS).map(|segment| async move {
            let mut input = json!({
                "TableName": self.name::<T>(), "ConsistentRead": true,
                "ProjectionExpression": projection, "ExpressionAttributeNames": names,
                "TotalSegments": SEGMENTS, "Segment": segment,
            });
            loop {
                let mut answer = persistently(|| self.aws.json(DYNAMODB, "Scan", &input)).await?;
                take(page(&answer)?).await?;
                match answer["LastEvaluatedKey"].take() {
                    Value::Null => return anyhow::Ok(()),
                    next => input["ExclusiveStartKey"] = next,
                }
            }
        }));
        segments.await.map(drop)
    }

    /// The rows with these keys that there are, with every change that was acknowledged.
    pub(super) async fn get<T: Row>(&self, keys: impl IntoIterator<Item = Uuid>) -> Result<Page<T>> {
        let (projection, names) = projection(T::ATTRIBUTES);
        let table = self.name::<T>();
        let keys: Vec<Value> = keys.into_iter().map(|key| json!({ T::KEY: { "S": key } })).collect();
        let mut found = Page { rows: Vec::new(), read: 0, unreadable: Vec::new() };
        for keys in keys.chunks(KEYS) {
            let mut wanted = json!({ table.as_str(): {
                "Keys": keys, "ConsistentRead": true,
                "ProjectionExpression": projection, "ExpressionAttributeNames": names,
            }});
            for left in 0.. {
                anyhow::ensure!(left < LEFTOVERS, "{table} does not answer for all of its rows");
                let input = json!({ "RequestItems": wanted });
                let mut answer = persistently(|| self.aws.json(DYNAMODB, "BatchGetItem", &input)).await?;
                let items = answer["Responses"][&table].take();
                let page = page::<T>(&json!({ "Items": items }))?;
                found.rows.extend(page.rows);
                found.unreadable.extend(page.unreadable);
                wanted = answer["UnprocessedKeys"].take();
                if wanted.as_object().is_none_or(Map::is_empty) {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Those of the users whom there are not any more.
    pub(super) async fn gone(&self, users: impl IntoIterator<Item = Uuid>) -> Result<HashSet<Uuid>> {
        let mut users: HashSet<Uuid> = users.into_iter().collect();
        for user in self.get::<UserRow>(users.clone()).await?.rows {
            users.remove(&user.user_id);
        }
        Ok(users)
    }

    fn name<T: Row>(&self) -> String {
        format!("{}-{}", self.environment, T::TABLE)
    }
}

/// An expression that names attributes, whatever of them is a reserved word.
fn projection(attributes: &[&str]) -> (String, Value) {
    let alias = |index: usize| format!("#a{index}");
    let aliases: Vec<String> = (0..attributes.len()).map(alias).collect();
    let names = aliases.iter().cloned().zip(attributes.iter().map(|name| Value::from(*name)));
    (aliases.join(","), Value::Object(names.collect()))
}

/// What a call answered. The keys of all other rows of these tables are no ids.
fn page<T: Row>(answer: &Value) -> Result<Page<T>> {
    let items = answer["Items"].as_array().context("an answer without rows")?;
    let read = answer["ScannedCount"].as_u64().unwrap_or_default();
    let mut page = Page { rows: Vec::new(), read, unreadable: Vec::new() };
    for item in items {
        let key = item[T::KEY]["S"].as_str().unwrap_or_default();
        if Uuid::try_parse(key).is_err() {
            continue;
        }
        let attributes = item.as_object().into_iter().flatten();
        let plain = attributes.map(|(name, value)| Ok((name.clone(), plain(value)?))).collect::<Result<_>>();
        match plain.and_then(|plain| Ok(T::deserialize(Value::Object(plain))?)) {
            Ok(row) => page.rows.push(row),
            Err(error) => page.unreadable.push(format!("{} {key}: {error:#}", T::KEY)),
        }
    }
    Ok(page)
}

/// An attribute without the type around it.
fn plain(attribute: &Value) -> Result<Value> {
    let typed = attribute.as_object().and_then(|typed| typed.iter().next()).context("no attribute")?;
    Ok(match (typed.0.as_str(), typed.1) {
        ("S" | "BOOL", value) => value.clone(),
        ("NULL", _) => Value::Null,
        ("N", number) => serde_json::from_str(number.as_str().context("no number")?)?,
        ("L", Value::Array(members)) => members.iter().map(plain).collect::<Result<_>>()?,
        ("M", Value::Object(members)) => Value::Object(
            members.iter().map(|(name, member)| Ok((name.clone(), plain(member)?))).collect::<Result<_>>()?,
        ),
        (kind, _) => anyhow::bail!("an attribute of the type {kind}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(id: &str) -> Value {
        json!({
            "order_id": { "S": id }, "user_id": { "S": "00000000-0000-0000-0000-000000000002" },
            "status": { "S": "CONFIRMED" }, "version": { "N": "2" },
            "items": { "L": [{ "M": {
                "product_id": { "S": "00000000-0000-0000-0000-000000000003" }, "quantity": { "N": "4" },
                "unit_price": { "M": { "amount": { "N": "250" }, "currency": { "S": "EUR" } } },
            }}]},
            "total": { "M": { "amount": { "N": "1000" }, "currency": { "S": "EUR" } } },
            "history": { "L": [
                { "M": { "status": { "S": "PENDING" }, "at": { "S": "2026-01-02T03:04:05.000Z" } } },
            ]},
            "created_at": { "S": "2026-01-02T03:04:05.000Z" },
        })
    }

    #[test]
    fn a_row_is_handed_over_as_the_table_has_it() {
        let answer = json!({ "Items": [order("00000000-0000-0000-0000-000000000001")], "ScannedCount": 1 });
        let page = page::<OrderRow>(&answer).unwrap();
        assert_eq!((page.read, page.unreadable.len()), (1, 0));
        assert_eq!(
            serde_json::to_value(&page.rows).unwrap(),
            json!([{
                "order_id": "00000000-0000-0000-0000-000000000001",
                "user_id": "00000000-0000-0000-0000-000000000002",
                "status": "CONFIRMED", "version": 2,
                "items": [{
                    "product_id": "00000000-0000-0000-0000-000000000003", "quantity": 4,
                    "unit_price": { "amount": 250, "currency": "EUR" },
                }],
                "total": { "amount": 1000, "currency": "EUR" },
                "history": [{ "status": "PENDING", "at": "2026-01-02T03:04:05.000Z" }],
                "created_at": "2026-01-02T03:04:05.000Z",
            }])
        );
    }

    #[test]
    fn other_rows_of_a_table_are_passed_over_and_damaged_ones_named() {
        let mut damaged = order("00000000-0000-0000-0000-000000000009");
        damaged["version"] = json!({ "S": "two" });
        let answer = json!({ "Items": [order("gone#00000000-0000-0000-0000-000000000001"), damaged] });
        let page = page::<OrderRow>(&answer).unwrap();
        assert!(page.rows.is_empty());
        assert_eq!(page.unreadable.len(), 1);
        assert!(page.unreadable[0].starts_with("order_id 00000000-0000-0000-0000-000000000009: "));
    }

    #[test]
    fn every_attribute_has_a_name_of_its_own_in_an_expression() {
        let (expression, names) = projection(&["status", "items"]);
        assert_eq!((expression.as_str(), names), ("#a0,#a1", json!({ "#a0": "status", "#a1": "items" })));
    }
}
