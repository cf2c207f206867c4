use domain_events::Timestamp;
use dynamodb_store::{Consistency, Item, Key, Reason, Transaction, TransactionError, from_item};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Answered, KEPT_SECONDS, KEY, ProductError, ProductRow, Repository, rejected, touch};
use crate::domain::{OnceKey, Stock, StockChange};

/// How the stock of a product is to be changed.
#[derive(Debug, Clone)]
pub(crate) struct StockOrder {
    pub(crate) product_id: Uuid,
    pub(crate) change: StockChange,
    /// Only at this version.
    pub(crate) expected: Option<u64>,
    /// Only once under this key.
    pub(crate) once: Option<OnceKey>,
}

/// A change of stock that can be repeated, as it is remembered. It makes no event.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StockChangeRow {
    product_id: String,
    /// The units.
    stock_change: i64,
    /// When DynamoDB may remove the row, in seconds since 1970.
    expires_at: i64,
}

impl Repository {
    /// Adds to the stock or takes from it, never beyond its bounds.
    pub(crate) async fn change_stock(
        &self,
        order: &StockOrder,
        at: Timestamp,
    ) -> Result<Answered, ProductError> {
        let units = order.change.units();
        let update = touch(self.table.update(Key::new(KEY, order.product_id)), at).add("stock", units);
        let update = if units < 0 {
            update.if_at_least("stock", -units)
        } else {
            update.if_at_most("stock", i64::from(Stock::MAX) - units)
        };
        let update = match order.expected {
            Some(version) => update.if_version(version),
            None => update,
        };
        // A transaction even of one, because only transactions carry a token: when an answer is lost and the call is
        // repeated, the units are still added once. The token is good for this call, the client's key for all.
        let mut transaction = Transaction::new(&self.table).update(update);
        if let Some(key) = &order.once {
            transaction = transaction.create(KEY, &StockChangeRow::new(order, key, at));
        }
        let replayed = match transaction.commit().await {
            Ok(()) => false,
            Err(TransactionError::Cancelled(reasons)) => match reasons.as_slice() {
                // What was done under this key comes before what stands in the way of doing it again.
                [_, Reason::ConditionFailed(Some(row))] => {
                    let StockChangeRow { stock_change, .. } = from_item(row.clone())?;
                    if stock_change != units {
                        return Err(ProductError::KeyReused);
                    }
                    true
                }
                [Reason::ConditionFailed(row), ..] => return Err(ProductError::of_stock(row.clone(), order)),
                _ => return Err(rejected(&reasons).into()),
            },
            Err(TransactionError::Store(error)) => return Err(error.into()),
        };
        Ok(Answered { product: self.product(order.product_id, Consistency::Strong).await?, replayed })
    }
}

impl ProductError {
    /// What it means that a change of the stock failed on a row.
    fn of_stock(row: Option<Item>, order: &StockOrder) -> Self {
        match row.map(from_item::<ProductRow>) {
            None => Self::NotFound,
            Some(Err(error)) => Self::Store(error),
            Some(Ok(row)) if order.expected.is_some_and(|version| version != row.version) => {
                Self::StaleVersion
            }
            Some(Ok(row)) if order.change.units() < 0 => Self::InsufficientStock { available: row.stock },
            Some(Ok(_)) => Self::TooMuchStock,
        }
    }
}

impl StockChangeRow {
    /// The attribute that no other kind of row has.
    pub(crate) const MARK: &str = "stock_change";

    fn new(order: &StockOrder, key: &OnceKey, at: Timestamp) -> Self {
        Self {
            product_id: format!("stock-change#{}#{key}", order.product_id),
            stock_change: order.change.units(),
            expires_at: at.as_seconds() + KEPT_SECONDS,
        }
    }
}
