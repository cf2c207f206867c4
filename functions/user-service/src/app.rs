/// How long somebody stays logged in.
mod sessions;

use access_token::SigningError;
use domain_events::Clock;
use dynamodb_store::StoreError;
use uuid::Uuid;

pub(crate) use self::sessions::{Sessions, Tokens};
use crate::{
    domain::{Account, Change, Email, Name, User},
    password::{HashingError, Password, PasswordAttempt, PasswordHash},
    repository::{Users, WriteError},
};

/// How often a change is decided anew because the account changed between reading and writing.
const TRIES: usize = 5;

/// What can be done with accounts.
#[derive(Debug, Clone)]
pub(crate) struct Accounts {
    users: Users,
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
}

impl Accounts {
    pub(crate) fn new(users: Users, sessions: Sessions, clock: Clock) -> Self {
        Self { users, sessions, clock }
    }

    /// Opens an account for a customer.
    pub(crate) async fn register(
        &self,
        email: Email,
        name: Name,
        password: &Password,
    ) -> Result<User, AccountError> {
        let password_hash = PasswordHash::of(password).await?;
        let account = Account::new(Uuid::now_v7(), email, name, password_hash, self.clock.now());
        self.users.insert(&account).await?;
        Ok(account.user)
    }

    /// Opens a session for whoever knows the password of the account with this address.
    ///
    /// An address that is unknown, or none at all, costs the same reads and the same hashing as a wrong password:
    /// neither answer nor time tell who is a customer.
    pub(crate) async fn log_in(
        &self,
        email: String,
        attempt: &PasswordAttempt,
    ) -> Result<Tokens, AccountError> {
        let owner = match Email::try_from(email) {
            Ok(email) => self.users.owner_of(&email).await?,
            Err(_) => None,
        };
        let account = self.users.get(owner.unwrap_or_default()).await?;
        let hash =
            account.as_ref().map_or_else(PasswordHash::of_nobody, |account| account.password_hash.clone());
        match (hash.matches(attempt).await?, account) {
            (true, Some(account)) => self.sessions.open(&account).await,
            _ => Err(AccountError::InvalidCredentials),
        }
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
    /// are given.
    pub(crate) async fn change(
        &self,
        user_id: Uuid,
        version: Option<u64>,
        proof: Option<&PasswordAttempt>,
        change: &Change,
    ) -> Result<User, AccountError> {
        for _ in 0..TRIES {
            let before = self.get(user_id, version).await?;
            if let Some(attempt) = proof
                && !before.password_hash.matches(attempt).await?
            {
                return Err(AccountError::WrongPassword);
            }
            let after = before.changed(change.clone(), self.clock.now());
            match self.users.replace(&before, &after).await {
                Err(WriteError::Changed) => {}
                result => return Ok(result.map(|()| after.user)?),
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
        let change = Change::Password(PasswordHash::of(new).await?);
        self.change(user_id, version, Some(current), &change).await
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
