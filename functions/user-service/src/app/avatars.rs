use aws_lambda_events::s3::S3Event;
use domain_events::Clock;
use dynamodb_store::StoreError;
use image_uploads::{
    FileId, Image, ImageUploads, Outcome, Owners, Reason, SigningError, Upload, UploadAnswer, UploadError,
    UploadRequest,
};
use lambda_dispatch::HandlerError;
use uuid::Uuid;

use super::{AccountError, TRIES, ever_changing};
use crate::{
    domain::{Account, Avatar},
    repository::{AvatarError, Users, WriteError},
};

/// What can be done with the pictures of users.
#[derive(Debug, Clone)]
pub(crate) struct Avatars {
    users: Users,
    images: ImageUploads,
    clock: Clock,
}

impl Avatars {
    pub(crate) fn new(users: Users, images: ImageUploads, clock: Clock) -> Self {
        Self { users, images, clock }
    }

    /// Lets a user upload a picture.
    pub(crate) async fn ask(
        &self,
        user_id: Uuid,
        request: &UploadRequest,
    ) -> Result<UploadAnswer, AccountError> {
        self.users.get(user_id).await?.ok_or(AccountError::Unknown)?;
        Ok(self.images.ask(user_id, request, self.clock.now()).await?)
    }

    /// An upload that a user asked for, if it is one.
    pub(crate) async fn upload(
        &self,
        user_id: Uuid,
        upload_id: Uuid,
    ) -> Result<Option<Upload>, AccountError> {
        Ok(self.images.find(FileId { owner: user_id, upload_id }).await?)
    }

    /// Where an avatar is read now.
    pub(crate) async fn address(&self, user_id: Uuid, avatar: &Avatar) -> Result<String, SigningError> {
        let file = FileId { owner: user_id, upload_id: avatar.upload_id };
        self.images.addresses(self.clock.now()).await?.of(file)
    }

    /// Deletes the avatar of a user, and gives up whatever was asked for before.
    pub(crate) async fn delete(&self, user_id: Uuid) -> Result<(), AccountError> {
        for _ in 0..TRIES {
            let account = self.users.get(user_id).await?.ok_or(AccountError::Unknown)?;
            match self.replace(&account, None).await {
                Ok(()) => return Ok(()),
                Err(AvatarError::Write(WriteError::Changed) | AvatarError::NotAwaited) => {}
                Err(AvatarError::Write(error)) => return Err(error.into()),
            }
        }
        Err(ever_changing())
    }

    /// Looks at the files that have been uploaded.
    pub(crate) async fn arrived(&self, notification: &S3Event) -> Result<(), HandlerError> {
        self.images.arrived(notification, self).await
    }

    /// Erases a file that was an avatar.
    pub(crate) async fn erase(&self, file: FileId) -> Result<(), UploadError> {
        self.images.erase(file).await
    }

    /// Erases all files of a user who is gone.
    pub(crate) async fn erase_all(&self, user_id: Uuid) -> Result<(), UploadError> {
        self.images.erase_all(user_id).await
    }

    /// Puts the next avatar, or none, in the place of the present one.
    async fn replace(&self, account: &Account, next: Option<Avatar>) -> Result<(), AvatarError> {
        let (owner, now) = (account.user.user_id, self.clock.now());
        let file = |avatar: &Avatar| FileId { owner, upload_id: avatar.upload_id };
        let removed = account.avatars.current.as_ref().map(|avatar| self.images.removed(file(avatar), now));
        let attached = next.as_ref().map(|avatar| self.images.attached(file(avatar)));
        let mark = next.as_ref().map_or_else(Uuid::now_v7, |avatar| avatar.upload_id);
        let after = account.with_avatar(next, mark, now);
        self.users.replace_avatar(account, &after, attached, removed).await
    }
}

impl Owners for Avatars {
    async fn holds(&self, file: FileId) -> Result<bool, StoreError> {
        let account = self.users.get(file.owner).await?;
        Ok(account
            .and_then(|account| account.avatars.current)
            .is_some_and(|avatar| avatar.upload_id == file.upload_id))
    }

    async fn attach(&self, FileId { owner, upload_id }: FileId, image: Image) -> Result<Outcome, StoreError> {
        for _ in 0..TRIES {
            let Some(account) = self.users.get(owner).await? else { return Ok(Outcome::NoOwner) };
            if !account.avatars.want(upload_id) {
                return Ok(Outcome::Refused(Reason::Superseded));
            }
            match self.replace(&account, Some(Avatar { upload_id, image })).await {
                Ok(()) => return Ok(Outcome::Attached),
                Err(AvatarError::NotAwaited) => return Ok(Outcome::NotAwaited),
                Err(AvatarError::Write(WriteError::Store(error))) => return Err(error),
                Err(AvatarError::Write(WriteError::Changed | WriteError::EmailTaken)) => {}
            }
        }
        Err(StoreError::Conflict("the account was changed at every try".into()))
    }
}
