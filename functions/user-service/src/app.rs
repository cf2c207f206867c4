/// The pictures of users.
mod avatars;
/// Who knows a password, and how often somebody may try to.
mod login;
/// How long somebody stays logged in.
mod sessions;

use std::time::Duration;

use access_token::SigningError;
use domain_events::Clock;
use dynamodb_store::StoreError;
use image_uploads::UploadError;
use uuid::Uuid;

pub(crate) use self::{
    avatars::Avatars,
    sessions::{Sessions, Tokens},
};
use crate::{
    domain::{Account, Change, Email, Name, User},
    password::{HashingError, Password, PasswordAttempt, PasswordHash},
    repository::{Throttles, Users, WriteError},
};

/// How often a change is decided anew because the account changed between reading and writing.
const TRIES: usize = 5;

/// What can be done with accounts.
#[derive(Debug, Clone)]
pub(crate) struct Accounts {
    users: Users,
    throttles: Throttles,
    sessions: Sessions,
    clock: Clock,
}

/// Why something could not be done with an account.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    /// There is no such account, or no longer.
    #[error("there is no such account")]
    Unknown,
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// E-mail address and password do not belong together. Which of them is wrong is not told.
    #[error("wrong e-mail address or password")]
    InvalidCredentials,
    /// The present password was asked for and not given.
    #[error("wrong password")]
    WrongPassword,
    /// The refresh token is nobody's, or its session is over.
    #[error("the refresh token is not valid")]
    InvalidRefreshToken,
    /// The refresh token was used a moment ago: whoever did it has the next one.
    #[error("the refresh token was just used")]
    RefreshTokenSuperseded,
    /// Too many wrong passwords were given; the next one may be tried after this time.
    #[error("too many attempts")]
    TooManyAttempts(Duration),
    /// The new password is the person's own name or address.
    #[error("the password is one that others know")]
    KnownPassword,
    /// The account is not at the version that the caller knows.
    #[error("the account is at another version")]
    Stale,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Hashing(#[from] HashingError),
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error("there are no random numbers to be had")]
    Random(#[from] getrandom::Error),
    #[error(transparent)]
    Upload(#[from] UploadError),
}

impl Accounts {
    pub(crate) fn new(users: Users, throttles: Throttles, sessions: Sessions, clock: Clock) -> Self {
        Self { users, throttles, sessions, clock }
    }

    /// Opens an account for a customer.
    pub(crate) async fn register(
        &self,
        email: Email,
        name: Name,
        password: &Password,
    ) -> Result<User, AccountError> {
        if password.is_one_of([email.as_str(), name.as_str()]) {
            return Err(AccountError::KnownPassword);
        }
        let password_hash = PasswordHash::of(password).await?;
        let account = Account::new(Uuid::now_v7(), email, name, password_hash, self.clock.now());
        self.users.insert(&account).await?;
        Ok(account.user)
    }

    /// Reads an account; `version` is the one that the caller expects, if any.
    pub(crate) async fn get(&self, user_id: Uuid, version: Option<u64>) -> Result<Account, AccountError> {
        let account = self.users.get(user_id).await?.ok_or(AccountError::Unknown)?;
        match version {
            Some(version) if version != account.user.version => Err(AccountError::Stale),
            _ => Ok(account),
        }
    }

    /// Changes an account, provided that it is at `version` and that the `proof` is its password, as far as these
    /// are given. An account that is as it shall be already stays at its version.
    pub(crate) async fn change(
        &self,
        user_id: Uuid,
        version: Option<u64>,
        proof: Option<&PasswordAttempt>,
        change: &Change,
    ) -> Result<Account, AccountError> {
        for _ in 0..TRIES {
            let before = self.get(user_id, version).await?;
            let after = before.changed(change.clone(), self.clock.now());
            if let Some(attempt) = proof {
                self.prove(&before, attempt).await?;
            }
            if after == before {
                return Ok(before);
            }
            match self.users.replace(&before, &after).await {
                Err(WriteError::Changed) => {}
                result => return Ok(result.map(|()| after)?),
            }
        }
        Err(ever_changing())
    }

    /// Sets another password, provided that the `current` one is known.
    pub(crate) async fn change_password(
        &self,
        user_id: Uuid,
        version: Option<u64>,
        current: &PasswordAttempt,
        new: &Password,
    ) -> Result<User, AccountError> {
        for _ in 0..TRIES {
            let before = self.get(user_id, version).await?;
            let User { email, name, .. } = &before.user;
            if new.is_one_of([email.as_str(), name.as_str()]) {
                return Err(AccountError::KnownPassword);
            }
            self.prove(&before, current).await?;
            let change = Change::Password(PasswordHash::of(new).await?);
            let after = before.changed(change, self.clock.now());
            match self.users.replace(&before, &after).await {
                Err(WriteError::Changed) => {}
                result => return Ok(result.map(|()| after.user)?),
            }
        }
        Err(ever_changing())
    }

    /// Closes an account, provided that it is at `version` if that is given.
    pub(crate) async fn delete(&self, user_id: Uuid, version: Option<u64>) -> Result<(), AccountError> {
        for _ in 0..TRIES {
            let account = self.get(user_id, version).await?;
            match self.users.remove(&account).await {
                Err(WriteError::Changed) => {}
                result => return Ok(result?),
            }
        }
        Err(ever_changing())
    }
}

fn ever_changing() -> AccountError {
    StoreError::Conflict("the account was changed at every try".into()).into()
}

impl From<WriteError> for AccountError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::EmailTaken => Self::EmailTaken,
            WriteError::Changed => Self::Stale,
            WriteError::Store(error) => error.into(),
        }
    }
}
