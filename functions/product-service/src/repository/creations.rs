use domain_events::Timestamp;
use dynamodb_store::{Consistency, Reason, StoreError, Transaction, TransactionError, from_item};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Answered, KEPT_SECONDS, KEY, ProductError, ProductRow, Repository, rejected};
use crate::domain::{OnceKey, Product};

/// A key under which a product was made, as it is remembered. It outlives the product, so that nothing that was removed
/// comes back, and makes no event.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CreationRow {
    product_id: String,
    created_product: Uuid,
    /// Fingerprint of the request.
    request_hash: String,
    /// When DynamoDB may remove the row, in seconds since 1970.
    expires_at: i64,
}

impl Repository {
    /// Writes a product under an id that has never been used before.
    pub(crate) async fn create(&self, product: &Product) -> Result<(), StoreError> {
        match self.table.create(KEY, &ProductRow::new(product)).await {
            // The id is new, so that this row can only come from the same call, whose first answer was lost.
            Err(StoreError::ConditionFailed { .. }) => Ok(()),
            result => result,
        }
    }

    /// Writes a product under an id that has never been used before, unless one was made under the key.
    pub(crate) async fn create_once(
        &self,
        product: Product,
        key: &OnceKey,
        fingerprint: String,
    ) -> Result<Answered, ProductError> {
        let row = CreationRow::new(&product, key, fingerprint, product.created_at);
        let transaction =
            Transaction::new(&self.table).create(KEY, &ProductRow::new(&product)).create(KEY, &row);
        match transaction.commit().await {
            Ok(()) => Ok(Answered { product, replayed: false }),
            Err(TransactionError::Cancelled(reasons)) => match reasons.as_slice() {
                [_, Reason::ConditionFailed(Some(present))] => {
                    let present: CreationRow = from_item(present.clone())?;
                    if present.request_hash != row.request_hash {
                        return Err(ProductError::KeyReused);
                    }
                    let product = self.product(present.created_product, Consistency::Strong).await?;
                    Ok(Answered { product, replayed: true })
                }
                _ => Err(rejected(&reasons).into()),
            },
            Err(TransactionError::Store(error)) => Err(error.into()),
        }
    }
}

impl CreationRow {
    /// The attribute that no other kind of row has.
    pub(crate) const MARK: &str = "created_product";

    fn new(product: &Product, key: &OnceKey, request_hash: String, at: Timestamp) -> Self {
        Self {
            product_id: format!("product-creation#{key}"),
            created_product: product.product_id,
            request_hash,
            expires_at: at.as_seconds() + KEPT_SECONDS,
        }
    }
}
