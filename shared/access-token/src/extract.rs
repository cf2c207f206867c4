use std::borrow::Cow;

use axum::extract::{FromRef, FromRequestParts};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
    request::Parts,
};
use problem_details::Problem;
use uuid::Uuid;

use crate::{AccessTokens, Role, TokenError};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Lets anybody in who bears a valid access token, and says who it is. Everybody else gets 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user's id.
    pub user_id: Uuid,
    /// What the user was allowed to do when the token was issued.
    pub role: Role,
}

/// Lets admins in; other users get 403.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admin(pub Caller);

/// Lets admins in, and whoever has the API key: with it the first admin is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKeyOrAdmin {
    /// The request has the API key.
    ApiKey,
    /// The request has an admin's token.
    Admin(Caller),
}

impl Caller {
    /// Whether the user runs the shop.
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    AccessTokens: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Some(token) = bearer_token(&parts.headers) else {
            return Err(unauthorized("This needs an access token: Authorization: Bearer <token>.", "Bearer"));
        };
        Ok(AccessTokens::from_ref(state).verify(token).await?)
    }
}

impl<S> FromRequestParts<S> for Admin
where
    S: Send + Sync,
    AccessTokens: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        if caller.is_admin() { Ok(Self(caller)) } else { Err(Problem::forbidden("Only admins may do this.")) }
    }
}

impl<S> FromRequestParts<S> for ApiKeyOrAdmin
where
    S: Send + Sync,
    AccessTokens: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Some(key) = parts.headers.get(API_KEY) else {
            let Admin(caller) = Admin::from_request_parts(parts, state).await?;
            return Ok(Self::Admin(caller));
        };
        // A wrong key is refused even beside a valid token: who sends both believes in the key.
        let valid = key.to_str().is_ok_and(|key| AccessTokens::from_ref(state).api_key_matches(key));
        if valid { Ok(Self::ApiKey) } else { Err(unauthorized("The API key is not valid.", "Bearer")) }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        if error == TokenError::Undecided {
            return Problem::unavailable(10).caused_by(error);
        }
        unauthorized(error.to_string(), r#"Bearer error="invalid_token""#)
    }
}

fn unauthorized(detail: impl Into<Cow<'static, str>>, challenge: &'static str) -> Problem {
    Problem::unauthorized(detail).with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

/// The token of `Authorization: Bearer <token>`; other schemes are not ours.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
