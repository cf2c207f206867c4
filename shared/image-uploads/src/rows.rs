use std::collections::BTreeMap;

use domain_events::Timestamp;
use dynamodb_store::{Consistency, Key, StoreError, Update};
use lambda_dispatch::{Change, HandlerError, Row};
use serde::{Deserialize, Serialize};
use telemetry::Trace;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{ImageUploads, UploadRequest, bodies::FileSize, file::FileId, image::ImageType};

/// How long the row of an upload is kept, in seconds. Its end is for the owner to see; a file that comes later, which
/// no address allows, would find no row and be erased.
const KEPT: i64 = 30 * 24 * 60 * 60;

const UPLOAD_ID: &str = "upload_id";
const OWNER: &str = "owner";
/// Only rows of uploads have it.
const STATE: &str = "upload_state";
const REASON: &str = "reason";
const EXPIRES_AT: &str = "expires_at";
const TRACEPARENT: &str = "traceparent";

/// An upload that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The file that it brings, and whose.
    pub file: FileId,
    /// Where it stands.
    pub state: State,
    /// Trace of the request that wrote the row last.
    pub(crate) traceparent: Option<String>,
}

/// Where an upload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The file is awaited.
    Pending(Declared),
    /// The file is a picture of its owner.
    Attached,
    /// The file was not accepted.
    Refused(Reason),
    /// The file was a picture of its owner, or nobody waits for it any more.
    Removed,
}

/// What a file was said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    pub(crate) content_type: ImageType,
    pub(crate) size: FileSize,
}

/// Why a file was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It is no picture of an accepted kind.
    NotAnImage,
    /// It is another kind of picture than declared.
    OtherType,
    /// It has another length than declared.
    OtherSize,
    /// It was sent with one of the headers that the bucket keeps and answers with, though none was asked for:
    /// `cache-control`, `content-disposition`, `content-encoding`, `content-language`, `expires`, or `x-amz-meta-…`.
    OtherHeaders,
    /// A side is longer than 10000 pixels, or they are more than 40 million in all.
    Dimensions,
    /// Another file was asked for later, or the deletion of all.
    Superseded,
    /// There are as many as there may be.
    TooManyImages,
}

/// A file that is of no more use, as the stream tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The file, and whose it was.
    pub file: FileId,
    /// Trace of the request that removed it.
    pub traceparent: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StateName {
    Pending,
    Attached,
    Refused,
    Removed,
}

/// What every row of an upload has.
#[derive(Debug, Serialize, Deserialize)]
struct UploadRow {
    upload_id: Uuid,
    owner: Uuid,
    upload_state: StateName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    /// Absent if the row was made when the file was removed: the one before had expired.
    #[serde(flatten)]
    declared: Option<Declared>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
}

/// A new row. What is not in [`UploadRow`] is there to look at, and for DynamoDB.
#[derive(Serialize)]
struct NewRow {
    #[serde(flatten)]
    key: BTreeMap<&'static str, String>,
    #[serde(flatten)]
    row: UploadRow,
    created_at: Timestamp,
    expires_at: i64,
}

impl ImageUploads {
    /// Notes that a file is awaited.
    pub(crate) async fn expect(
        &self,
        file: FileId,
        request: &UploadRequest,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let FileId { owner, upload_id } = file;
        let UploadRequest { content_type, size, .. } = *request;
        let row = NewRow {
            key: BTreeMap::from([(self.kind.key, row_id(upload_id))]),
            row: UploadRow {
                upload_id,
                owner,
                upload_state: StateName::Pending,
                reason: None,
                declared: Some(Declared { content_type, size }),
                traceparent: traceparent(),
            },
            created_at: now,
            expires_at: now.as_seconds() + KEPT,
        };
        match self.table.create(self.kind.key, &row).await {
            // The id is new, so that this row can only come from the same call, whose first answer was lost.
            Err(StoreError::ConditionFailed { .. }) => Ok(()),
            result => result,
        }
    }

