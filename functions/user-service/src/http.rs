//! Routes and bodies, and the one mapping from errors to problem details.

/// The pictures of users.
mod avatars;
/// What requests and answers say.
mod bodies;
/// What keeps a session going, and what ends it.
mod sessions;

use access_token::{Admin, ApiKeyOrAdmin, Caller, Role};
use axum::{
    extract::{FromRequestParts, State},
    response::{IntoResponse, Response},
};
use dynamodb_store::{CursorError, Page};
use http::{
    HeaderValue, StatusCode,
    header::{ETAG, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE},
    request::Parts,
};
use lambda_dispatch::ClientAddress;
use problem_details::{EntityTag, IfMatch, Json, PathId, Problem, Query};

use self::bodies::{
    Credentials, ListQuery, PasswordChange, ProfileChange, Registration, RoleChange, TokenAnswer, UserAnswer,
    UserList,
};
use crate::{
    UserService,
    app::AccountError,
    domain::{Account, Change},
};

lambda_dispatch::routes! {
    UserService:
    register, list_users, log_in,
    own_account, change_own_account, delete_own_account, change_own_password,
    read_user, change_role;
    avatars::{ask_for_avatar, avatar_upload, delete_avatar};
    sessions::{refresh, log_out, log_out_everywhere}
}

/// Register as a customer
#[utoipa::path(
    post, path = "/api/users", tag = "users",
    request_body = Registration,
    responses(
        (status = 201, description = "The new user", body = UserAnswer, headers(
            ("location" = String, description = "Address of the user"),
            ("etag" = String, description = "Version of the user"),
        )),
        (status = 409, description = "`email-taken`: another account has the e-mail address"),
    ),
)]
async fn register(
    State(service): State<UserService>,
    Json(Registration { email, password, name }): Json<Registration>,
) -> Result<Response, Problem> {
    let user = service.accounts.register(email, name, &password).await.map_err(|error| match error {
        AccountError::KnownPassword => known_password("/password"),
        error => error.into(),
    })?;
    let location =
        HeaderValue::try_from(format!("/api/users/{}", user.user_id)).map_err(Problem::internal)?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], UserAnswer::from(user)).into_response())
}

/// Log in with e-mail address and password
#[utoipa::path(
    post, path = "/api/users/login", tag = "users",
    request_body = Credentials,
    responses(
        (status = 200, description = "A token for the `authorization` header, and one to get the next with", body = TokenAnswer),
        (status = 401, description = "`invalid-credentials`: the two do not belong together"),
        (status = 429, description = "`too-many-attempts`: wrong passwords were given too often, for this e-mail address or \
            from where the request came from", headers(
            ("retry-after" = u64, description = "Seconds until the next attempt is let through"),
        )),
    ),
)]
async fn log_in(
    State(service): State<UserService>,
    client: Option<ClientAddress>,
    Json(Credentials { email, password }): Json<Credentials>,
) -> Result<Json<TokenAnswer>, Problem> {
    let source = client.map(|ClientAddress(address)| address);
    Ok(Json(service.accounts.log_in(email, source, &password).await?.into()))
}

/// Read one's own account
#[utoipa::path(
    get, path = "/api/users/me", tag = "own account", security(("bearer" = [])),
    responses((status = 200, description = "The account", body = UserAnswer, headers(
        ("etag" = String, description = "Version of the account"),
    ))),
)]
async fn own_account(State(service): State<UserService>, caller: Caller) -> Result<UserAnswer, Problem> {
    shown(&service, service.accounts.get(caller.user_id, None).await.map_err(own)?).await
}

/// Change one's own name or e-mail address
///
/// Fields that are absent stay as they are. Another e-mail address asks for the password, too.
#[utoipa::path(
    patch, path = "/api/users/me", tag = "own account", security(("bearer" = [])),
    params(("if-match" = Option<String>, Header, description = "Version that the change is meant for")),
    request_body = ProfileChange,
    responses(
        (status = 200, description = "The account as it is now", body = UserAnswer, headers(
            ("etag" = String, description = "Version of the account"),
        )),
        (status = 403, description = "`wrong-password`: `current_password` is not the account's"),
        (status = 409, description = "`email-taken`: another account has the e-mail address"),
        (status = 412, description = "`stale-version`: the account is at another version"),
        (status = 429, description = "`too-many-attempts`: wrong passwords were given too often", headers(
            ("retry-after" = u64, description = "Seconds until the next attempt is let through"),
        )),
    ),
)]
async fn change_own_account(
    State(service): State<UserService>,
    caller: Caller,
    IfMatch(version): IfMatch,
    Json(body): Json<ProfileChange>,
) -> Result<UserAnswer, Problem> {
    let (change, proof) = body.checked()?;
    let changed = service.accounts.change(caller.user_id, version, proof.as_ref(), &change).await;
    shown(&service, changed.map_err(own)?).await
}

