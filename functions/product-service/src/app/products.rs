use dynamodb_store::{Consistency, Page, Position};
use uuid::Uuid;

use crate::{
    ProductService,
    cache::News,
    domain::{Category, NewProduct, OnceKey, Product, ProductChange},
    repository::{Answered, ProductError, StockOrder},
};

impl ProductService {
    /// A product as it was a moment ago or, with a cache, as docs/ARCHITECTURE.md says.
    pub(crate) async fn product(&self, id: Uuid) -> Result<Product, ProductError> {
        if let Some(cache) = &self.cache
            && let Some(read) = cache.product(&self.repository, id).await
        {
            return read?.ok_or(ProductError::NotFound);
        }
        self.repository.product(id, Consistency::Eventual).await
    }

    /// Products of one category or of all, newest first.
    pub(crate) async fn products(
        &self,
        category: Option<&Category>,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Page<Product>, ProductError> {
        if after.is_none()
            && let Some(cache) = &self.cache
            && let Some(read) = cache.first_page(&self.repository, category, limit).await
        {
            return Ok(read?);
        }
        Ok(self.repository.products(category, after, limit).await?)
    }

    /// Puts a new product on offer; under a key only once.
    pub(crate) async fn create(
        &self,
        new: NewProduct,
        once: Option<OnceKey>,
    ) -> Result<Answered, ProductError> {
        let fingerprint = new.fingerprint();
        let product = new.into_product(Uuid::now_v7(), self.clock.now());
        let answered = match once {
            Some(key) => self.repository.create_once(product, &key, fingerprint).await?,
            None => {
                self.repository.create(&product).await?;
                Answered { product, replayed: false }
            }
        };
        // Whoever has to ask twice has not been answered: what was done then becomes known now, if it was not.
        self.tell(|| News::created(&answered.product)).await;
        Ok(answered)
    }

    /// Changes a product; if a version is expected, only that one.
    pub(crate) async fn change(
        &self,
        id: Uuid,
        change: ProductChange,
        expected: Option<u64>,
    ) -> Result<Product, ProductError> {
        let category = change.category.clone();
        let product = self.repository.change(id, change, expected, self.clock.now()).await?;
        self.tell(|| News::changed(&product, category.as_ref())).await;
        Ok(product)
    }

    /// Removes a product; if a version is expected, only that one.
    pub(crate) async fn remove(&self, id: Uuid, expected: Option<u64>) -> Result<(), ProductError> {
        let at = self.clock.now();
        self.repository.remove(id, expected).await?;
        self.tell(|| News::removed(id, at)).await;
        Ok(())
    }

    /// Adds to the stock or takes from it.
    pub(crate) async fn change_stock(&self, order: &StockOrder) -> Result<Answered, ProductError> {
        let answered = self.repository.change_stock(order, self.clock.now()).await?;
        self.tell(|| News::changed(&answered.product, None)).await;
        Ok(answered)
    }

    /// Makes known a change that has left nothing to show.
    pub(super) async fn read_anew(&self, id: Uuid) {
        if let Some(cache) = &self.cache {
            cache.read_anew(&self.repository, id).await;
        }
    }

    /// Makes known what a request has changed, before it is answered.
    async fn tell(&self, news: impl FnOnce() -> News) {
        if let Some(cache) = &self.cache {
            cache.tell(news()).await;
        }
    }
}
