use access_token::Admin;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderValue, StatusCode, header::LOCATION};
use image_uploads::{FileId, UploadAnswer, UploadRequest, UploadStatus};
use problem_details::{IfMatch, Json, PathId, PathIds, Problem};

use crate::ProductService;

/// Lets an image of a product be uploaded
///
/// The answer says where to put the file. Once it has arrived and was looked at, it is shown behind the images that were
/// asked for before.
#[utoipa::path(
    post, path = "/api/products/{id}/images", operation_id = "upload_product_image", tag = "products",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The product's id")),
    request_body = UploadRequest,
    responses(
        (status = 201, description = "The upload that is awaited", body = UploadAnswer,
            headers(("location" = String, description = "Path of what becomes of the upload"))),
        (status = 409, description = "`too-many-images`: the product has ten of them"),
    )
)]
pub(super) async fn ask_for_image(
    State(service): State<ProductService>,
    _: Admin,
    PathId(id): PathId,
    Json(request): Json<UploadRequest>,
) -> Result<impl IntoResponse, Problem> {
    let upload = service.ask_for_image(id, &request).await?;
    let location = format!("/api/products/{id}/images/{}/upload", upload.upload_id);
    // UUIDs are always valid in a header.
    let location = HeaderValue::try_from(location).map_err(Problem::internal)?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(upload)))
}

/// What has become of the upload of an image
#[utoipa::path(
    get, path = "/api/products/{id}/images/{image_id}/upload", operation_id = "read_product_image_upload",
    tag = "products", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The product's id"),
        ("image_id" = Uuid, Path, description = "The upload's id, which becomes the image's"),
    ),
    responses((status = 200, description = "Where the upload stands; for 30 days", body = UploadStatus))
)]
pub(super) async fn image_upload(
    State(service): State<ProductService>,
    _: Admin,
    PathIds(owner, upload_id): PathIds,
) -> Result<Json<UploadStatus>, Problem> {
    Ok(Json(service.image_upload(FileId { owner, upload_id }).await?))
}

/// Takes an image from a product
///
/// An image that has not arrived yet is not waited for any more.
#[utoipa::path(
    delete, path = "/api/products/{id}/images/{image_id}", operation_id = "delete_product_image", tag = "products",
    security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The product's id"),
        ("image_id" = Uuid, Path, description = "The image's id"),
        ("if-match" = Option<String>, Header, description = "The product's version that is to be changed", example = "\"3\""),
    ),
    responses((status = 204, description = "The image is gone"))
)]
pub(super) async fn remove_image(
    State(service): State<ProductService>,
    _: Admin,
    PathIds(owner, upload_id): PathIds,
    IfMatch(version): IfMatch,
) -> Result<StatusCode, Problem> {
    service.remove_image(FileId { owner, upload_id }, version).await?;
    Ok(StatusCode::NO_CONTENT)
}