/// Delete one's own account
///
/// Nothing personal is kept. The access token, too, is of no more use for the account.
#[utoipa::path(
    delete, path = "/api/users/me", tag = "own account", security(("bearer" = [])),
    params(("if-match" = Option<String>, Header, description = "Version that the deletion is meant for")),
    responses(
        (status = 204, description = "The account is deleted"),
        (status = 412, description = "`stale-version`: the account is at another version"),
    ),
)]
async fn delete_own_account(
    State(service): State<UserService>,
    caller: Caller,
    IfMatch(version): IfMatch,
) -> Result<StatusCode, Problem> {
    service.accounts.delete(caller.user_id, version).await.map_err(own)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Change one's own password
#[utoipa::path(
    put, path = "/api/users/me/password", tag = "own account", security(("bearer" = [])),
    params(("if-match" = Option<String>, Header, description = "Version that the change is meant for")),
    request_body = PasswordChange,
    responses(
        (status = 204, description = "The new password is valid from now on", headers(
            ("etag" = String, description = "Version of the account"),
        )),
        (status = 403, description = "`wrong-password`: `current_password` is not the account's"),
        (status = 412, description = "`stale-version`: the account is at another version"),
        (status = 429, description = "`too-many-attempts`: wrong passwords were given too often", headers(
            ("retry-after" = u64, description = "Seconds until the next attempt is let through"),
        )),
    ),
)]
async fn change_own_password(
    State(service): State<UserService>,
    caller: Caller,
    IfMatch(version): IfMatch,
    Json(PasswordChange { current_password, new_password }): Json<PasswordChange>,
) -> Result<impl IntoResponse, Problem> {
    let accounts = &service.accounts;
    let changed = accounts.change_password(caller.user_id, version, &current_password, &new_password).await;
    let tag = EntityTag(changed.map_err(own)?.version);
    Ok((StatusCode::NO_CONTENT, [(ETAG, HeaderValue::from(tag))]))
}

/// List users, newest first
#[utoipa::path(
    get, path = "/api/users", tag = "administration", security(("bearer" = [])),
    params(ListQuery),
    responses((status = 200, description = "A page of users", body = UserList)),
)]
async fn list_users(
    State(service): State<UserService>,
    _: PresentAdmin,
    Query(ListQuery { email, limit, cursor }): Query<ListQuery>,
) -> Result<Json<UserList>, Problem> {
    let scope = email.as_ref().map_or("users".to_owned(), |email| format!("users?email={}", email.as_str()));
    let after = service.cursors.open(&scope, cursor.as_deref()).await.map_err(|error| match error {
        CursorError::Invalid => Problem::invalid_field("/cursor", "must be the next_cursor of this list"),
        CursorError::Undecided(cause) => Problem::unavailable(10).caused_by(cause),
    })?;
    let Page { items, next } = match &email {
        Some(email) => {
            Page { items: service.users.with_email(email).await.map_err(AccountError::from)?, next: None }
        }
        None => service.users.newest(after, limit.get()).await.map_err(AccountError::from)?,
    };
    let next_cursor = next.map(|position| service.cursors.seal(&scope, &position));
    Ok(Json(UserList { items: items.into_iter().map(UserAnswer::from).collect(), next_cursor }))
}

/// Read any user
#[utoipa::path(
    get, path = "/api/users/{id}", tag = "administration", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The user's id")),
    responses(
        (status = 200, description = "The user", body = UserAnswer, headers(
            ("etag" = String, description = "Version of the user"),
        )),
        (status = 404, description = "`not-found`: there is no such user"),
    ),
)]
async fn read_user(
    State(service): State<UserService>,
    _: PresentAdmin,
    PathId(user_id): PathId,
) -> Result<UserAnswer, Problem> {
    shown(&service, service.accounts.get(user_id, None).await?).await
}

