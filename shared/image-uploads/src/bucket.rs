use std::{error::Error, sync::OnceLock};

use aws_sdk_s3::{
    Client,
    config::{Builder, RequestChecksumCalculation, ResponseChecksumValidation, http::HttpResponse},
    error::{ProvideErrorMetadata, SdkError},
    operation::get_object::GetObjectOutput,
    types::{Delete, ObjectIdentifier},
};
use aws_types::SdkConfig;

use crate::image::Image;
use crate::rows::{Declared, Reason};

/// A bucket, through a client that is made when it is first needed: requests that have to do with no file don't wait
/// for it.
#[derive(Debug)]
pub(crate) struct Bucket {
    config: SdkConfig,
    name: String,
    client: OnceLock<Client>,
}

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inspection {
    /// There is no such file.
    Missing,
    Refused(Reason),
    Image(Image),
}

/// A call to S3 failed.
#[derive(Debug, thiserror::Error)]
#[error("S3: {operation} failed")]
pub struct BucketError {
    operation: &'static str,
    is_retryable: bool,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

/// A part of an object.
#[derive(Default)]
struct Part {
    bytes: Vec<u8>,
    /// Length of the whole object.
    length: u64,
    content_type: String,
    /// Whether it says more about how it is to be shown and kept.
    has_other_headers: bool,
}

impl Bucket {
    pub(crate) fn new(config: &SdkConfig, name: String) -> Self {
        Self { config: config.clone(), name, client: OnceLock::new() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let config = Builder::from(&self.config)
                // An endpoint of one's own has no name for each bucket.
                .force_path_style(self.config.endpoint_url().is_some())
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
            Client::from_conf(config.build())
        })
    }

    /// Looks at a file, which is to be what was `declared`.
    pub(crate) async fn inspect(&self, key: &str, declared: Declared) -> Result<Inspection, BucketError> {
        let Declared { content_type, size } = declared;
        let Some(part) = self.read(key, content_type.needed(size.get())).await? else {
            return Ok(Inspection::Missing);
        };
        let refused = |reason| Ok(Inspection::Refused(reason));
        if part.length != u64::from(size.get()) {
            return refused(Reason::OtherSize);
        }
        if part.content_type != content_type.as_str() {
            return refused(Reason::OtherType);
        }
        if part.has_other_headers {
            return refused(Reason::OtherHeaders);
        }
        match Image::look(&part.bytes, content_type) {
            Ok(image) => Ok(Inspection::Image(image)),
            Err(reason) => refused(reason),
        }
    }

    /// Reads a file up to `end`; `None` if there is none.
    async fn read(&self, key: &str, end: u32) -> Result<Option<Part>, BucketError> {
        let range = format!("bytes=0-{}", end.saturating_sub(1));
        let read = self.client().get_object().bucket(&self.name).key(key).range(range).send().await;
        let object = match read {
            Ok(object) => object,
            Err(error) => {
                return match error.as_service_error().and_then(ProvideErrorMetadata::code) {
                    Some("NoSuchKey") => Ok(None),
                    // Of an empty file there is no first byte.
                    Some("InvalidRange") => Ok(Some(Part::default())),
                    _ => Err(failed("GetObject", error)),
                };
            }
        };
        let whole = object.content_range().and_then(|range| range.rsplit('/').next()?.parse().ok());
        let length =
            whole.or(object.content_length().and_then(|length| length.try_into().ok())).unwrap_or_default();
        let has_other_headers = has_other_headers(&object);
        let content_type = object.content_type.unwrap_or_default();
        let bytes = object.body.collect().await.map_err(|error| BucketError {
            operation: "GetObject",
            is_retryable: true,
            source: error.into(),
        })?;
        Ok(Some(Part { bytes: bytes.to_vec(), length, content_type, has_other_headers }))
    }

    /// Erases every version of every object whose key begins so, and what marks them as deleted.
    pub(crate) async fn erase(&self, prefix: &str) -> Result<(), BucketError> {
        let (mut key_marker, mut version_marker) = (None, None);
        loop {
            // A page has at most 1000 versions, as many as one call deletes.
            let page = self
                .client()
                .list_object_versions()
                .bucket(&self.name)
                .prefix(prefix)
                .set_key_marker(key_marker)
                .set_version_id_marker(version_marker)
                .send()
                .await
                .map_err(|error| failed("ListObjectVersions", error))?;
            let versions = page.versions().iter().map(|version| (version.key(), version.version_id()));
            let markers = page.delete_markers().iter().map(|marker| (marker.key(), marker.version_id()));
            let objects = versions.chain(markers).filter_map(|(key, version)| {
                ObjectIdentifier::builder().key(key?).set_version_id(version.map(str::to_owned)).build().ok()
            });
            self.delete(objects.collect()).await?;
            if page.is_truncated() != Some(true) {
                return Ok(());
            }
            (key_marker, version_marker) = (page.next_key_marker, page.next_version_id_marker);
        }
    }

    async fn delete(&self, objects: Vec<ObjectIdentifier>) -> Result<(), BucketError> {
        const OPERATION: &str = "DeleteObjects";
        if objects.is_empty() {
            return Ok(());
        }
        let refused = |source| BucketError { operation: OPERATION, is_retryable: false, source };
        let objects = Delete::builder().set_objects(Some(objects)).quiet(true).build();
        let objects = objects.map_err(|error| refused(error.into()))?;
        let deleted = self.client().delete_objects().bucket(&self.name).delete(objects).send().await;
        let deleted = deleted.map_err(|error| failed(OPERATION, error))?;
        match deleted.errors() {
            [] => Ok(()),
            [first, ..] => Err(BucketError {
                operation: OPERATION,
                is_retryable: true,
                source: format!("an object stays: {}", first.code().unwrap_or("for no reason")).into(),
            }),
        }
    }
}

impl BucketError {
    pub(crate) fn is_retryable(&self) -> bool {
        self.is_retryable
    }
}

/// S3 wants only the host and `x-amz-…` headers to be signed. Of the others it keeps these, whoever sends them, and
/// answers with them as if they were ours: for how long to cache a picture, say, or what to call its file.
fn has_other_headers(object: &GetObjectOutput) -> bool {
    // What browsers send with everything while their developer tools keep them from using their cache. It does no harm.
    let chosen = |value: &&str| *value != "no-cache";
    let kept = [
        object.cache_control().filter(chosen),
        object.content_disposition(),
        object.content_encoding(),
        object.content_language(),
        object.expires_string(),
    ];
    kept.iter().any(Option::is_some) || object.metadata().is_some_and(|metadata| !metadata.is_empty())
}

fn failed<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> BucketError
where
    E: Error + Send + Sync + 'static,
{
    let is_retryable = match &error {
        SdkError::ServiceError(answer) => answer.raw().status().is_server_error(),
        SdkError::ConstructionFailure(_) => false,
        _ => true,
    };
    BucketError { operation, is_retryable, source: error.into() }
}
