use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::TABLES;
use crate::clock::Nanos;

/// Write units that one row takes in a second, however many its table has.
const UNITS_PER_SECOND: f64 = 1000.0;
/// What a row of up to a kilobyte costs in a transaction.
const UNITS_PER_WRITE: f64 = 2.0;

/// What DynamoDB does to transactions that want the same row at once, and an emulator that does one after the other never
/// does: all but the first are refused, and a row takes no more than its partition's write units.
///
/// It is off until it is told for how long a transaction keeps its rows. Writes outside of transactions don't count.
#[derive(Default)]
pub(super) struct Contention {
    kept: AtomicU64,
    rows: Mutex<HashMap<String, Row>>,
}

struct Row {
    is_kept: bool,
    units: f64,
    at: Instant,
}

/// Why a transaction does not happen: a code for each of its rows.
pub(super) type Refusal = Vec<&'static str>;

/// The rows of a transaction that is under way.
pub(super) struct Kept<'a> {
    contention: &'a Contention,
    rows: Vec<String>,
}

impl Contention {
    pub(super) fn set(&self, kept: Nanos) {
        self.kept.store(kept, Ordering::Relaxed);
    }

    /// Takes the rows of a `TransactWriteItems` request, for as long as a transaction takes and until the answer is
    /// dropped. Refused transactions are paid for, too.
    pub(super) fn take(&self, request: &Value) -> Result<Option<Kept<'_>>, Refusal> {
        let kept = self.kept.load(Ordering::Relaxed);
        if kept == 0 {
            return Ok(None);
        }
        let operations = request["TransactItems"].as_array().map(Vec::as_slice).unwrap_or_default();
        let kept_rows = self.keep(operations.iter().map(row_of).collect(), Instant::now())?;
        thread::sleep(Duration::from_nanos(kept));
        Ok(Some(kept_rows))
    }

    fn keep(&self, rows: Vec<String>, now: Instant) -> Result<Kept<'_>, Refusal> {
        let mut known = self.lock();
        let mut codes = Vec::with_capacity(rows.len());
        for row in &rows {
            let row =
                known.entry(row.clone()).or_insert(Row { is_kept: false, units: UNITS_PER_SECOND, at: now });
            let refilled = row.units + now.duration_since(row.at).as_secs_f64() * UNITS_PER_SECOND;
            (row.units, row.at) = (refilled.min(UNITS_PER_SECOND), now);
            codes.push(if row.units < UNITS_PER_WRITE {
                "ThrottlingError"
            } else {
                row.units -= UNITS_PER_WRITE;
                if row.is_kept { "TransactionConflict" } else { "None" }
            });
        }
        if codes.iter().any(|code| *code != "None") {
            return Err(codes);
        }
        for row in &rows {
            if let Some(row) = known.get_mut(row) {
                row.is_kept = true;
            }
        }
        Ok(Kept { contention: self, rows })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        let mut known = self.contention.lock();
        for row in &self.rows {
            if let Some(row) = known.get_mut(row) {
                row.is_kept = false;
            }
        }
    }
}

/// The body of DynamoDB's refusal.
pub(super) fn refusal(codes: &Refusal) -> Value {
    let reasons: Vec<Value> = codes.iter().map(|code| json!({ "Code": code })).collect();
    json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": format!("Transaction cancelled, please refer cancellation reasons for specific reasons {codes:?}"),
        "CancellationReasons": reasons,
    })
}

/// Table and key of what an operation writes.
fn row_of(operation: &Value) -> String {
    let operation = operation.as_object().and_then(|kinds| kinds.values().next()).unwrap_or(&Value::Null);
    let table = operation["TableName"].as_str().unwrap_or_default();
    let key = match operation.get("Item") {
        Some(item) => {
            TABLES.iter().find(|(name, ..)| *name == table).map_or(&Value::Null, |(_, _, key)| &item[*key])
        }
        None => operation["Key"].as_object().and_then(|key| key.values().next()).unwrap_or(&Value::Null),
    };
    format!("{table} {key}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::PRODUCTS;

    fn rows(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_row_is_in_one_transaction_at_a_time() {
        let (contention, now) = (Contention::default(), Instant::now());
        let first = contention.keep(rows(&["a", "hot"]), now).ok();
        assert!(first.is_some());
        let refused = contention.keep(rows(&["b", "hot"]), now).err().unwrap();
        assert_eq!(refused, ["None", "TransactionConflict"]);
        assert!(contention.keep(rows(&["b"]), now).is_ok(), "what was refused keeps nothing");
        drop(first);
        assert!(contention.keep(rows(&["b", "hot"]), now).is_ok());
    }

    #[test]
    fn a_row_takes_five_hundred_transactions_a_second() {
        let (contention, now) = (Contention::default(), Instant::now());
        let mut taken = 0;
        let refused = loop {
            match contention.keep(rows(&["hot"]), now) {
                Ok(_) => taken += 1,
                Err(refused) => break refused,
            }
        };
        assert_eq!((taken, refused), (500, vec!["ThrottlingError"]));
        assert!(contention.keep(rows(&["hot"]), now + Duration::from_millis(2)).is_ok());
    }

    #[test]
    fn puts_and_updates_of_one_row_are_told_to_be_of_one_row() {
        let id = json!({"S": "p"});
        let put = json!({"Put": {"TableName": PRODUCTS, "Item": {"product_id": id, "name": {"S": "n"}}}});
        let update = json!({"Update": {"TableName": PRODUCTS, "Key": {"product_id": id}}});
        assert_eq!(row_of(&put), row_of(&update));
        assert_ne!(
            row_of(&put),
            row_of(&json!({"Delete": {"TableName": "other", "Key": {"product_id": id}}}))
        );
    }
}
