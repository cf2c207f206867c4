//! What becomes of files and of the rows of their uploads, with a bucket and a table in memory.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod arrivals;
mod rows;

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use aws_lambda_events::s3::S3Event;
use aws_types::SdkConfig;
use domain_events::Timestamp;
use dynamodb_store::{StoreError, Table};
use image_uploads::{FileId, Image, ImageUploads, Kind, Outcome, Owners, Upload, UploadRequest};
use problem_details::InputErrors;
use serde::de::IgnoredAny;
use serde_json::json;
use test_support::{BucketStub, Emulator, TestTable};
use uuid::Uuid;

const KIND: Kind = Kind { prefix: "avatars", key: "user_id" };
const BUCKET: &str = "pictures";
const NOW: i64 = 1_795_340_640_000;

/// Pictures of owners who are there, whatever they are called.
struct Gallery {
    rows: TestTable,
    table: Table,
    bucket: BucketStub,
    images: ImageUploads,
    /// The pictures that were attached.
    shown: Mutex<Vec<(FileId, Image)>>,
    /// How many times attaching finds that the upload has changed meanwhile.
    rivals: AtomicUsize,
}

impl Gallery {
    fn open() -> Self {
        Self::reaching(&Emulator::sdk_config())
    }

    /// A gallery whose table is behind the endpoint of `config`.
    fn reaching(config: &SdkConfig) -> Self {
        let (rows, bucket) = (TestTable::users(), BucketStub::start());
        let table = Table::new(config, rows.name());
        let images = ImageUploads::new(&bucket.sdk_config(), table.clone(), KIND, BUCKET, None);
        Self { rows, table, bucket, images, shown: Mutex::default(), rivals: AtomicUsize::new(0) }
    }

    /// Asks for an upload of so many bytes.
    async fn ask(&self, content_type: &str, size: usize) -> FileId {
        let owner = Uuid::now_v7();
        let body = json!({"content_type": content_type, "size": size, "sha256": "0".repeat(64)});
        let request: UploadRequest = deserr::deserialize::<_, _, InputErrors>(body).unwrap();
        let asked = self.images.ask(owner, &request, now()).await.unwrap();
        FileId { owner, upload_id: asked.upload_id }
    }

    fn put(&self, file: FileId, content_type: &str, bytes: Vec<u8>) {
        self.bucket.put(BUCKET, &key(file), content_type, bytes);
    }

    /// The bucket tells of a file.
    async fn tell(&self, file: FileId) {
        let event: S3Event = serde_json::from_value(json!({"Records": [{
            "eventTime": "2026-11-22T09:44:00.000Z",
            "userIdentity": {},
            "requestParameters": {},
            "responseElements": {},
            "s3": {"bucket": {"name": BUCKET}, "object": {"key": key(file)}},
        }]}))
        .unwrap();
        self.images.arrived(&event, self).await.unwrap();
    }

    async fn upload(&self, file: FileId) -> Upload {
        self.images.find(file).await.unwrap().unwrap()
    }

    fn shown(&self) -> Vec<(FileId, Image)> {
        self.shown.lock().unwrap().clone()
    }
}

impl Owners for Gallery {
    async fn holds(&self, file: FileId) -> Result<bool, StoreError> {
        Ok(self.shown().iter().any(|(shown, _)| *shown == file))
    }

    async fn attach(&self, file: FileId, image: Image) -> Result<Outcome, StoreError> {
        let rivals =
            self.rivals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if rivals.is_ok() {
            return Ok(Outcome::NotAwaited);
        }
        match self.images.attached(file).send::<IgnoredAny>().await {
            Ok(_) => {
                self.shown.lock().unwrap().push((file, image));
                Ok(Outcome::Attached)
            }
            Err(StoreError::ConditionFailed { .. }) => Ok(Outcome::NotAwaited),
            Err(error) => Err(error),
        }
    }
}

fn key(file: FileId) -> String {
    format!("avatars/{}/{}", file.owner, file.upload_id)
}

fn now() -> Timestamp {
    Timestamp::from_millis(NOW)
}
