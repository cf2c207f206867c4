use std::fmt;

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use serde::Serialize;

use crate::backoff::Backoff;
use crate::error::StoreError;
use crate::table::{Item, Table, to_item};
use crate::write::{Delete, Update};

/// Up to 100 writes of different rows: all of them happen, or none.
#[must_use = "nothing is written before the commit"]
pub struct Transaction {
    table: Table,
    operations: Result<Vec<TransactWriteItem>, StoreError>,
}

/// Why a transaction did not happen.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// At least one operation stood in the way, for a reason that trying again does not mend.
    #[error("the transaction was cancelled: {0:?}")]
    Cancelled(
        /// One reason per operation, in the order in which they were added.
        Vec<Reason>,
    ),
    /// The transaction as a whole failed. Rivals and throttling end up here too, once all tries are used up.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One operation's part in a cancelled transaction.
#[derive(Clone, PartialEq)]
pub enum Reason {
    /// It did not stand in the way.
    None,
    /// Its row, given as it is if there is one, is not in the state that it requires.
    ConditionFailed(Option<Item>),
    /// Its row was being written by others.
    Conflict,
    /// Its row's partition was throttled.
    Throttled,
    /// DynamoDB's code of any other reason.
    Other(String),
}

impl Transaction {
    /// An empty transaction, whose new rows go to `table`.
    pub fn new(table: &Table) -> Self {
        Self { table: table.clone(), operations: Ok(Vec::new()) }
    }

    /// Adds a new row, whose key must not be taken.
    pub fn create(self, key_attribute: &'static str, row: &impl Serialize) -> Self {
        let put = to_item(row).and_then(|item| {
            Put::builder()
                .table_name(self.table.name())
                .set_item(Some(item))
                .condition_expression("attribute_not_exists(#key)")
                .expression_attribute_names("#key", key_attribute)
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
                .build()
                .map_err(|error| StoreError::Rejected(error.into()))
        });
        self.with(put.map(|put| TransactWriteItem::builder().put(put).build()))
    }

    /// Adds a change of a row.
    pub fn update(self, update: Update) -> Self {
        self.with(update.into_operation())
    }

    /// Adds the removal of a row.
    pub fn delete(self, delete: Delete) -> Self {
        self.with(delete.into_operation())
    }

    /// Writes all or nothing. Rivals for the same rows and throttling are met by trying again, a bounded
    /// number of times.
    pub async fn commit(self) -> Result<(), TransactionError> {
        let request = self.table.client().transact_write_items().set_transact_items(Some(self.operations?));
        // The token stays the same until DynamoDB has said that nothing was written: whatever answer is lost, the
        // operations happen once.
        let mut token = new_token();
        let mut backoff = Backoff::default();
        loop {
            let Err(error) = request.clone().client_request_token(&token).send().await else { return Ok(()) };
            let reasons = match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    Some(cancelled.cancellation_reasons().iter().map(Reason::from).collect::<Vec<_>>())
                }
                _ => None,
            };
            if reasons.is_some() {
                token = new_token();
            }
            let error = match reasons {
                // A condition that failed stays failed, whatever else stood in the way.
                Some(reasons) if !reasons.iter().all(Reason::passes) || reasons.is_empty() => {
                    return Err(TransactionError::Cancelled(reasons));
                }
                Some(reasons) if reasons.contains(&Reason::Throttled) => {
                    StoreError::Throttled(Box::new(error.into_service_error()))
                }
                Some(_) => StoreError::Conflict(Box::new(error.into_service_error())),
                None => StoreError::from(error),
            };
            let passes = matches!(error, StoreError::Conflict(_) | StoreError::Throttled(_));
            if !passes || !backoff.another_try().await {
                return Err(error.into());
            }
        }
    }

    fn with(mut self, operation: Result<TransactWriteItem, StoreError>) -> Self {
        self.operations = self.operations.and_then(|mut operations| {
            operations.push(operation?);
            Ok(operations)
        });
        self
    }
}

/// Unique enough for the ten minutes in which DynamoDB remembers it.
fn new_token() -> String {
    format!("{:032x}", fastrand::u128(..))
}

impl TransactionError {
    /// Whether the condition of the operation added at `position` (from 0) failed.
    pub fn condition_failed(&self, position: usize) -> bool {
        matches!(self, Self::Cancelled(reasons)
            if matches!(reasons.get(position), Some(Reason::ConditionFailed(_))))
    }
}

impl Reason {
    /// Whether the reason can be gone at the next try.
    fn passes(&self) -> bool {
        matches!(self, Self::None | Self::Conflict | Self::Throttled)
    }
}

impl From<&CancellationReason> for Reason {
    fn from(reason: &CancellationReason) -> Self {
        match reason.code().unwrap_or("None") {
            "None" => Self::None,
            "ConditionalCheckFailed" => Self::ConditionFailed(reason.item.clone()),
            "TransactionConflict" => Self::Conflict,
            "ThrottlingError" | "ProvisionedThroughputExceeded" => Self::Throttled,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// The reason without the row, which must not reach a log.
impl fmt::Debug for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "None",
            Self::ConditionFailed(None) => "ConditionFailed(no row)",
            Self::ConditionFailed(Some(_)) => "ConditionFailed(row)",
            Self::Conflict => "Conflict",
            Self::Throttled => "Throttled",
            Self::Other(code) => code,
        })
    }
}
