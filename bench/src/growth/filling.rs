use std::ops::Range;

use anyhow::{Context, Result, ensure};
use dynoxide::types::Item;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::{Builder, Uuid};

/// As the services write moments.
const MOMENT: &str = "%Y-%m-%dT%H:%M:%S%.3fZ";
/// Between one row and the next.
const STEP: SignedDuration = SignedDuration::from_secs(1);
/// How many rows belong to each group.
const GROUP: u64 = 10;

/// Many rows like one that a service has written: its text with other ids, moments and so on, wherever they occur in
/// it. So they have the shape that the service gave them, whatever that is.
///
/// Row number 0 is the oldest. A row follows from its number alone, so that who reads knows what was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Filling {
    /// Where the rows belong.
    pub(crate) table: String,
    row: String,
    id: String,
    moment: String,
    first: Timestamp,
    changes: Vec<(String, Instead)>,
}

/// What comes in the place of a value.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Instead {
    /// One of these after the other.
    InTurn(Vec<String>),
    /// Any of these.
    AnyOf(Vec<String>),
    /// One row in so many keeps it; the others belong to groups, each with an id of its own.
    Kept {
        /// In so many.
        one_in: u64,
    },
}

impl Filling {
    /// Up to `count` rows like `row`, which is in DynamoDB's JSON, has its id under `key`, and is newer than all of
    /// them.
    pub(crate) fn like(row: &Value, table: &str, key: &str, count: u64) -> Result<Self> {
        let part = |name: &str| text(row, name).map(str::to_owned);
        let moment = part("created_at")?;
        let last: Timestamp = moment.parse().with_context(|| format!("{moment} is no moment"))?;
        ensure!(written(last) == moment, "moments are written in a new way, as in {moment}: change MOMENT");
        let first = last - STEP * i32::try_from(count)?;
        let (row, id) = (row.to_string(), part(key)?);
        Ok(Self { table: table.to_owned(), row, id, moment, first, changes: Vec::new() })
    }

    /// Puts something else in the place of a value.
    pub(crate) fn change(mut self, value: &str, instead: Instead) -> Self {
        self.changes.push((value.to_owned(), instead));
        self
    }

    /// The id of a row: of the kind that the service uses.
    pub(crate) fn id(&self, number: u64) -> String {
        let mut random = fastrand::Rng::with_seed(number);
        let is_ordered = Uuid::try_parse(&self.id).is_ok_and(|id| id.get_version_num() == 7);
        let id = if is_ordered {
            let millis = self.moment(number).as_millisecond();
            let mut bytes = [0; 10];
            random.fill(&mut bytes);
            Builder::from_unix_timestamp_millis(millis.unsigned_abs(), &bytes)
        } else {
            let mut bytes = [0; 16];
            random.fill(&mut bytes);
            Builder::from_custom_bytes(bytes)
        };
        id.into_uuid().to_string()
    }

    /// The rows of these numbers.
    pub(crate) fn rows(&self, numbers: Range<u64>) -> Result<Vec<Item>> {
        numbers.map(|number| Ok(serde_json::from_str(&self.row(number))?)).collect()
    }

    fn row(&self, number: u64) -> String {
        let mut row = self.row.replace(&self.id, &self.id(number));
        row = row.replace(&self.moment, &written(self.moment(number)));
        let pick = |texts: &[String], index: u64| {
            let index = usize::try_from(index).unwrap_or_default() % texts.len().max(1);
            texts.get(index).cloned()
        };
        for (value, instead) in &self.changes {
            let new = match instead {
                Instead::InTurn(texts) => pick(texts, number),
                Instead::AnyOf(texts) => pick(texts, fastrand::Rng::with_seed(!number).u64(..)),
                Instead::Kept { one_in } if number.is_multiple_of(*one_in) => None,
                Instead::Kept { .. } => {
                    let random = fastrand::Rng::with_seed(!(number / GROUP)).u128(..);
                    Some(Builder::from_custom_bytes(random.to_be_bytes()).into_uuid().to_string())
                }
            };
            if let Some(new) = new {
                row = row.replace(&quoted(value), &quoted(&new));
            }
        }
        row
    }

    fn moment(&self, number: u64) -> Timestamp {
        self.first + STEP * i32::try_from(number).unwrap_or(i32::MAX)
    }
}

/// A text of a row in DynamoDB's JSON.
pub(crate) fn text<'a>(row: &'a Value, name: &str) -> Result<&'a str> {
    row[name]["S"].as_str().with_context(|| format!("no text {name} in {row}"))
}

fn written(moment: Timestamp) -> String {
    moment.strftime(MOMENT).to_string()
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    const ID: &str = "019ab0c4-5f00-7c3a-9b1e-2f4d6a8c0e11";
    const MOMENT: &str = "2026-11-22T09:44:00.120Z";

    fn filling() -> Filling {
        let row = json!({
            "id": {"S": ID}, "created_at": {"S": MOMENT}, "owner": {"S": "o"}, "color": {"S": "red"},
            "place": {"S": format!("{MOMENT}#{ID}")}, "name": {"S": "of red colour"},
        });
        Filling::like(&row, "t", "id", 100).unwrap()
    }

    #[test]
    fn rows_differ_where_they_have_to() {
        let filling = filling()
            .change("red", Instead::InTurn(vec!["red".to_owned(), "blue".to_owned()]))
            .change("o", Instead::Kept { one_in: 50 });
        let rows: Vec<Value> =
            (0..100).map(|number| serde_json::from_str(&filling.row(number)).unwrap()).collect();
        let values = |name: &str| rows.iter().map(|row| text(row, name).unwrap()).collect::<Vec<_>>();
        let (ids, moments) = (values("id"), values("created_at"));
        assert!(ids.is_sorted() && moments.is_sorted() && *moments.last().unwrap() < MOMENT);
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 100);
        let owners = values("owner");
        assert_eq!(owners.iter().filter(|owner| **owner == "o").count(), 2);
        assert_eq!(owners.iter().collect::<BTreeSet<_>>().len(), 11);
        assert_eq!(
            (values("color")[0], values("color")[1], values("name")[1]),
            ("red", "blue", "of red colour")
        );
        assert_eq!(values("place")[7], format!("{}#{}", moments[7], ids[7]));
        assert_eq!(filling.id(7), ids[7]);
    }

    #[test]
    fn what_is_read_as_a_row_has_its_types() {
        assert_eq!(filling().rows(5..8).unwrap().len(), 3);
    }

    #[test]
    fn moments_that_are_written_otherwise_are_refused() {
        let row = json!({"id": {"S": ID}, "created_at": {"S": "2026-11-22T09:44:00Z"}});
        assert!(Filling::like(&row, "t", "id", 1).unwrap_err().to_string().contains("change MOMENT"));
    }
}
