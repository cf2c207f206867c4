use dynamodb_store::{Key, StoreError, Update};
use image_uploads::{FileId, State, UploadStatus};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;
use test_support::CountingEndpoint;
use uuid::Uuid;

use crate::{Gallery, NOW, now};

/// What DynamoDB and other readers of the table look at.
#[derive(Debug, PartialEq, Deserialize)]
struct Stored {
    upload_state: String,
    expires_at: i64,
    email: Option<String>,
    name: Option<String>,
    state: Option<String>,
    /// A fingerprint of the file.
    sha256: Option<String>,
}

impl Gallery {
    async fn stored(&self, file: FileId) -> Stored {
        let key = Key::new("user_id", format!("upload#{}", file.upload_id));
        self.table.get(&key, dynamodb_store::Consistency::Strong).await.unwrap().unwrap()
    }
}

/// Whether the write's condition held.
async fn happens(write: Update) -> bool {
    match write.send::<IgnoredAny>().await {
        Ok(_) => true,
        Err(StoreError::ConditionFailed { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn an_upload_is_found_with_its_owner_alone() {
    let gallery = Gallery::open();
    let file = gallery.ask("image/png", 10).await;
    assert!(matches!(gallery.upload(file).await.state, State::Pending(_)));
    let status = serde_json::to_value(UploadStatus::from(&gallery.upload(file).await)).unwrap();
    assert_eq!(status, json!({"upload_id": file.upload_id, "status": "pending"}));
    let find = async |file| gallery.images.find(file).await.unwrap();
    assert_eq!(find(FileId { owner: Uuid::now_v7(), ..file }).await, None);
    assert_eq!(find(FileId { upload_id: Uuid::now_v7(), ..file }).await, None);
}

#[tokio::test]
async fn an_upload_is_noted_once_also_when_the_first_answer_gets_lost() {
    let endpoint = CountingEndpoint::start("{}");
    let gallery = Gallery::reaching(&test_support::sdk_config(endpoint.endpoint()));
    endpoint.lose_answer("PutItem");
    let file = gallery.ask("image/png", 10).await;
    assert!(matches!(gallery.upload(file).await.state, State::Pending(_)));
    let writes = endpoint.take().into_iter().filter(|call| call.operation == "PutItem").count();
    assert_eq!(writes, 2, "one whose answer got lost, one that found it done");
}

#[tokio::test]
async fn a_row_goes_by_itself_after_a_month_and_is_taken_for_no_other() {
    let gallery = Gallery::open();
    let file = gallery.ask("image/png", 10).await;
    let stored = gallery.stored(file).await;
    assert_eq!(stored.expires_at, NOW / 1000 + 30 * 24 * 60 * 60);
    assert_eq!((stored.email, stored.name, stored.state, stored.sha256), (None, None, None, None));
}

#[tokio::test]
async fn a_file_is_attached_or_given_up_once_and_while_it_is_awaited() {
    let gallery = Gallery::open();
    let images = &gallery.images;
    let attached = gallery.ask("image/png", 10).await;
    assert!(!happens(images.attached(FileId { owner: Uuid::now_v7(), ..attached })).await);
    assert!(happens(images.attached(attached)).await);
    assert!(!happens(images.attached(attached)).await);
    assert!(!happens(images.cancelled(attached, now())).await);
    let cancelled = gallery.ask("image/png", 10).await;
    assert!(happens(images.cancelled(cancelled, now())).await);
    assert!(!happens(images.attached(cancelled)).await);
    assert!(!happens(images.cancelled(cancelled, now())).await);
    let states = [gallery.upload(attached).await.state, gallery.upload(cancelled).await.state];
    assert_eq!(states, [State::Attached, State::Removed]);
    assert!(!happens(images.attached(FileId { owner: Uuid::now_v7(), upload_id: Uuid::now_v7() })).await);
}

#[tokio::test]
async fn a_picture_is_removed_also_when_its_row_has_expired() {
    let gallery = Gallery::open();
    let file = gallery.ask("image/png", 10).await;
    let unknown = FileId { owner: file.owner, upload_id: Uuid::now_v7() };
    for file in [file, unknown] {
        assert!(happens(gallery.images.removed(file, now())).await);
        assert_eq!(gallery.upload(file).await.state, State::Removed);
        assert_eq!(gallery.stored(file).await.upload_state, "removed");
    }
    let records = gallery.rows.new_stream_records();
    assert_eq!(records.len(), 3);
}
