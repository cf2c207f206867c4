use std::fmt;

use aws_lambda_events::s3::S3EventRecord;
use percent_encoding::percent_decode_str;
use uuid::Uuid;

/// A file, or the upload that it comes by: they have one id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The user or product whose picture it is or is to be.
    pub owner: Uuid,
    /// Ids grow with the time at which the upload was asked for.
    pub upload_id: Uuid,
}

/// An object that no upload can have made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no upload can have made the object {0}")]
pub(crate) struct ForeignObject(String);

impl FileId {
    /// The key of the object.
    pub(crate) fn key(self, prefix: &str) -> String {
        format!("{}{}", Self::folder(prefix, self.owner), self.upload_id)
    }

    /// What the keys of all files of an owner begin with.
    pub(crate) fn folder(prefix: &str, owner: Uuid) -> String {
        format!("{prefix}/{owner}/")
    }

    /// The file that a notification of the bucket speaks of.
    pub(crate) fn notified(
        record: &S3EventRecord,
        bucket: &str,
        prefix: &str,
    ) -> Result<Self, ForeignObject> {
        let name = record.s3.bucket.name.as_deref().unwrap_or_default();
        // Keys come encoded as in forms. Of what that changes there is nothing in a key of ours, so that it only has
        // to be undone as far as a notification might encode more than it has to.
        let key = percent_decode_str(record.s3.object.key.as_deref().unwrap_or_default()).decode_utf8_lossy();
        let file = if name == bucket { Self::of_key(prefix, &key) } else { None };
        file.ok_or_else(|| ForeignObject(format!("{name}/{key}").chars().take(200).collect()))
    }

    /// The file with this key, which has to be written exactly as [`key`](Self::key) writes it.
    fn of_key(prefix: &str, key: &str) -> Option<Self> {
        let (owner, upload_id) = key.strip_prefix(prefix)?.strip_prefix('/')?.split_once('/')?;
        let file = Self { owner: owner.parse().ok()?, upload_id: upload_id.parse().ok()? };
        (file.key(prefix) == key).then_some(file)
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.upload_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "avatars/01a203e8-5c00-7a1b-9c3d-4e5f60718293/01a203e8-5c01-7a1b-9c3d-4e5f60718293";

    fn notified(bucket: &str, key: &str) -> Result<FileId, ForeignObject> {
        let record = serde_json::json!({
            "eventTime": "2026-11-22T09:44:00.000Z",
            "userIdentity": {},
            "requestParameters": {},
            "responseElements": {},
            "s3": {"bucket": {"name": bucket}, "object": {"key": key}},
        });
        FileId::notified(&serde_json::from_value(record).unwrap(), "ours", "avatars")
    }

    #[test]
    fn a_notification_names_the_file() {
        let file = notified("ours", KEY).unwrap();
        assert_eq!(file.key("avatars"), KEY);
        assert_eq!(notified("ours", &KEY.replace('/', "%2F")), Ok(file));
        assert!(KEY.starts_with(&FileId::folder("avatars", file.owner)));
    }

    #[test]
    fn what_no_upload_can_have_made_is_foreign() {
        notified("theirs", KEY).unwrap_err();
        for key in [
            "",
            "avatars",
            "avatars/",
            "avatars//",
            "avatars/x/y",
            "%FF%FE",
            &KEY.to_uppercase(),
            &KEY.replace("avatars", "images"),
            &KEY.replace('-', ""),
            &format!("/{KEY}"),
            &format!("{KEY}/"),
            &format!("{KEY}+"),
            &format!("{KEY}/../x"),
            &KEY.replacen("/01", "/%7B01", 1),
        ] {
            assert!(notified("ours", key).is_err(), "{key}");
        }
        let error = notified("ours", &"x".repeat(5_000)).unwrap_err();
        assert!(error.to_string().len() < 300);
    }
}
