use access_token::Caller;
use axum::extract::State;
use http::StatusCode;
use problem_details::{Json, Problem};

use super::bodies::{RefreshTokenBody, TokenAnswer};
use crate::UserService;

/// Exchange a refresh token for new tokens
///
/// Each refresh token is good for one exchange; the next one comes with the answer. A token that is presented again ends
/// its session, as somebody else may have the next one; within ten seconds of its exchange it is merely refused, because
/// then it is most likely the same client asking twice. The access token says the role that the user has now.
#[utoipa::path(
    post, path = "/api/users/token/refresh", tag = "users",
    request_body = RefreshTokenBody,
    responses(
        (status = 200, description = "Tokens to use from now on", body = TokenAnswer),
        (status = 401, description = "`invalid-refresh-token`: the token is unknown or was used before, or its session is \
            over; log in again. `refresh-token-superseded`: the token was exchanged a moment ago; use what was answered \
            then"),
    ),
)]
pub(super) async fn refresh(
    State(service): State<UserService>,
    Json(RefreshTokenBody { refresh_token }): Json<RefreshTokenBody>,
) -> Result<Json<TokenAnswer>, Problem> {
    Ok(Json(service.sessions.refresh(&refresh_token).await?.into()))
}

/// Log out
///
/// Ends the session that the refresh token belongs to. Access tokens stay valid until they expire.
#[utoipa::path(
    post, path = "/api/users/logout", tag = "users",
    request_body = RefreshTokenBody,
    responses((status = 204, description = "The session is over, or there was none")),
)]
pub(super) async fn log_out(
    State(service): State<UserService>,
    Json(RefreshTokenBody { refresh_token }): Json<RefreshTokenBody>,
) -> Result<StatusCode, Problem> {
    service.sessions.end(&refresh_token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Log out everywhere
///
/// Ends all sessions of the user. Access tokens stay valid until they expire.
#[utoipa::path(
    post, path = "/api/users/logout-all", tag = "own account", security(("bearer" = [])),
    responses((status = 204, description = "All sessions are over")),
)]
pub(super) async fn log_out_everywhere(
    State(service): State<UserService>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    service.sessions.end_all(caller.user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
