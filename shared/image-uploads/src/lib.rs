//! Pictures that people upload: users have an avatar, products have images.
//!
//! A service that was asked for an upload answers an address to which exactly this file can be put, and notes in a row
//! that it is awaited ([`ImageUploads::ask`]). The bucket tells of the file in a queue. Then it is looked at, and it
//! becomes a picture of its owner, or is refused and erased ([`ImageUploads::arrived`]). What differs between users and
//! products is behind [`Owners`].
//!
//! Whatever is repeated, late or in the wrong order, one rule decides: the state of the upload's row. It changes once
//! from pending to attached or refused; where it is attached, the picture is its owner's, and where it is anything else
//! or gone, the file is of no use and is erased.

/// Where pictures are read, and where they are put.
mod addresses;
/// What requests and answers say.
mod bodies;
/// The objects: their heads, and erasing them.
mod bucket;
/// Which file of whom.
mod file;
/// What a picture is, told by its head.
mod image;
/// Rows of uploads.
mod rows;
/// What becomes of a file that has arrived.
mod settle;

use std::sync::Arc;

use aws_types::SdkConfig;
use dynamodb_store::{StoreError, Table};
use service_config::{ConfigError, required};

use crate::{addresses::Signer, bucket::Bucket};
pub use crate::{
    addresses::{Addresses, SigningError},
    bodies::{ImageAnswer, UploadAnswer, UploadHeaders, UploadRequest, UploadStatus},
    bucket::BucketError,
    file::FileId,
    image::{Image, ImageType},
    rows::{Reason, Removed, State, Upload, removed},
    settle::{Outcome, Owners},
};

/// The pictures of one kind of owners: their files in a bucket, and the rows of uploads in the owners' table.
#[derive(Debug, Clone)]
pub struct ImageUploads {
    kind: Kind,
    table: Table,
    bucket: Arc<Bucket>,
    signer: Arc<Signer>,
}

/// Whose pictures they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// What the keys of the files begin with, as in `avatars`.
    pub prefix: &'static str,
    /// The key attribute of the table.
    pub key: &'static str,
}

/// Why something could not be done with pictures.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The table's part failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bucket's part failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// An address could not be signed.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

impl UploadError {
    /// Whether the same can succeed later, unchanged.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Bucket(error) => error.is_retryable(),
            Self::Signing(_) => false,
        }
    }
}

impl ImageUploads {
    /// The pictures as the environment describes them: `BUCKET_NAME`, and `CDN_URL` if a content delivery network
    /// serves the bucket.
    pub fn connect(config: &SdkConfig, table: Table, kind: Kind) -> Result<Self, ConfigError> {
        let cdn_url = std::env::var("CDN_URL").ok().filter(|url| !url.is_empty());
        Ok(Self::new(config, table, kind, required("BUCKET_NAME")?, cdn_url))
    }

    /// The pictures in a given bucket, served from there or from `cdn_url`.
    pub fn new(
        config: &SdkConfig,
        table: Table,
        kind: Kind,
        bucket: impl Into<String>,
        cdn_url: Option<String>,
    ) -> Self {
        let bucket = bucket.into();
        let signer = Arc::new(Signer::new(config, kind, &bucket, cdn_url));
        Self { kind, table, bucket: Arc::new(Bucket::new(config, bucket)), signer }
    }
}