    /// The upload that brings this file, if it was asked for.
    pub async fn find(&self, file: FileId) -> Result<Option<Upload>, StoreError> {
        let row = self.table.get::<UploadRow>(&self.key(file), Consistency::Strong).await?;
        let upload = row.map(Upload::try_from).transpose()?;
        Ok(upload.filter(|upload| upload.file == file))
    }

    /// The upload's part of a transaction that makes its file a picture of its owner. Its condition fails if the file
    /// is not awaited any more.
    pub fn attached(&self, file: FileId) -> Update {
        self.awaited(file).set(STATE, StateName::Attached)
    }

    /// The upload's part of a transaction after which nobody waits for its file. Its condition fails if nobody does
    /// anyway.
    pub fn cancelled(&self, file: FileId, now: Timestamp) -> Update {
        removal(self.awaited(file), now)
    }

    /// The upload's part of a transaction that takes a picture from its owner. The row may have expired long ago; it
    /// is written again, for the stream to tell that the file can be erased.
    pub fn removed(&self, file: FileId, now: Timestamp) -> Update {
        let FileId { owner, upload_id } = file;
        removal(self.table.upsert(self.key(file)).set(UPLOAD_ID, upload_id).set(OWNER, owner), now)
    }

    /// Notes why a file was not accepted. [`StoreError::ConditionFailed`] if it is not awaited any more.
    pub(crate) async fn refuse(&self, file: FileId, reason: Reason) -> Result<(), StoreError> {
        let refused = self.awaited(file).set(STATE, StateName::Refused).set(REASON, reason);
        refused.send::<serde::de::IgnoredAny>().await.map(drop)
    }

    fn awaited(&self, file: FileId) -> Update {
        self.table.update(self.key(file)).if_equals(STATE, StateName::Pending).if_equals(OWNER, file.owner)
    }

    fn key(&self, file: FileId) -> Key {
        Key::new(self.kind.key, row_id(file.upload_id))
    }
}

/// The file that is of no more use after this change, if the row is an upload's and the change says so.
pub fn removed(change: &Change) -> Result<Option<Removed>, HandlerError> {
    let read = |row: Row<'_>| row.read::<UploadRow>();
    let [before, after] =
        [change.before(), change.after()].map(|row| row.filter(|row| row.has(STATE)).map(read).transpose());
    let was_removed = before?.is_some_and(|row| row.upload_state == StateName::Removed);
    let removed = after?.filter(|row| row.upload_state == StateName::Removed && !was_removed);
    Ok(removed.map(|UploadRow { owner, upload_id, traceparent, .. }| {
        let file = FileId { owner, upload_id };
        Removed { file, traceparent }
    }))
}

fn removal(update: Update, now: Timestamp) -> Update {
    let update = update.set(STATE, StateName::Removed).set(EXPIRES_AT, now.as_seconds() + KEPT);
    match traceparent() {
        Some(traceparent) => update.set(TRACEPARENT, traceparent),
        None => update.remove(TRACEPARENT),
    }
}

fn row_id(upload_id: Uuid) -> String {
    format!("upload#{upload_id}")
}

fn traceparent() -> Option<String> {
    Trace::current().map(|trace| trace.to_string())
}

impl TryFrom<UploadRow> for Upload {
    type Error = StoreError;

    fn try_from(row: UploadRow) -> Result<Self, StoreError> {
        let UploadRow { upload_id, owner, upload_state, reason, declared, traceparent } = row;
        let state = match (upload_state, declared, reason) {
            (StateName::Pending, Some(declared), _) => Some(State::Pending(declared)),
            (StateName::Attached, ..) => Some(State::Attached),
            (StateName::Refused, _, Some(reason)) => Some(State::Refused(reason)),
            (StateName::Removed, ..) => Some(State::Removed),
            (StateName::Pending, None, _) | (StateName::Refused, _, None) => None,
        };
        let state = state.ok_or(StoreError::Malformed {
            row: std::any::type_name::<Upload>(),
            source: format!("{upload_state:?} lacks what belongs to it").into(),
        })?;
        Ok(Self { file: FileId { owner, upload_id }, state, traceparent })
    }
}
