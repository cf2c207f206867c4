/// What a change of avatars writes.
mod avatars;
/// The sessions of each user.
mod sessions;
/// Attempts to log in, counted.
mod throttles;

use access_token::Role;
use domain_events::Timestamp;
use dynamodb_store::{
    Consistency, Feed, FeedEntry, Key, Page, Position, StoreError, Table, Transaction, TransactionError,
    Update, from_item,
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use telemetry::Trace;
use uuid::Uuid;

pub(crate) use self::{
    avatars::AvatarError,
    sessions::Outcome,
    throttles::{Beginning, CountError, Throttle, Throttles},
};
use crate::{
    domain::{Account, Avatars, Email, Name, User},
    password::PasswordHash,
};

/// The users' table. It holds a row per user, one per e-mail address that makes the address unique, and one with the
/// sessions of each user.
#[derive(Debug, Clone)]
pub(crate) struct Users {
    table: Table,
    feed: Feed,
}

/// Why a write did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// Another account has the address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// The account is no longer as it was when it was read.
    #[error("the account has changed meanwhile")]
    Changed,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The attribute that only rows of users have.
pub(crate) const MARK_OF_USERS: &str = "email";

const KEY: &str = "user_id";
const OWNER: &str = "owner";
const PASSWORD_HASH: &str = "password_hash";
const EMAIL_INDEX: &str = "email-index";
const FEED_INDEX: &str = "feed-position-index";

/// The row of a user, as far as indexes and events show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct UserRow {
    pub(crate) user_id: Uuid,
    pub(crate) email: Email,
    pub(crate) name: Name,
    pub(crate) role: Role,
    pub(crate) version: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// Trace of the request that wrote the row last; absent in indexes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) traceparent: Option<String>,
}

/// The whole row of a user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct AccountRow {
    #[serde(flatten)]
    user: UserRow,
    password_hash: PasswordHash,
    /// Absent in rows that are older than sessions.
    #[serde(default)]
    credentials: u64,
    #[serde(flatten)]
    avatars: Avatars,
    #[serde(flatten)]
    feed: FeedEntry,
}

/// The row of an address: there is at most one, so there is at most one owner.
#[derive(Debug, Serialize, Deserialize)]
struct ClaimRow {
    user_id: String,
    owner: Uuid,
}

impl Users {
    pub(crate) fn new(table: Table) -> Self {
        let feed = Feed::new(&table, FEED_INDEX);
        Self { table, feed }
    }

