use domain_events::{Payload, payload};
use lambda_dispatch::{Change, Fact, HandlerError, Message, Row};

use crate::repository::{MARK_OF_USERS, UserRow};

/// No queue leads to this service. A message that comes nevertheless must not be acknowledged: it ends in the
/// dead-letter queue of whatever queue sent it.
pub(crate) fn refuse(message: &Message) -> Result<(), HandlerError> {
    Err(format!("user-service takes no messages, but got one from {}", message.queue).into())
}

/// What a change of a row means to other services. Nothing in it tells who the person is.
pub(crate) fn event_of(change: &Change) -> Result<Option<Fact>, HandlerError> {
    let (before, after) = (user(change.before())?, user(change.after())?);
    let written = after.as_ref().map(|row| (row.updated_at, row.traceparent.clone()));
    // A removed row does not say who removed it: its trace is that of the change before.
    let (time, traceparent) = written.unwrap_or_else(|| (change.time(), None));
    let (announce, row): (fn(payload::User) -> Payload, UserRow) = match (before, after) {
        (None, Some(created)) => (Payload::UserCreated, created),
        // Something was written anew that is nobody's business, like a hash.
        (Some(before), Some(after)) if before.version == after.version => return Ok(None),
        (Some(_), Some(updated)) => (Payload::UserUpdated, updated),
        (Some(deleted), None) => (Payload::UserDeleted, deleted),
        (None, None) => return Ok(None),
    };
    let UserRow { user_id, role, version, created_at, .. } = row;
    let payload = announce(payload::User { user_id, role: role.to_string(), version, created_at });
    Ok(Some(Fact { subject: user_id.to_string(), traceparent, time, payload }))
}

/// The row, if it is a user's.
fn user(row: Option<Row<'_>>) -> Result<Option<UserRow>, HandlerError> {
    row.filter(|row| row.has(MARK_OF_USERS)).map(|row| row.read()).transpose()
}
