use domain_events::Timestamp;
use image_uploads::Image;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Account;

/// The picture of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Avatar {
    /// The upload that it came by.
    pub(crate) upload_id: Uuid,
    #[serde(flatten)]
    pub(crate) image: Image,
}

/// The picture that a user has, and which may come next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Avatars {
    #[serde(rename = "avatar", default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<Avatar>,
    /// The latest upload that was shown or given up.
    #[serde(rename = "avatar_mark", default, skip_serializing_if = "Option::is_none")]
    pub(crate) mark: Option<Uuid>,
}

impl Avatars {
    /// Whether an upload is still wanted: what was asked for before the mark is not. Ids of uploads grow with the time
    /// at which they were asked for, so that the last one asked for is the one that is shown, in whatever order they
    /// arrive, and nothing comes back that was asked for before a deletion.
    pub(crate) fn want(&self, upload_id: Uuid) -> bool {
        self.mark.is_none_or(|mark| upload_id > mark)
    }
}

impl Account {
    /// The account with another avatar or none, at its next version. Uploads that were asked for before `mark` are no
    /// longer wanted.
    pub(crate) fn with_avatar(&self, avatar: Option<Avatar>, mark: Uuid, now: Timestamp) -> Self {
        let mut account = self.clone();
        account.avatars = Avatars { current: avatar, mark: Some(mark) };
        account.user.version += 1;
        account.user.updated_at = now;
        account
    }
}
