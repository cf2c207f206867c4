/// Bodies of requests and answers.
mod bodies;
/// Routes of pictures.
mod images;

use std::slice;

use access_token::Admin;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use deserr::Deserr;
use dynamodb_store::CursorError;
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, ETAG, LOCATION},
};
use problem_details::{
    EntityTag, IdempotencyKey, IfMatch, IfNoneMatch, InputErrors, Json, PageLimit, PathId, Problem, Query,
    Replayed,
};
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use self::bodies::{NewProductBody, PatchBody, ProductBody, ProductList, ReplacementBody, StockBody};
use crate::{
    ProductService,
    domain::{Category, OnceKey, Product, ProductChange, Stock},
    repository::{Answered, ProductError, StockOrder},
};

lambda_dispatch::routes! {
    ProductService: list, create, read, replace, patch, remove, change_stock;
    images::{ask_for_image, image_upload, remove_image}
}

/// Products are the same for everybody and may be a few seconds old: caches take the load of popular ones.
const PUBLIC: (HeaderName, HeaderValue) = (CACHE_CONTROL, HeaderValue::from_static("public, max-age=5"));

/// Products, newest first, each with its first picture alone
#[utoipa::path(
    get, path = "/api/products", operation_id = "list_products", tag = "products",
    params(
        ListQuery,
        ("if-none-match" = Option<String>, Header, description = "The tag of the page that the client has"),
    ),
    responses(
        (status = 200, description = "A page of products", body = ProductList,
            headers(("etag" = String, description = "A tag of what the page says"))),
        (status = 304, description = "The client has the page as it is"),
    )
)]
async fn list(
    State(service): State<ProductService>,
    Query(query): Query<ListQuery>,
    if_none_match: IfNoneMatch,
) -> Result<Response, Problem> {
    let scope = query.scope();
    let after = service.cursors.open(&scope, query.cursor.as_deref()).await.map_err(|error| match error {
        CursorError::Invalid => Problem::invalid_field("/cursor", "must be the next_cursor of this list"),
        CursorError::Undecided(cause) => Problem::unavailable(10).caused_by(cause),
    })?;
    let page = service.products(query.category.as_ref(), after, query.limit.get()).await?;
    let next_cursor = page.next.map(|next| service.cursors.seal(&scope, &next));
    let now = service.clock.now();
    let tag = page_tag(&page.items, service.period(&page.items, now), next_cursor.as_deref());
    if if_none_match.holds(tag) {
        return Ok((StatusCode::NOT_MODIFIED, [PUBLIC, (ETAG, tag.into())]).into_response());
    }
    let addresses = service.addresses(&page.items, now).await?;
    let body = |product| ProductBody::listed(product, addresses.as_ref());
    let items = page.items.into_iter().map(body).collect::<Result<_, _>>()?;
    Ok(([PUBLIC, (ETAG, tag.into())], Json(ProductList { items, next_cursor })).into_response())
}

/// One product
#[utoipa::path(
    get, path = "/api/products/{id}", operation_id = "read_product", tag = "products",
    params(
        ("id" = Uuid, Path, description = "The product's id"),
        ("if-none-match" = Option<String>, Header, description = "The version that the client has", example = "\"3\""),
    ),
    responses(
        (status = 200, description = "The product", body = ProductBody,
            headers(("etag" = String, description = "The product's version in quotes"))),
        (status = 304, description = "The client has the present version. Not answered for a product with pictures \
            whose addresses expire."),
    )
)]
async fn read(
    State(service): State<ProductService>,
    PathId(id): PathId,
    if_none_match: IfNoneMatch,
) -> Result<Response, Problem> {
    let product = service.product(id).await?;
    let tag = EntityTag(product.version);
    // The version says nothing about the addresses of pictures, which expire if they are signed.
    let lasts = service.period(slice::from_ref(&product), service.clock.now()).is_none();
    if lasts && if_none_match.holds(tag) {
        return Ok((StatusCode::NOT_MODIFIED, [PUBLIC, (ETAG, tag.into())]).into_response());
    }
    Ok(([PUBLIC], tagged(&service, product).await?).into_response())
}

