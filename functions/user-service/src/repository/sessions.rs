use std::collections::BTreeMap;

use dynamodb_store::{Consistency, Delete, Key, StoreError, Update, from_item};
use serde::{Deserialize, de::IgnoredAny};
use uuid::Uuid;

use super::{AccountRow, KEY, Users, key};
use crate::domain::{Account, Session, SessionId, Sessions};

const EXPIRES_AT: &str = "expires_at";
const ATTRIBUTE_PREFIX: &str = "s_";

/// The row of a user's sessions, each an attribute of its own. It has no `email` and so makes no events.
#[derive(Deserialize)]
struct SessionsRow {
    #[serde(rename = "user_id")]
    _key: String,
    /// When DynamoDB may remove the row, in seconds since 1970: at the end of the session that ends last.
    expires_at: i64,
    #[serde(flatten)]
    sessions: BTreeMap<Attribute, Session>,
}

/// The attribute that a session is.
#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct Attribute(SessionId);

/// What a refresh has to know.
#[derive(Deserialize)]
#[serde(untagged)]
enum Row {
    Account(Box<AccountRow>),
    Sessions(SessionsRow),
}

/// Whether a write happened that depends on what was read before.
#[must_use]
pub(crate) enum Outcome {
    Written,
    /// Somebody else was faster; these are the sessions by now.
    Overtaken(Sessions),
}

impl Users {
    /// An account and its sessions.
    pub(crate) async fn with_sessions(
        &self,
        user_id: Uuid,
    ) -> Result<(Option<Account>, Sessions), StoreError> {
        let (mut account, mut sessions) = (None, Sessions::default());
        let keys = [key(user_id), sessions_key(user_id)];
        for row in self.table.get_many(&keys, Consistency::Strong).await? {
            match row {
                Row::Account(row) => account = Some(Account::from(*row)),
                Row::Sessions(row) => sessions = row.into(),
            }
        }
        Ok((account, sessions))
    }

    /// Adds a new session; answers all that there are with it.
    pub(crate) async fn open_session(
        &self,
        user_id: Uuid,
        id: SessionId,
        session: &Session,
    ) -> Result<Sessions, StoreError> {
        // No other ends later: they were all used before.
        let last_end = session.ends_at.as_seconds();
        let row = self.table.upsert(sessions_key(user_id)).set(&attribute(id), session);
        Ok(row.set(EXPIRES_AT, last_end).send::<SessionsRow>().await?.into())
    }

    /// Writes a session as it is `after` its refresh, provided that it still is as it was among the `sessions`, and removes
    /// those that are `over`.
    pub(crate) async fn refresh_session(
        &self,
        user_id: Uuid,
        sessions: &Sessions,
        id: SessionId,
        after: &Session,
        over: &[SessionId],
    ) -> Result<Outcome, StoreError> {
        let mut row = self.unchanged(user_id, sessions, &[id]).set(&attribute(id), after);
        let last_end = after.ends_at.as_seconds();
        if last_end > sessions.last_end {
            row = row.set(EXPIRES_AT, last_end).if_equals(EXPIRES_AT, sessions.last_end);
        }
        for id in over {
            row = row.remove(&attribute(*id));
        }
        match outcome(row).await? {
            // A lost answer makes the SDK write again, and then it is our own write that stands in the way.
            Outcome::Overtaken(present) if present.by_id.get(&id) == Some(after) => Ok(Outcome::Written),
            outcome => Ok(outcome),
        }
    }

    /// Removes some of the `sessions`, provided that they still are as they were.
    pub(crate) async fn remove_sessions(
        &self,
        user_id: Uuid,
        sessions: &Sessions,
        surplus: &[SessionId],
    ) -> Result<Outcome, StoreError> {
        let row = self.unchanged(user_id, sessions, surplus);
        outcome(surplus.iter().fold(row, |row, id| row.remove(&attribute(*id)))).await
    }

    /// Ends a session, whatever has become of it.
    pub(crate) async fn end_session(&self, user_id: Uuid, id: SessionId) -> Result<(), StoreError> {
        let row = self.table.update(sessions_key(user_id)).remove(&attribute(id));
        outcome(row).await.map(|_| ())
    }

    /// Ends all sessions.
    pub(crate) async fn end_sessions(&self, user_id: Uuid) -> Result<(), StoreError> {
        self.removal_of_sessions(user_id).send().await
    }

    pub(super) fn removal_of_sessions(&self, user_id: Uuid) -> Delete {
        self.table.delete(sessions_key(user_id))
    }

    /// A change under the condition that some of the `sessions` are as they were.
    fn unchanged(&self, user_id: Uuid, sessions: &Sessions, ids: &[SessionId]) -> Update {
        let row = self.table.update(sessions_key(user_id));
        ids.iter().fold(row, |row, id| row.if_equals(&attribute(*id), sessions.by_id.get(id)))
    }
}

async fn outcome(change: Update) -> Result<Outcome, StoreError> {
    match change.send::<IgnoredAny>().await {
        Ok(_) => Ok(Outcome::Written),
        Err(StoreError::ConditionFailed { item }) => {
            let present = item.map(from_item::<SessionsRow>).transpose()?;
            Ok(Outcome::Overtaken(present.map(Sessions::from).unwrap_or_default()))
        }
        Err(error) => Err(error),
    }
}

fn sessions_key(user_id: Uuid) -> Key {
    Key::new(KEY, format_args!("sessions#{user_id}"))
}

fn attribute(SessionId(id): SessionId) -> String {
    format!("{ATTRIBUTE_PREFIX}{id:016x}")
}

impl TryFrom<String> for Attribute {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, &'static str> {
        let id = name.strip_prefix(ATTRIBUTE_PREFIX).and_then(|id| u64::from_str_radix(id, 16).ok());
        id.map(|id| Self(SessionId(id))).ok_or("not the attribute of a session")
    }
}

impl From<SessionsRow> for Sessions {
    fn from(SessionsRow { expires_at, sessions, .. }: SessionsRow) -> Self {
        let by_id = sessions.into_iter().map(|(Attribute(id), session)| (id, session)).collect();
        Self { by_id, last_end: expires_at }
    }
}
