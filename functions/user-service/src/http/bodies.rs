use std::borrow::Cow;

use access_token::Role;
use axum::response::{IntoResponse, Response};
use deserr::Deserr;
use domain_events::Timestamp;
use http::{HeaderValue, header::ETAG};
use image_uploads::ImageAnswer;
use problem_details::{EntityTag, FieldError, InputErrors, InvalidValue, Json, PageLimit};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    app::Tokens,
    domain::{Avatar, Change, Email, Name, User},
    password::{Password, PasswordAttempt},
};

/// A new customer.
#[derive(Deserr, ToSchema)]
#[deserr(error = InputErrors, deny_unknown_fields)]
pub(super) struct Registration {
    /// Each address can have one account; case does not matter.
    #[schema(value_type = String, format = Email, max_length = 254, example = "ada@example.com")]
    pub(super) email: Email,
    #[schema(value_type = String, format = Password, min_length = 12, max_length = 128, example = "plums and pears")]
    pub(super) password: Password,
    /// What to call the person.
    #[schema(value_type = String, min_length = 1, max_length = 100, example = "Ada Lovelace")]
    pub(super) name: Name,
}

/// Who somebody claims to be. Texts that can't be an address or a password are merely wrong.
#[derive(Deserr, ToSchema)]
#[deserr(error = InputErrors, deny_unknown_fields)]
pub(super) struct Credentials {
    #[schema(format = Email, example = "ada@example.com")]
    pub(super) email: String,
    #[schema(value_type = String, format = Password, example = "plums and pears")]
    pub(super) password: PasswordAttempt,
}

/// The refresh token of a session. Texts that can't be one are merely unknown.
#[derive(Deserr, ToSchema)]
#[deserr(error = InputErrors, deny_unknown_fields)]
#[schema(as = RefreshToken)]
pub(super) struct RefreshTokenBody {
    #[schema(format = Password)]
    pub(super) refresh_token: String,
}

/// What to change about an account.
#[derive(Deserr, ToSchema)]
#[deserr(error = InputErrors, deny_unknown_fields)]
pub(super) struct ProfileChange {
    #[deserr(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100, example = "Ada King")]
    name: Option<Name>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, format = Email, max_length = 254, example = "ada.king@example.com")]
    email: Option<Email>,
    /// Needed with `email`.
    #[deserr(default)]
    #[schema(value_type = Option<String>, format = Password, example = "plums and pears")]
    current_password: Option<PasswordAttempt>,
}

/// The password so far and the next one.
#[derive(Deserr, ToSchema)]
#[deserr(error = InputErrors, deny_unknown_fields)]
pub(super) struct PasswordChange {
    #[schema(value_type = String, format = Password, example = "plums and pears")]
    pub(super) current_password: PasswordAttempt,
    #[schema(value_type = String, format = Password, min_length = 12, max_length = 128, example = "pears and plums")]
    pub(super) new_password: Password,
}

/// The role to give.
#[derive(Deserr, ToSchema)]
#[deserr(error = InputErrors, deny_unknown_fields)]
pub(super) struct RoleChange {
    #[deserr(try_from(String) = parse_role -> InvalidValue)]
    #[schema(example = "admin")]
    pub(super) role: Role,
}

/// Which users are listed.
#[derive(Deserr, IntoParams)]
#[deserr(error = InputErrors, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only the user with this e-mail address.
    #[deserr(default)]
    #[param(value_type = Option<String>, example = "ada@example.com")]
    pub(super) email: Option<Email>,
    /// The most users to answer.
    #[deserr(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    pub(super) limit: PageLimit,
    /// `next_cursor` of the page before.
    #[deserr(default)]
    pub(super) cursor: Option<String>,
}

/// A user of the shop.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(super) struct UserAnswer {
    user_id: Uuid,
    #[schema(value_type = String, format = Email, example = "ada@example.com")]
    email: Email,
    #[schema(value_type = String, example = "Ada Lovelace")]
    name: Name,
    role: Role,
    /// Grows by one with every change; also in the `etag` header.
    #[schema(example = 1)]
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// The user's picture, if there is one. Lists leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar: Option<AvatarAnswer>,
}

/// The picture of a user.
#[derive(Serialize, ToSchema)]
#[schema(as = Avatar)]
struct AvatarAnswer {
    /// The upload that it came by.
    upload_id: Uuid,
    #[serde(flatten)]
    image: ImageAnswer,
}

/// A page of users.
#[derive(Serialize, ToSchema)]
pub(super) struct UserList {
    pub(super) items: Vec<UserAnswer>,
    /// Asks for the next page; null on the last one.
    pub(super) next_cursor: Option<String>,
}

/// An access token, and what to get the next one with.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenAnswer {
    /// For the header `authorization: Bearer <token>`.
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until the token expires.
    #[schema(example = 900)]
    expires_in: u32,
    /// For one exchange at `/api/users/token/refresh`, and for `/api/users/logout`.
    refresh_token: String,
    /// Seconds until the session ends, unless the refresh token is used before: at most 30 days, and no more than 90 days
    /// after the login.
    #[schema(example = 2_592_000)]
    refresh_expires_in: i64,
}

impl ProfileChange {
    /// The change with its proof, if the fields fit together.
    pub(super) fn checked(self) -> Result<(Change, Option<PasswordAttempt>), InputErrors> {
        let Self { name, email, current_password } = self;
        let refused = |pointer: &str, detail| {
            let pointer = pointer.to_owned();
            Err(InputErrors(vec![FieldError { pointer, detail: Cow::Borrowed(detail) }]))
        };
        if name.is_none() && email.is_none() {
            return refused("", "must have a name or an email to change");
        }
        if email.is_some() && current_password.is_none() {
            return refused("/current_password", "is required to change the e-mail address");
        }
        Ok((Change::Profile { name, email }, current_password))
    }
}

fn parse_role(text: String) -> Result<Role, InvalidValue> {
    Role::try_from(text).map_err(|error| InvalidValue(error.to_string().into()))
}

impl From<Tokens> for TokenAnswer {
    fn from(Tokens { access, refresh_token, refresh_expires_in }: Tokens) -> Self {
        let (access_token, expires_in) = (access.token, access.expires_in);
        Self { access_token, token_type: "Bearer", expires_in, refresh_token, refresh_expires_in }
    }
}

impl UserAnswer {
    /// The user with an avatar that is read at this address.
    pub(super) fn with_avatar(self, avatar: &Avatar, url: String) -> Self {
        let avatar =
            AvatarAnswer { upload_id: avatar.upload_id, image: ImageAnswer::new(&avatar.image, url) };
        Self { avatar: Some(avatar), ..self }
    }
}

impl From<User> for UserAnswer {
    fn from(user: User) -> Self {
        let User { user_id, email, name, role, version, created_at, updated_at } = user;
        Self { user_id, email, name, role, version, created_at, updated_at, avatar: None }
    }
}

impl IntoResponse for UserAnswer {
    fn into_response(self) -> Response {
        ([(ETAG, HeaderValue::from(EntityTag(self.version)))], Json(self)).into_response()
    }
}
