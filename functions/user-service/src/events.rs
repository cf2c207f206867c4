use domain_events::{Payload, payload};
use image_uploads::FileId;
use lambda_dispatch::{Change, Content, Fact, HandlerError, Message, Row, Service};

use crate::{
    UserService,
    repository::{MARK_OF_USERS, UserRow},
};

/// The one queue that leads to this service: what has been uploaded, and what is of no more use.
const AVATAR_UPLOADS: &str = "avatar-uploads";

/// Does what has to be done about files, and about whatever else is left of somebody who is gone. A message of another
/// queue must not be acknowledged: it ends in the dead-letter queue of whatever queue sent it.
pub(crate) async fn handle(service: &UserService, message: Message) -> Result<(), HandlerError> {
    if message.queue != AVATAR_UPLOADS {
        return Err(format!("user-service takes no messages from {}", message.queue).into());
    }
    let event = match message.content {
        Content::Objects(notification) => return service.avatars.arrived(&notification).await,
        Content::Event(event) => event,
    };
    match event.payload {
        Payload::UserAvatarRemoved(payload::Avatar { user_id, upload_id }) => {
            service.avatars.erase(FileId { owner: user_id, upload_id }).await?;
        }
        Payload::UserDeleted(user) => {
            service.avatars.erase_all(user.user_id).await?;
            // A login that was under way when the account was deleted may have opened one more.
            service.sessions.end_all(user.user_id).await?;
        }
        // A subscription that lets more through than it should is no reason to lose its messages one by one.
        _ => telemetry::count("ignored_messages", ("service", UserService::NAME)),
    }
    Ok(())
}

/// What a change of a row means to other services. Nothing in it tells who the person is.
pub(crate) fn event_of(change: &Change) -> Result<Option<Fact>, HandlerError> {
    if let Some(removed) = image_uploads::removed(change)? {
        let FileId { owner: user_id, upload_id } = removed.file;
        let payload = Payload::UserAvatarRemoved(payload::Avatar { user_id, upload_id });
        let (traceparent, time) = (removed.traceparent, change.time());
        return Ok(Some(Fact { subject: user_id.to_string(), traceparent, time, payload }));
    }
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