    /// One cheap read: opens the connection, and shows whether the table answers.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.table.get::<IgnoredAny>(&key(Uuid::nil()), Consistency::Eventual).await.map(drop)
    }

    pub(crate) async fn get(&self, user_id: Uuid) -> Result<Option<Account>, StoreError> {
        let row = self.table.get::<AccountRow>(&key(user_id), Consistency::Strong).await?;
        Ok(row.map(Account::from))
    }

    /// Writes a new account together with the claim to its address.
    pub(crate) async fn insert(&self, account: &Account) -> Result<(), WriteError> {
        const CLAIM: usize = 0;
        Transaction::new(&self.table)
            .create(KEY, &ClaimRow::of(account))
            .create(KEY, &AccountRow::from(account.clone()))
            .commit()
            .await
            .map_err(|error| match error {
                error if error.condition_failed(CLAIM) => WriteError::EmailTaken,
                error => other(error),
            })
    }

    /// Writes an account as it is `after` a change, provided that it still is as it was `before`.
    pub(crate) async fn replace(&self, before: &Account, after: &Account) -> Result<(), WriteError> {
        let row = AccountRow::from(after.clone());
        let update = self.update(before, &row);
        if before.user.email == after.user.email {
            return match update.send::<AccountRow>().await {
                Ok(_) => Ok(()),
                Err(StoreError::ConditionFailed { item }) => {
                    // A lost answer makes the SDK write again, and then it is our own write that stands in the way.
                    let present = item.map(from_item::<AccountRow>).transpose()?;
                    if present == Some(row) { Ok(()) } else { Err(WriteError::Changed) }
                }
                Err(error) => Err(error.into()),
            };
        }
        const ACCOUNT: usize = 0;
        const CLAIM: usize = 1;
        Transaction::new(&self.table)
            .update(update)
            .create(KEY, &ClaimRow::of(after))
            .delete(self.table.delete(claim_key(&before.user.email)).if_equals(OWNER, before.user.user_id))
            .commit()
            .await
            .map_err(|error| match error {
                error if error.condition_failed(ACCOUNT) => WriteError::Changed,
                error if error.condition_failed(CLAIM) => WriteError::EmailTaken,
                error => other(error),
            })
    }

    /// Writes another hash of the password that an account has, unless that was changed meanwhile. To others the account
    /// is as it was: its version stays.
    pub(crate) async fn renew_hash(&self, account: &Account, hash: &PasswordHash) -> Result<(), StoreError> {
        let update = self.table.update(key(account.user.user_id));
        let update = update.if_equals(PASSWORD_HASH, &account.password_hash).set(PASSWORD_HASH, hash);
        match update.send::<IgnoredAny>().await {
            Err(StoreError::ConditionFailed { .. }) => Ok(()),
            result => result.map(drop),
        }
    }

    /// Removes an account with its claim and its sessions, and so all that is known of the person.
    pub(crate) async fn remove(&self, account: &Account) -> Result<(), WriteError> {
        const ACCOUNT: usize = 0;
        let User { user_id, email, version, .. } = &account.user;
        Transaction::new(&self.table)
            .delete(self.table.delete(key(*user_id)).if_version(*version))
            .delete(self.table.delete(claim_key(email)).if_equals(OWNER, user_id))
            .delete(self.removal_of_sessions(*user_id))
            .commit()
            .await
            .map_err(|error| match error {
                error if error.condition_failed(ACCOUNT) => WriteError::Changed,
                error => other(error),
            })
    }

    /// Users, newest first.
    pub(crate) async fn newest(
        &self,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Page<User>, StoreError> {
        let Page { items, next } = self.feed.page::<UserRow>(after, limit).await?;
        Ok(Page { items: items.into_iter().map(User::from).collect(), next })
    }

    /// The user with this address, if there is one.
    pub(crate) async fn with_email(&self, email: &Email) -> Result<Vec<User>, StoreError> {
        let page = self.table.query(Some(EMAIL_INDEX)).partition("email", email).page::<UserRow>(1).await?;
        Ok(page.items.into_iter().map(User::from).collect())
    }

    fn update(&self, before: &Account, after: &AccountRow) -> Update {
        let update = self
            .table
            .update(key(before.user.user_id))
            .if_version(before.user.version)
            .set("email", &after.user.email)
            .set("name", &after.user.name)
            .set("role", after.user.role)
            .set(PASSWORD_HASH, &after.password_hash)
            .set("credentials", after.credentials)
            .set("version", after.user.version)
            .set("updated_at", after.user.updated_at);
        match &after.user.traceparent {
            Some(traceparent) => update.set("traceparent", traceparent),
            None => update.remove("traceparent"),
        }
    }
}

fn key(user_id: Uuid) -> Key {
    Key::new(KEY, user_id)
}

fn claim_key(email: &Email) -> Key {
    Key::new(KEY, claim_id(email.as_str()))
}

fn claim_id(email: &str) -> String {
    format!("email#{email}")
}

/// A transaction that failed for no reason that has a meaning here.
fn other(error: TransactionError) -> WriteError {
    WriteError::Store(match error {
        TransactionError::Store(error) => error,
        cancelled => StoreError::Rejected(cancelled.into()),
    })
}

impl ClaimRow {
    fn of(Account { user, .. }: &Account) -> Self {
        Self { user_id: claim_id(user.email.as_str()), owner: user.user_id }
    }
}

impl From<Account> for AccountRow {
    /// The row as the request that is under way writes it.
    fn from(Account { user, password_hash, credentials, avatars }: Account) -> Self {
        let feed = Feed::entry(user.user_id, user.created_at);
        let User { user_id, email, name, role, version, created_at, updated_at } = user;
        let traceparent = Trace::current().map(|trace| trace.to_string());
        let user = UserRow { user_id, email, name, role, version, created_at, updated_at, traceparent };
        Self { user, password_hash, credentials, avatars, feed }
    }
}

impl From<AccountRow> for Account {
    fn from(AccountRow { user, password_hash, credentials, avatars, .. }: AccountRow) -> Self {
        Self { user: user.into(), password_hash, credentials, avatars }
    }
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        let UserRow { user_id, email, name, role, version, created_at, updated_at, .. } = row;
        Self { user_id, email, name, role, version, created_at, updated_at }
    }
}
