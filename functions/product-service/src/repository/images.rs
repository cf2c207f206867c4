use domain_events::Timestamp;
use dynamodb_store::{Consistency, Key, Reason, StoreError, Transaction, TransactionError};
use image_uploads::{FileId, Image, ImageUploads, Outcome, Reason as Refusal, State};

use super::{KEY, ProductError, ProductRow, Repository, rejected, touch};
use crate::domain::{Product, ProductImage};

/// How often the removal of a picture is decided anew because others came or went meanwhile.
const DECISIONS: usize = 6;

const IMAGES: &str = "images";

impl Repository {
    /// Whether a file is a picture of its product now.
    pub(crate) async fn shows(&self, file: FileId) -> Result<bool, StoreError> {
        let row: Option<ProductRow> = self.table.get(&Key::new(KEY, file.owner), Consistency::Strong).await?;
        Ok(row.is_some_and(|row| row.images.iter().any(|image| image.image_id == file.upload_id)))
    }

    /// Makes a file that is awaited a picture of its product, if that has room for it.
    ///
    /// It is added without a look at the others, so that those that arrive at the same time don't stand in each other's
    /// way, nor do changes of the stock. The upload's row, which changes with it, lets it be added once.
    pub(crate) async fn attach(
        &self,
        uploads: &ImageUploads,
        file: FileId,
        image: Image,
        at: Timestamp,
    ) -> Result<Outcome, StoreError> {
        let product = touch(self.table.update(Key::new(KEY, file.owner)), at)
            .append(IMAGES, ProductImage { image_id: file.upload_id, image })
            .if_shorter_than(IMAGES, Product::MAX_IMAGES);
        let transaction = Transaction::new(&self.table).update(product).update(uploads.attached(file));
        match transaction.commit().await {
            Ok(()) => Ok(Outcome::Attached),
            Err(TransactionError::Cancelled(reasons)) => match reasons.as_slice() {
                [_, Reason::ConditionFailed(_)] => Ok(Outcome::NotAwaited),
                [Reason::ConditionFailed(None), _] => Ok(Outcome::NoOwner),
                [Reason::ConditionFailed(Some(_)), _] => Ok(Outcome::Refused(Refusal::TooManyImages)),
                _ => Err(rejected(&reasons)),
            },
            Err(TransactionError::Store(error)) => Err(error),
        }
    }

    /// Takes a picture from its product, or stops waiting for its file; if a version is expected, only at that one.
    pub(crate) async fn remove_image(
        &self,
        uploads: &ImageUploads,
        file: FileId,
        expected: Option<u64>,
        at: Timestamp,
    ) -> Result<(), ProductError> {
        for _ in 0..DECISIONS {
            let key = || Key::new(KEY, file.owner);
            let row: Option<ProductRow> = self.table.get(&key(), Consistency::Strong).await?;
            let ProductRow { images, version, .. } = row.ok_or(ProductError::NotFound)?;
            if expected.is_some_and(|expected| expected != version) {
                return Err(ProductError::StaleVersion);
            }
            let others: Vec<ProductImage> =
                images.iter().filter(|image| image.image_id != file.upload_id).copied().collect();
            let transaction = if others.len() < images.len() {
                let mut product =
                    touch(self.table.update(key()), at).set(IMAGES, others).if_equals(IMAGES, images);
                if let Some(expected) = expected {
                    product = product.if_version(expected);
                }
                Transaction::new(&self.table).update(product).update(uploads.removed(file, at))
            } else {
                match uploads.find(file).await?.map(|upload| upload.state) {
                    Some(State::Pending(_)) => {
                        Transaction::new(&self.table).update(uploads.cancelled(file, at))
                    }
                    // It arrived after the product was read.
                    Some(State::Attached) => continue,
                    Some(State::Refused(_) | State::Removed) | None => return Err(ProductError::NoSuchImage),
                }
            };
            match transaction.commit().await {
                Ok(()) => return Ok(()),
                // Pictures came or went: this one may have been among them.
                Err(TransactionError::Cancelled(reasons))
                    if matches!(reasons.as_slice(), [Reason::ConditionFailed(_), ..]) => {}
                Err(TransactionError::Cancelled(reasons)) => return Err(rejected(&reasons).into()),
                Err(TransactionError::Store(error)) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict("pictures of the product come and go too often".into()).into())
    }
}
