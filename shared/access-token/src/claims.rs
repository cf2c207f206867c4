use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Who signs, and for whom a token is.
pub(crate) const ISSUER: &str = "user-service";
pub(crate) const AUDIENCE: &str = "shop";

/// Seconds from a token's issue to its end.
pub(crate) const LIFETIME: u32 = 15 * 60;

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Buys for oneself.
    Customer,
    /// Runs the shop.
    Admin,
}

/// The text names no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be customer or admin")]
pub struct UnknownRole;

impl Role {
    /// The role's name in tokens, rows and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        [Self::Customer, Self::Admin].into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

impl TryFrom<String> for Role {
    type Error = UnknownRole;

    fn try_from(text: String) -> Result<Self, UnknownRole> {
        text.parse()
    }
}

/// The content of an access token. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user's id.
    pub sub: Uuid,
    /// What the user may do.
    pub role: Role,
    /// Who issued the token.
    pub iss: String,
    /// For whom the token is.
    pub aud: String,
    /// When it was issued.
    pub iat: u64,
    /// From when on it is valid.
    pub nbf: u64,
    /// Until when it is valid.
    pub exp: u64,
    /// The token's own id.
    pub jti: Uuid,
}

impl Claims {
    /// What a token for this user says that is issued at this time.
    pub fn new(user_id: Uuid, role: Role, issued_at: u64) -> Self {
        Self {
            sub: user_id,
            role,
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            iat: issued_at,
            nbf: issued_at,
            exp: issued_at + u64::from(LIFETIME),
            jti: Uuid::now_v7(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_one_name_everywhere() {
        for role in [Role::Customer, Role::Admin] {
            assert_eq!(serde_json::to_value(role).unwrap(), role.to_string());
            assert_eq!(Role::try_from(role.to_string()), Ok(role));
        }
        for text in ["", "Admin", "root", "admin "] {
            assert_eq!(text.parse::<Role>(), Err(UnknownRole), "{text:?}");
        }
    }
}