/// Make a user an admin, or a customer again
///
/// With the API key the first admin is made. Tokens say what the role was when they were issued.
#[utoipa::path(
    put, path = "/api/users/{id}/role", tag = "administration", security(("api_key" = []), ("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The user's id"),
        ("if-match" = Option<String>, Header, description = "Version that the change is meant for"),
    ),
    request_body = RoleChange,
    responses(
        (status = 200, description = "The user as it is now", body = UserAnswer, headers(
            ("etag" = String, description = "Version of the user"),
        )),
        (status = 404, description = "`not-found`: there is no such user"),
        (status = 412, description = "`stale-version`: the user is at another version"),
    ),
)]
async fn change_role(
    State(service): State<UserService>,
    _: ApiKeyOrPresentAdmin,
    PathId(user_id): PathId,
    IfMatch(version): IfMatch,
    Json(RoleChange { role }): Json<RoleChange>,
) -> Result<UserAnswer, Problem> {
    shown(&service, service.accounts.change(user_id, version, None, &Change::Role(role)).await?).await
}

/// A user with the avatar, which lists leave out.
async fn shown(service: &UserService, Account { user, avatars, .. }: Account) -> Result<UserAnswer, Problem> {
    let Some(avatar) = avatars.current else { return Ok(user.into()) };
    let url = service.avatars.address(user.user_id, &avatar).await.map_err(Problem::internal)?;
    Ok(UserAnswer::from(user).with_avatar(&avatar, url))
}

/// Lets in who is an admin at this moment. Elsewhere the token's word is enough until it expires; here roles are given,
/// and somebody who has lost the role or the account must not be able to give it back.
struct PresentAdmin;

impl FromRequestParts<UserService> for PresentAdmin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &UserService) -> Result<Self, Problem> {
        let Admin(caller) = Admin::from_request_parts(parts, service).await?;
        match service.accounts.get(caller.user_id, None).await {
            Ok(account) if account.user.role == Role::Admin => Ok(Self),
            Ok(_) => Err(Problem::forbidden("Only admins may do this.")),
            Err(error) => Err(own(error)),
        }
    }
}

/// Lets in who has the API key, and who is an admin at this moment.
struct ApiKeyOrPresentAdmin;

impl FromRequestParts<UserService> for ApiKeyOrPresentAdmin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &UserService) -> Result<Self, Problem> {
        if let ApiKeyOrAdmin::Admin(_) = ApiKeyOrAdmin::from_request_parts(parts, service).await? {
            PresentAdmin::from_request_parts(parts, service).await?;
        }
        Ok(Self)
    }
}

const INVALID_TOKEN: HeaderValue = HeaderValue::from_static(r#"Bearer error="invalid_token""#);

/// What an error about the caller's own account means: where that is gone, its token is worth nothing.
fn own(error: AccountError) -> Problem {
    match error {
        AccountError::Unknown => {
            Problem::unauthorized("The account of this access token does not exist any more.")
                .with_header(WWW_AUTHENTICATE, INVALID_TOKEN)
        }
        error => error.into(),
    }
}

fn refused_token(name: &'static str, title: &'static str, detail: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, name, title, detail).with_header(WWW_AUTHENTICATE, INVALID_TOKEN)
}

fn known_password(pointer: &str) -> Problem {
    Problem::invalid_field(pointer, "must not be the person's own name or e-mail address")
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Unknown => Self::not_found("There is no such user."),
            AccountError::EmailTaken => Self::conflict(
                "email-taken",
                "E-mail address taken",
                "Another account has this e-mail address.",
            ),
            AccountError::InvalidCredentials => {
                let detail = "E-mail address and password do not belong together.";
                Self::new(StatusCode::UNAUTHORIZED, "invalid-credentials", "Invalid credentials", detail)
                    .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            }
            AccountError::WrongPassword => {
                let detail = "The current password is not the one given.";
                Self::new(StatusCode::FORBIDDEN, "wrong-password", "Wrong password", detail)
            }
            AccountError::InvalidRefreshToken => refused_token(
                "invalid-refresh-token",
                "Invalid refresh token",
                "The refresh token is not valid, or no longer; log in again.",
            ),
            AccountError::RefreshTokenSuperseded => refused_token(
                "refresh-token-superseded",
                "Refresh token superseded",
                "The refresh token was exchanged a moment ago; use the tokens that were answered then.",
            ),
            AccountError::TooManyAttempts(wait) => {
                let detail = "Wrong passwords were given too often; see retry-after.";
                let seconds = wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX);
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-attempts", "Too many attempts", detail)
                    .with_header(RETRY_AFTER, HeaderValue::from(seconds))
            }
            AccountError::KnownPassword => known_password("/new_password"),
            AccountError::Stale => Self::precondition_failed(),
            AccountError::Store(error) => Self::failure(error.is_retryable(), error),
            AccountError::Upload(error) => Self::failure(error.is_retryable(), error),
            error @ (AccountError::Hashing(_) | AccountError::Signing(_) | AccountError::Random(_)) => {
                Self::internal(error)
            }
        }
    }
}
