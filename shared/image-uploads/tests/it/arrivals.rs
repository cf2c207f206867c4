use std::sync::atomic::Ordering;

use image_uploads::{FileId, Image, ImageType, Reason, State};
use uuid::Uuid;

use crate::{BUCKET, Gallery, key};

/// A JPEG of 640 × 480 with this much of other data before its size.
fn jpeg(other: usize) -> Vec<u8> {
    let mut file = b"\xff\xd8".to_vec();
    for _ in 0..other / 50_000 {
        file.extend(b"\xff\xe1");
        file.extend(50_002_u16.to_be_bytes());
        file.resize(file.len() + 50_000, 0);
    }
    file.extend(b"\xff\xc0\0\x11\x08\x01\xe0\x02\x80\x03");
    // The picture itself.
    file.resize(file.len() + 100_000, 0);
    file
}

#[tokio::test]
async fn a_size_behind_the_head_of_the_file_is_found() {
    let gallery = Gallery::open();
    for other in [0, 50_000, 100_000, 1_000_000] {
        let picture = jpeg(other);
        let file = gallery.ask("image/jpeg", picture.len()).await;
        gallery.put(file, "image/jpeg", picture);
        gallery.tell(file).await;
        let image = Image { content_type: ImageType::Jpeg, width: 640, height: 480 };
        assert_eq!(gallery.shown().last(), Some(&(file, image)));
        assert_eq!(gallery.upload(file).await.state, State::Attached);
    }
}

#[tokio::test]
async fn a_file_that_ends_before_its_size_is_no_picture() {
    let gallery = Gallery::open();
    let picture = jpeg(100_000)[..80_000].to_vec();
    let file = gallery.ask("image/jpeg", picture.len()).await;
    gallery.put(file, "image/jpeg", picture);
    gallery.tell(file).await;
    assert_eq!(gallery.upload(file).await.state, State::Refused(Reason::NotAnImage));
    assert!(gallery.bucket.keys(BUCKET).is_empty());
}

/// S3 lets anybody add them to a request whose address is signed.
#[tokio::test]
async fn a_file_that_says_how_it_is_to_be_shown_is_refused() {
    let gallery = Gallery::open();
    let picture = jpeg(0);
    for other in [
        ("cache-control", "max-age=31536000, immutable"),
        ("content-disposition", "attachment; filename=\"invoice.exe\""),
        ("content-encoding", "gzip"),
        ("content-language", "la"),
        ("expires", "Thu, 01 Dec 2044 16:00:00 GMT"),
        ("x-amz-meta-note", "anything"),
    ] {
        let file = gallery.ask("image/jpeg", picture.len()).await;
        let headers = [("content-type", "image/jpeg"), other];
        gallery.bucket.put_with(BUCKET, &key(file), &headers, picture.clone());
        gallery.tell(file).await;
        let state = gallery.upload(file).await.state;
        assert_eq!(state, State::Refused(Reason::OtherHeaders), "{other:?}");
        assert_eq!((gallery.shown(), gallery.bucket.keys(BUCKET)), (vec![], vec![]));
    }
}

#[tokio::test]
async fn a_browser_that_does_not_use_its_cache_may_say_so() {
    let gallery = Gallery::open();
    let file = gallery.ask("image/jpeg", jpeg(0).len()).await;
    let headers = [("content-type", "image/jpeg"), ("cache-control", "no-cache")];
    gallery.bucket.put_with(BUCKET, &key(file), &headers, jpeg(0));
    gallery.tell(file).await;
    assert_eq!(gallery.shown().len(), 1);
}

#[tokio::test]
async fn what_changes_meanwhile_is_decided_anew() {
    let gallery = Gallery::open();
    let file = gallery.ask("image/jpeg", jpeg(0).len()).await;
    gallery.put(file, "image/jpeg", jpeg(0));
    gallery.rivals.store(3, Ordering::Relaxed);
    gallery.tell(file).await;
    assert_eq!(gallery.shown().len(), 1);
    assert_eq!(gallery.bucket.keys(BUCKET), [key(file)]);
}

#[tokio::test]
async fn every_version_is_erased_and_nothing_else() {
    let gallery = Gallery::open();
    let owner = Uuid::from_u128(7);
    let file = |number| FileId { owner, upload_id: Uuid::from_u128(number) };
    // More than a page of a list, and than one call deletes.
    for number in 0..2_100 {
        gallery.put(file(number % 2), "image/png", vec![0]);
    }
    let stranger = FileId { owner: Uuid::from_u128(8), ..file(0) };
    gallery.put(stranger, "image/png", vec![0]);
    gallery.images.erase(file(0)).await.unwrap();
    assert_eq!(gallery.bucket.keys(BUCKET), [key(file(1)), key(stranger)]);
    gallery.images.erase_all(owner).await.unwrap();
    assert_eq!(gallery.bucket.keys(BUCKET), [key(stranger)]);
    gallery.images.erase_all(owner).await.unwrap();
    assert_eq!(gallery.bucket.keys(BUCKET), [key(stranger)]);
}
