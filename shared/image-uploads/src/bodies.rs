use base64::{Engine, prelude::BASE64_STANDARD};
use deserr::Deserr;
use domain_events::Timestamp;
use problem_details::{InputErrors, InvalidValue};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    image::{Image, ImageType},
    rows::{Reason, State, Upload},
};

/// A file that is to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Deserr, ToSchema)]
#[deserr(error = InputErrors, deny_unknown_fields)]
pub struct UploadRequest {
    /// What kind of picture it is.
    pub(crate) content_type: ImageType,
    /// Its length in bytes, at most 5 MiB.
    #[schema(value_type = u32, minimum = 1, maximum = 5_242_880, example = 48_213)]
    pub(crate) size: FileSize,
    /// Its SHA-256 in hexadecimal digits.
    #[schema(
        value_type = String, min_length = 64, max_length = 64, pattern = "^[0-9A-Fa-f]{64}$",
        example = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
    )]
    pub(crate) sha256: Sha256,
}

/// The length of a file in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Deserr)]
#[serde(transparent)]
#[deserr(error = InputErrors, try_from(i64) = FileSize::try_from -> InvalidValue)]
pub(crate) struct FileSize(u32);

/// The checksum of a file. It goes into the address of the upload and is kept nowhere: it would tell again which photo
/// somebody had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserr)]
#[deserr(error = InputErrors, try_from(String) = Sha256::try_from -> InvalidValue)]
pub(crate) struct Sha256([u8; 32]);

impl FileSize {
    pub(crate) const MAX: u32 = 5 * 1024 * 1024;

    pub(crate) fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for FileSize {
    type Error = InvalidValue;

    fn try_from(bytes: i64) -> Result<Self, InvalidValue> {
        match u32::try_from(bytes) {
            Ok(bytes @ 1..=Self::MAX) => Ok(Self(bytes)),
            _ => Err(InvalidValue::new("must be 1 to 5242880 bytes")),
        }
    }
}

impl Sha256 {
    /// As S3 has it.
    pub(crate) fn to_base64(self) -> String {
        BASE64_STANDARD.encode(self.0)
    }
}

impl TryFrom<String> for Sha256 {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        const REFUSED: InvalidValue = InvalidValue::new("must have 64 hexadecimal digits");
        let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
        let mut bytes = [0; 32];
        let digits = digits.filter(|digits| digits.len() == 2 * bytes.len()).ok_or(REFUSED)?;
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::try_from(pair[0] * 16 + pair[1]).map_err(|_| REFUSED)?;
        }
        Ok(Self(bytes))
    }
}

/// An upload that is awaited: what to send, and where.
#[derive(Serialize, ToSchema)]
#[schema(as = Upload)]
pub struct UploadAnswer {
    /// Names the upload.
    pub upload_id: Uuid,
    #[schema(example = "pending")]
    pub(crate) status: &'static str,
    /// The HTTP method of the upload.
    #[schema(example = "PUT")]
    pub(crate) method: &'static str,
    /// Where to send the file. Whoever knows this address can upload it.
    #[schema(format = "uri")]
    pub(crate) url: String,
    /// What has to be sent with it: nothing else is accepted.
    pub(crate) headers: UploadHeaders,
    /// Until when the upload has to begin.
    pub(crate) expires_at: Timestamp,
}

/// The headers of an upload.
#[derive(Clone, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct UploadHeaders {
    pub(crate) content_type: ImageType,
    /// Most clients send it by themselves.
    #[schema(example = "48213")]
    pub(crate) content_length: String,
    /// So that the file is stored once, and nothing comes in its place; when it is there already, the answer is 412.
    #[schema(example = "*")]
    pub(crate) if_none_match: &'static str,
    /// The SHA-256 in base64.
    #[schema(example = "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=")]
    pub(crate) x_amz_checksum_sha256: String,
}

/// What has become of an upload.
#[derive(Debug, Serialize, ToSchema)]
pub struct UploadStatus {
    upload_id: Uuid,
    status: UploadState,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
}

/// Where an upload stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum UploadState {
    /// It has not arrived, or was not looked at yet.
    Pending,
    /// It is shown.
    Attached,
    /// It could not be accepted, and is erased.
    Refused,
    /// It was replaced or deleted, and is erased.
    Removed,
}

/// Where a picture is read, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Picture)]
pub struct ImageAnswer {
    /// Where the picture is. An address that is signed expires, after 15 minutes at the earliest.
    #[schema(format = "uri")]
    url: String,
    content_type: ImageType,
    /// In pixels.
    #[schema(minimum = 1, maximum = 10_000, example = 640)]
    width: u32,
    /// In pixels.
    #[schema(minimum = 1, maximum = 10_000, example = 480)]
    height: u32,
}

impl ImageAnswer {
    /// A picture that is read at this address.
    pub fn new(image: &Image, url: String) -> Self {
        let Image { content_type, width, height } = *image;
        Self { url, content_type, width, height }
    }
}

impl From<&Upload> for UploadStatus {
    fn from(upload: &Upload) -> Self {
        let (status, reason) = match upload.state {
            State::Pending(_) => (UploadState::Pending, None),
            State::Attached => (UploadState::Attached, None),
            State::Refused(reason) => (UploadState::Refused, Some(reason)),
            State::Removed => (UploadState::Removed, None),
        };
        Self { upload_id: upload.file.upload_id, status, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: serde_json::Value) -> Result<UploadRequest, Vec<String>> {
        let read = deserr::deserialize::<UploadRequest, _, InputErrors>(body);
        read.map_err(|InputErrors(errors)| errors.into_iter().map(|error| error.pointer).collect())
    }

    #[test]
    fn a_request_has_a_kind_a_length_and_a_checksum() {
        let body =
            serde_json::json!({"content_type": "image/png", "size": 5_242_880, "sha256": "0aFf".repeat(16)});
        let request = read(body.clone()).unwrap();
        assert_eq!((request.content_type, request.size.get()), (ImageType::Png, 5_242_880));
        assert_eq!(BASE64_STANDARD.decode(request.sha256.to_base64()).unwrap(), [0x0a, 0xff].repeat(16));
        for (field, wrong) in [
            ("content_type", serde_json::json!("image/gif")),
            ("content_type", serde_json::json!("IMAGE/PNG")),
            ("content_type", serde_json::json!("image/png; charset=x")),
            ("size", serde_json::json!(0)),
            ("size", serde_json::json!(5_242_881)),
            ("size", serde_json::json!(-1)),
            ("size", serde_json::json!(1.5)),
            ("size", serde_json::json!("10")),
            ("sha256", serde_json::json!("0".repeat(63))),
            ("sha256", serde_json::json!("0".repeat(65))),
            ("sha256", serde_json::json!("g".repeat(64))),
            ("sha256", serde_json::json!("+1".repeat(32))),
            ("sha256", serde_json::json!("ä".repeat(32))),
            ("key", serde_json::json!("avatars/somebody")),
        ] {
            let mut body = body.clone();
            body[field] = wrong;
            assert_eq!(read(body.clone()).unwrap_err(), [format!("/{field}")], "{body}");
        }
        assert_eq!(read(serde_json::json!({})).unwrap_err().len(), 3);
    }
}
