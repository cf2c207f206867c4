use domain_events::Timestamp;
use dynamodb_store::{Consistency, StoreError};
use image_uploads::{
    Addresses, FileId, Image, Outcome, Owners, UploadAnswer, UploadError, UploadRequest, UploadStatus,
};
use uuid::Uuid;

use crate::{ProductService, domain::Product, repository::ProductError};

impl ProductService {
    /// Lets a picture of a product be uploaded.
    pub(crate) async fn ask_for_image(
        &self,
        product_id: Uuid,
        request: &UploadRequest,
    ) -> Result<UploadAnswer, ProductError> {
        let product = self.repository.product(product_id, Consistency::Strong).await?;
        if product.images.len() >= Product::MAX_IMAGES {
            return Err(ProductError::TooManyImages);
        }
        Ok(self.images.ask(product_id, request, self.clock.now()).await?)
    }

    /// What has become of the upload of a picture.
    pub(crate) async fn image_upload(&self, file: FileId) -> Result<UploadStatus, ProductError> {
        let upload = self.images.find(file).await?.ok_or(ProductError::NoSuchImage)?;
        Ok(UploadStatus::from(&upload))
    }

    /// Takes a picture from its product; if a version is expected, only at that one.
    pub(crate) async fn remove_image(&self, file: FileId, expected: Option<u64>) -> Result<(), ProductError> {
        self.repository.remove_image(&self.images, file, expected, self.clock.now()).await?;
        self.read_anew(file.owner).await;
        Ok(())
    }

    /// Where the pictures of products are; `None` if they have none, for which nothing has to be signed.
    pub(crate) async fn addresses(
        &self,
        products: &[Product],
        now: Timestamp,
    ) -> Result<Option<Addresses>, ProductError> {
        if products.iter().all(|product| product.images.is_empty()) {
            return Ok(None);
        }
        let addresses = self.images.addresses(now).await.map_err(UploadError::from)?;
        Ok(Some(addresses))
    }

    /// The period in which the addresses of the products' pictures stay the same; `None` if they always do.
    pub(crate) fn period(&self, products: &[Product], now: Timestamp) -> Option<u64> {
        let pictures = products.iter().any(|product| !product.images.is_empty());
        if pictures { self.images.period(now) } else { None }
    }
}

impl Owners for ProductService {
    async fn holds(&self, file: FileId) -> Result<bool, StoreError> {
        self.repository.shows(file).await
    }

    async fn attach(&self, file: FileId, image: Image) -> Result<Outcome, StoreError> {
        self.repository.attach(&self.images, file, image, self.clock.now()).await
    }
}
