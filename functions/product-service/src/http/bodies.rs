use deserr::Deserr;
use domain_events::{Money, Timestamp};
use image_uploads::{Addresses, FileId, ImageAnswer, UploadError};
use problem_details::InputErrors;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    domain::{
        Category, Description, NewProduct, Price, Product, ProductChange, ProductImage, ProductName, Stock,
        StockChange,
    },
    repository::ProductError,
};

/// A product that is to be put on offer.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = InputErrors, deny_unknown_fields)]
#[schema(as = NewProduct)]
pub(super) struct NewProductBody {
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "Coffee mug")]
    name: ProductName,
    #[deserr(default)]
    #[schema(value_type = Option<String>, max_length = 5000, nullable = false, example = "Holds 0.3 l.")]
    description: Description,
    /// Letters, digits, spaces, `-` and `_`.
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "Kitchen")]
    category: Category,
    #[schema(value_type = Money)]
    price: Price,
    /// Units that can be ordered; 0 if absent.
    #[deserr(default)]
    #[schema(value_type = Option<u32>, maximum = 1_000_000_000, nullable = false, example = 10)]
    stock: Stock,
}

/// What a product is to be from now on. What is absent is empty afterwards; stock stays as it is.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = InputErrors, deny_unknown_fields)]
#[schema(as = ProductReplacement)]
pub(super) struct ReplacementBody {
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "Coffee mug")]
    name: ProductName,
    #[deserr(default)]
    #[schema(value_type = Option<String>, max_length = 5000, nullable = false, example = "Holds 0.4 l.")]
    description: Description,
    /// Letters, digits, spaces, `-` and `_`.
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "Kitchen")]
    category: Category,
    #[schema(value_type = Money)]
    price: Price,
}

/// What is to be different about a product: at least one field.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = InputErrors, deny_unknown_fields)]
#[schema(as = ProductPatch)]
pub(super) struct PatchBody {
    #[deserr(default, from(ProductName) = Some)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200, nullable = false, example = "Coffee mug")]
    name: Option<ProductName>,
    #[deserr(default, from(Description) = Some)]
    #[schema(value_type = Option<String>, max_length = 5000, nullable = false)]
    description: Option<Description>,
    /// Letters, digits, spaces, `-` and `_`.
    #[deserr(default, from(Category) = Some)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, nullable = false)]
    category: Option<Category>,
    #[deserr(default, from(Price) = Some)]
    #[schema(value_type = Option<Money>, nullable = false)]
    price: Option<Price>,
}

/// A change of the stock.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = InputErrors, deny_unknown_fields)]
#[schema(as = StockChange)]
pub(super) struct StockBody {
    /// Units that come in or, if negative, leave.
    #[schema(value_type = i64, minimum = -1_000_000_000, maximum = 1_000_000_000, example = -3)]
    pub(super) change: StockChange,
}

/// A product on offer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Product)]
pub(super) struct ProductBody {
    product_id: Uuid,
    #[schema(example = "Coffee mug")]
    name: String,
    #[schema(example = "Holds 0.3 l.")]
    description: String,
    #[schema(example = "Kitchen")]
    category: String,
    price: Money,
    /// Units that can be ordered.
    #[schema(example = 10)]
    stock: u32,
    /// In the order in which they were asked for. Lists have the first one alone.
    images: Vec<ImageBody>,
    /// Grows with every change; also in the `ETag` header.
    #[schema(example = 1)]
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A picture of a product.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductImage)]
pub(super) struct ImageBody {
    image_id: Uuid,
    #[serde(flatten)]
    image: ImageAnswer,
}

/// A page of products.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProductList {
    pub(super) items: Vec<ProductBody>,
    /// Where the next page starts; null on the last one.
    pub(super) next_cursor: Option<String>,
}

impl From<NewProductBody> for NewProduct {
    fn from(body: NewProductBody) -> Self {
        let NewProductBody { name, description, category, price, stock } = body;
        Self { name, description, category, price: price.into(), stock: stock.units() }
    }
}

impl From<ReplacementBody> for ProductChange {
    fn from(ReplacementBody { name, description, category, price }: ReplacementBody) -> Self {
        Self {
            name: Some(name),
            description: Some(description),
            category: Some(category),
            price: Some(price.into()),
        }
    }
}

impl From<PatchBody> for ProductChange {
    fn from(PatchBody { name, description, category, price }: PatchBody) -> Self {
        Self { name, description, category, price: price.map(Money::from) }
    }
}

impl ProductBody {
    /// A product in a list. A signed address is some thousand characters long: with all pictures of all its products a
    /// page would be more than a load balancer takes from a function.
    pub(super) fn listed(mut product: Product, addresses: Option<&Addresses>) -> Result<Self, ProductError> {
        product.images.truncate(1);
        Self::new(product, addresses)
    }

    /// A product with the addresses of its pictures, if it has any.
    pub(super) fn new(product: Product, addresses: Option<&Addresses>) -> Result<Self, ProductError> {
        let product_id = product.product_id;
        let at = |addresses: &Addresses, ProductImage { image_id, image }: &ProductImage| {
            let url = addresses.of(FileId { owner: product_id, upload_id: *image_id });
            let url = url.map_err(UploadError::from)?;
            Ok(ImageBody { image_id: *image_id, image: ImageAnswer::new(image, url) })
        };
        let images = match addresses {
            Some(addresses) => product.images.iter().map(|image| at(addresses, image)).collect(),
            None => Ok(Vec::new()),
        };
        Ok(Self {
            product_id,
            name: product.name.as_str().to_owned(),
            description: product.description.as_str().to_owned(),
            category: product.category.as_str().to_owned(),
            price: product.price,
            stock: product.stock,
            images: images.map_err(ProductError::Uploads)?,
            version: product.version,
            created_at: product.created_at,
            updated_at: product.updated_at,
        })
    }
}
