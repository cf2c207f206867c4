use access_token::Caller;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header::LOCATION};
use image_uploads::{UploadAnswer, UploadRequest, UploadStatus};
use problem_details::{Json, PathId, Problem};

use super::own;
use crate::UserService;

/// Upload an avatar
///
/// Answers where to put the file, with which headers. A moment after it has arrived, the picture is the account's avatar,
/// or the upload says why not. Of several uploads the one that was asked for last is shown.
#[utoipa::path(
    post, path = "/api/users/me/avatar", tag = "own account", security(("bearer" = [])),
    request_body = UploadRequest,
    responses((status = 201, description = "The file is awaited", body = UploadAnswer, headers(
        ("location" = String, description = "Where to see what becomes of the upload"),
    ))),
)]
pub(super) async fn ask_for_avatar(
    State(service): State<UserService>,
    caller: Caller,
    Json(request): Json<UploadRequest>,
) -> Result<Response, Problem> {
    let upload = service.avatars.ask(caller.user_id, &request).await.map_err(own)?;
    let location = format!("/api/users/me/avatar/uploads/{}", upload.upload_id);
    let location = HeaderValue::try_from(location).map_err(Problem::internal)?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(upload)).into_response())
}

/// See what has become of an upload
///
/// It can be seen for 30 days.
#[utoipa::path(
    get, path = "/api/users/me/avatar/uploads/{id}", tag = "own account", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The upload's id")),
    responses(
        (status = 200, description = "The upload", body = UploadStatus),
        (status = 404, description = "`not-found`: there is no such upload of the caller"),
    ),
)]
pub(super) async fn avatar_upload(
    State(service): State<UserService>,
    caller: Caller,
    PathId(upload_id): PathId,
) -> Result<Json<UploadStatus>, Problem> {
    let upload = service.avatars.upload(caller.user_id, upload_id).await?;
    let upload = upload.ok_or_else(|| Problem::not_found("There is no such upload."))?;
    Ok(Json(UploadStatus::from(&upload)))
}

/// Delete one's own avatar
///
/// Uploads that have not become the avatar yet won't do so any more.
#[utoipa::path(
    delete, path = "/api/users/me/avatar", tag = "own account", security(("bearer" = [])),
    responses((status = 204, description = "There is no avatar any more, or there was none")),
)]
pub(super) async fn delete_avatar(
    State(service): State<UserService>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    service.avatars.delete(caller.user_id).await.map_err(own)?;
    Ok(StatusCode::NO_CONTENT)
}
