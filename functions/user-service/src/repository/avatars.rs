use dynamodb_store::{Transaction, Update};
use telemetry::Trace;

use super::{Users, WriteError, key, other};
use crate::domain::Account;

/// Why an avatar was not replaced.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AvatarError {
    /// The upload that brings the next one is not awaited any more.
    #[error("the upload is not awaited any more")]
    NotAwaited,
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Users {
    /// Writes the avatar of an account as it is `after` a change, provided that the account still is as it was `before`,
    /// together with what that means to the upload that becomes the avatar and to the one that was it.
    pub(crate) async fn replace_avatar(
        &self,
        before: &Account,
        after: &Account,
        attached: Option<Update>,
        removed: Option<Update>,
    ) -> Result<(), AvatarError> {
        const ACCOUNT: usize = 0;
        const ATTACHED: usize = 1;
        let update = self
            .table
            .update(key(before.user.user_id))
            .if_version(before.user.version)
            .set_opt("avatar_mark", after.avatars.mark)
            .set("version", after.user.version)
            .set("updated_at", after.user.updated_at);
        let update = match &after.avatars.current {
            Some(avatar) => update.set("avatar", avatar),
            None => update.remove("avatar"),
        };
        let update = match Trace::current() {
            Some(trace) => update.set("traceparent", trace.to_string()),
            None => update.remove("traceparent"),
        };
        let attaches = attached.is_some();
        let uploads = attached.into_iter().chain(removed);
        uploads
            .fold(Transaction::new(&self.table).update(update), Transaction::update)
            .commit()
            .await
            .map_err(|error| match error {
                error if error.condition_failed(ACCOUNT) => WriteError::Changed.into(),
                error if attaches && error.condition_failed(ATTACHED) => AvatarError::NotAwaited,
                error => other(error).into(),
            })
    }
}
