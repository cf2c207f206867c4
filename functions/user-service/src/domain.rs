/// The pictures of users.
mod avatar;
/// Logins that last, and what ends them.
mod session;
/// How often somebody may try to log in.
mod throttle;

use access_token::Role;
use deserr::Deserr;
use domain_events::Timestamp;
use problem_details::{InputErrors, InvalidValue};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

pub(crate) use self::{
    avatar::{Avatar, Avatars},
    session::{Presented, Session, SessionId, Sessions},
    throttle::{Counting, Failures, Limit, OF_ACCOUNT, OF_SOURCE, TooManyAttempts},
};
use crate::password::PasswordHash;

/// A user, as far as the user and admins may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) user_id: Uuid,
    pub(crate) email: Email,
    pub(crate) name: Name,
    pub(crate) role: Role,
    /// Grows by one with every change.
    pub(crate) version: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// A user with what proves to the shop who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: User,
    pub(crate) password_hash: PasswordHash,
    /// How often the password was changed. Sessions that were opened with an earlier one are over.
    pub(crate) credentials: u64,
    pub(crate) avatars: Avatars,
}

/// What can change about an account.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// The given parts of the profile.
    Profile {
        name: Option<Name>,
        email: Option<Email>,
    },
    Password(PasswordHash),
    Role(Role),
}

impl Account {
    /// A new account. Nobody registers as an admin: that role is given by others.
    pub(crate) fn new(
        user_id: Uuid,
        email: Email,
        name: Name,
        password_hash: PasswordHash,
        now: Timestamp,
    ) -> Self {
        let (version, created_at, updated_at) = (1, now, now);
        let user = User { user_id, email, name, role: Role::Customer, version, created_at, updated_at };
        Self { user, password_hash, credentials: 0, avatars: Avatars::default() }
    }

    /// The account after a change, at its next version; as it is, if that is what it shall be.
    pub(crate) fn changed(&self, change: Change, now: Timestamp) -> Self {
        let mut account = self.clone();
        match change {
            Change::Profile { name, email } => {
                account.user.name = name.unwrap_or(account.user.name);
                account.user.email = email.unwrap_or(account.user.email);
            }
            Change::Password(password_hash) => {
                account.password_hash = password_hash;
                account.credentials += 1;
            }
            Change::Role(role) => account.user.role = role,
        }
        if account != *self {
            account.user.version += 1;
            account.user.updated_at = now;
        }
        account
    }
}

/// An e-mail address in the one form in which it is compared: composed (NFC), in lower case, without white space
/// around it.
///
/// The check is for slips of the pen. Whether an address exists only a message to it could tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Deserr)]
#[serde(transparent)]
#[deserr(error = InputErrors, try_from(String) = Email::try_from -> InvalidValue)]
pub(crate) struct Email(String);

impl Email {
    /// The longest address that mail can carry (RFC 5321), in bytes.
    pub(crate) const MAX_BYTES: usize = 254;
    const MAX_LOCAL_BYTES: usize = 64;

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Email {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        // Lower case can fall apart into base and mark, so that it is composed once more.
        let text: String = text.trim().nfc().collect::<String>().to_lowercase().nfc().collect();
        let valid = text.len() <= Self::MAX_BYTES
            && !text.contains(|c: char| c.is_whitespace() || c.is_control())
            && text.split_once('@').is_some_and(|(local, domain)| {
                (1..=Self::MAX_LOCAL_BYTES).contains(&local.len())
                    && domain.contains('.')
                    && !domain.contains('@')
                    && domain.split('.').all(|label| !label.is_empty())
            });
        if valid { Ok(Self(text)) } else { Err(InvalidValue::new("must be an e-mail address")) }
    }
}

/// What a person wants to be called, without white space around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Deserr)]
#[serde(transparent)]
#[deserr(error = InputErrors, try_from(String) = Name::try_from -> InvalidValue)]
pub(crate) struct Name(String);

impl Name {
    pub(crate) const MAX_CHARS: usize = 100;

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        let text = text.trim();
        if text.chars().any(char::is_control) {
            return Err(InvalidValue::new("must not have control characters"));
        }
        if !(1..=Self::MAX_CHARS).contains(&text.chars().count()) {
            return Err(InvalidValue::new("must have 1 to 100 characters"));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn email(text: &str) -> Result<Email, InvalidValue> {
        Email::try_from(text.to_owned())
    }

    fn account() -> Account {
        let name = Name::try_from("Ada".to_owned()).unwrap();
        let now = Timestamp::from_millis(0);
        Account::new(Uuid::nil(), email("ada@example.com").unwrap(), name, PasswordHash::of_nobody(), now)
    }

    #[test]
    fn one_address_has_one_form() {
        for same in ["Ada.Lovelace@Example.COM", " ada.lovelace@example.com\n", "ADA.LOVELACE@EXAMPLE.COM"] {
            assert_eq!(email(same).unwrap().as_str(), "ada.lovelace@example.com");
        }
        assert_eq!(email("zoe\u{308}@example.com"), email("ZO\u{cb}@example.com"));
    }

    #[test]
    fn what_can_be_no_address_is_refused() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long = format!("a@{}.com", "b".repeat(250));
        for wrong in [
            "",
            "@",
            "a@",
            "@b.com",
            "a",
            "a@b",
            "a@b@c.com",
            "a b@c.com",
            "a@b .com",
            "a\u{0}@b.com",
            "a@.com",
            "a@b.",
            "a@b..com",
            &long_local,
            &long,
        ] {
            assert!(email(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn the_form_of_an_address_is_final(text in "\\PC{1,20}@\\PC{1,20}\\.\\PC{1,10}") {
            if let Ok(first) = email(&text) {
                prop_assert_eq!(email(first.as_str()), Ok(first.clone()));
            }
        }
    }

    #[test]
    fn a_name_is_visible_text_of_bounded_length() {
        assert_eq!(Name::try_from("  Ada  ".to_owned()).unwrap().0, "Ada");
        assert!(Name::try_from("ä".repeat(100)).is_ok());
        for wrong in ["", "   ", "a\nb", "a\u{7f}b", &"ä".repeat(101)] {
            assert!(Name::try_from(wrong.to_owned()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_change_touches_what_it_names_and_moves_the_version() {
        let (before, now) = (account(), Timestamp::from_millis(5));
        let renamed = Name::try_from("Countess".to_owned()).unwrap();
        let after = before.changed(Change::Profile { name: Some(renamed.clone()), email: None }, now);
        let user = User { name: renamed, version: 2, updated_at: now, ..before.user.clone() };
        assert_eq!(after, Account { user, ..before.clone() });

        let after = before.changed(Change::Role(Role::Admin), now);
        assert_eq!((before.user.role, after.user.role), (Role::Customer, Role::Admin));
    }
}