/// Puts a new product on offer
///
/// Repeated under the same `Idempotency-Key`, the request makes no other product and is answered with the product as it is
/// by then and the header `Idempotency-Replayed: true`; with 404, if it is gone. Keys are remembered for a week.
#[utoipa::path(
    post, path = "/api/products", operation_id = "create_product", tag = "products", security(("bearer" = [])),
    params(("idempotency-key" = Option<String>, Header, description = "1 to 255 visible ASCII characters, new for each \
        product", min_length = 1, max_length = 255, example = "catalogue-2026-4711")),
    request_body = NewProductBody,
    responses(
        (status = 201, description = "The new product", body = ProductBody, headers(
            ("location" = String, description = "Path of the product"),
            ("etag" = String, description = "The product's version in quotes"),
            ("idempotency-replayed" = Option<String>, description = "`true` if the product had been made before"),
        )),
        (status = 422, description = "`idempotency-key-reused`: the key was used for another product"),
    )
)]
async fn create(
    State(service): State<ProductService>,
    Admin(caller): Admin,
    key: Option<IdempotencyKey>,
    Json(body): Json<NewProductBody>,
) -> Result<impl IntoResponse, Problem> {
    let once = key.map(|key| OnceKey::new(caller.user_id, &key));
    let Answered { product, replayed } = service.create(body.into(), once).await?;
    // A UUID is always a valid header value.
    let location =
        HeaderValue::try_from(format!("/api/products/{}", product.product_id)).map_err(Problem::internal)?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], Replayed(replayed), tagged(&service, product).await?))
}

/// Replaces everything but stock and pictures
///
/// A product that is so already stays at its version.
#[utoipa::path(
    put, path = "/api/products/{id}", operation_id = "replace_product", tag = "products", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The product's id"),
        ("if-match" = Option<String>, Header, description = "The version that is to be changed", example = "\"3\""),
    ),
    request_body = ReplacementBody,
    responses((status = 200, description = "The product as it is now", body = ProductBody,
        headers(("etag" = String, description = "The product's version in quotes"))))
)]
async fn replace(
    State(service): State<ProductService>,
    _: Admin,
    PathId(id): PathId,
    IfMatch(version): IfMatch,
    Json(body): Json<ReplacementBody>,
) -> Result<Tagged, Problem> {
    let product = service.change(id, body.into(), version).await?;
    Ok(tagged(&service, product).await?)
}

/// Changes the fields that are given
///
/// A product that has these values already stays at its version.
#[utoipa::path(
    patch, path = "/api/products/{id}", operation_id = "change_product", tag = "products", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The product's id"),
        ("if-match" = Option<String>, Header, description = "The version that is to be changed", example = "\"3\""),
    ),
    request_body = PatchBody,
    responses((status = 200, description = "The product as it is now", body = ProductBody,
        headers(("etag" = String, description = "The product's version in quotes"))))
)]
async fn patch(
    State(service): State<ProductService>,
    _: Admin,
    PathId(id): PathId,
    IfMatch(version): IfMatch,
    Json(body): Json<PatchBody>,
) -> Result<Tagged, Problem> {
    let change = ProductChange::from(body);
    if change.is_empty() {
        return Err(Problem::invalid_field("", "must have at least one field"));
    }
    let product = service.change(id, change, version).await?;
    Ok(tagged(&service, product).await?)
}

/// Takes a product off offer
#[utoipa::path(
    delete, path = "/api/products/{id}", operation_id = "delete_product", tag = "products", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The product's id"),
        ("if-match" = Option<String>, Header, description = "The version that is to be removed", example = "\"3\""),
    ),
    responses((status = 204, description = "The product is gone"))
)]
async fn remove(
    State(service): State<ProductService>,
    _: Admin,
    PathId(id): PathId,
    IfMatch(version): IfMatch,
) -> Result<StatusCode, Problem> {
    service.remove(id, version).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Adds units to the stock or takes some from it
///
/// Repeated under the same `Idempotency-Key`, the request changes nothing more and is answered with the product as it is
/// by then and the header `Idempotency-Replayed: true`. Keys are remembered for a week.
#[utoipa::path(
    post, path = "/api/products/{id}/stock", operation_id = "change_stock", tag = "products", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The product's id"),
        ("idempotency-key" = Option<String>, Header, description = "1 to 255 visible ASCII characters, new for each \
            change", min_length = 1, max_length = 255, example = "delivery-4711"),
        ("if-match" = Option<String>, Header, description = "The version that is to be changed", example = "\"3\""),
    ),
    request_body = StockBody,
    responses(
        (status = 200, description = "The product as it is now", body = ProductBody,
            headers(
                ("etag" = String, description = "The product's version in quotes"),
                ("idempotency-replayed" = Option<String>, description = "`true` if the stock had been changed before"),
            )),
        (status = 409, description = "`insufficient-stock`: fewer units are there than were to be taken. \
            `too-much-stock`: more would be there than a product can have."),
        (status = 412, description = "`stale-version`: the product is at another version"),
        (status = 422, description = "`idempotency-key-reused`: the key was used for another change"),
    )
)]
async fn change_stock(
    State(service): State<ProductService>,
    Admin(caller): Admin,
    PathId(product_id): PathId,
    key: Option<IdempotencyKey>,
    IfMatch(expected): IfMatch,
    Json(StockBody { change }): Json<StockBody>,
) -> Result<(Replayed, Tagged), Problem> {
    let once = key.map(|key| OnceKey::new(caller.user_id, &key));
    let order = StockOrder { product_id, change, expected, once };
    let Answered { product, replayed } = service.change_stock(&order).await?;
    Ok((Replayed(replayed), tagged(&service, product).await?))
}

/// The tag of a page: ids and versions stand for all that it says, but for when the addresses in it were signed.
fn page_tag(products: &[Product], period: Option<u64>, next_cursor: Option<&str>) -> EntityTag {
    let mut hash = Sha256::new();
    if let Some(period) = period {
        hash.update(period.to_be_bytes());
    }
    for product in products {
        hash.update(product.product_id.as_bytes());
        hash.update(product.version.to_be_bytes());
    }
    hash.update(next_cursor.unwrap_or_default());
    let digest: [u8; 32] = hash.finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    EntityTag(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

/// Which products, and which part of them.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = InputErrors, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only products of this category.
    #[deserr(default)]
    #[param(value_type = Option<String>, example = "Kitchen")]
    category: Option<Category>,
    /// Products per page.
    #[deserr(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    limit: PageLimit,
    /// Where the page starts: `next_cursor` of the page before, with the same category.
    #[deserr(default)]
    cursor: Option<String>,
}

impl ListQuery {
    /// What a cursor is good for: the list of this category, or of all products.
    fn scope(&self) -> String {
        match &self.category {
            Some(category) => format!("products/category={}", category.as_str()),
            None => "products".to_owned(),
        }
    }
}

/// A product as an answer, with its version as the entity tag.
struct Tagged(EntityTag, ProductBody);

async fn tagged(service: &ProductService, product: Product) -> Result<Tagged, ProductError> {
    let addresses = service.addresses(slice::from_ref(&product), service.clock.now()).await?;
    Ok(Tagged(EntityTag(product.version), ProductBody::new(product, addresses.as_ref())?))
}

impl IntoResponse for Tagged {
    fn into_response(self) -> Response {
        let Self(tag, body) = self;
        ([(ETAG, HeaderValue::from(tag))], Json(body)).into_response()
    }
}

impl From<ProductError> for Problem {
    fn from(error: ProductError) -> Self {
        match error {
            ProductError::NotFound => Self::not_found("There is no product with this id."),
            ProductError::StaleVersion => Self::precondition_failed(),
            ProductError::InsufficientStock { available } => {
                let detail = format!("Only {available} units are in stock.");
                Self::conflict("insufficient-stock", "Insufficient stock", detail)
            }
            ProductError::TooMuchStock => {
                let detail = format!("A product can't have more than {} units in stock.", Stock::MAX);
                Self::conflict("too-much-stock", "Too much stock", detail)
            }
            ProductError::KeyReused => Self::idempotency_key_reused(),
            ProductError::TooManyImages => {
                let detail = format!("A product can't have more than {} images.", Product::MAX_IMAGES);
                Self::conflict("too-many-images", "Too many images", detail)
            }
            ProductError::NoSuchImage => Self::not_found("The product has no image with this id."),
            ProductError::Uploads(error) => Self::failure(error.is_retryable(), error),
            ProductError::Store(error) => Self::failure(error.is_retryable(), error),
            ProductError::Read(error) => Self::failure(error.is_retryable(), error),
        }
    }
}
