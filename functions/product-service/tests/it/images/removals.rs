//! Pictures that are taken away, and their files with them.

use domain_events::{Payload, payload};
use dynamodb_store::Key;
use serde_json::json;
use test_support::door;
use uuid::Uuid;

use crate::{BUCKET, Shop, TRACEPARENT, path, store, types};

#[tokio::test]
async fn a_picture_that_was_taken_away_is_erased_with_all_its_versions() {
    let shop = Shop::open();
    let product = shop.product(1).await;
    let (one, other) = (shop.picture(product).await, shop.picture(product).await);
    shop.upload(&one);
    shop.publish().await;
    let delete = door::http_v2("DELETE", &one.path()).header("traceparent", TRACEPARENT);
    let stale = shop.admin(delete.clone().header("if-match", "\"1\"")).await;
    assert_eq!((stale.status, shop.shown(product).await.len()), (412, 2));
    assert_eq!(shop.admin(delete.header("if-match", "\"3\"")).await.status, 204);
    assert_eq!(
        (shop.shown(product).await, shop.read(product).await.header("etag")),
        (vec![other.id], Some("\"4\""))
    );
    assert_eq!((shop.fate(&one).await.0.as_str(), shop.remove(&one).await.status), ("removed", 404));

    let events = shop.carry_events().await;
    assert_eq!(types(&events), ["product_updated", "product_image_removed"]);
    let removed = payload::ProductImage { product_id: product, image_id: one.id };
    assert_eq!(
        (&events[1].payload, &*events[1].subject),
        (&Payload::ProductImageRemoved(removed), &*product.to_string())
    );
    assert_eq!(events[1].traceparent.as_deref(), Some(TRACEPARENT));
    assert_eq!(shop.bucket.keys(BUCKET), [other.key()]);
    // The bucket tells of the file once more, which was there.
    shop.arrived([&one]).await;
    assert_eq!((shop.shown(product).await, shop.carry_events().await.len()), (vec![other.id], 0));
}

#[tokio::test]
async fn a_picture_whose_upload_is_forgotten_can_be_taken_away() {
    let shop = Shop::open();
    let product = shop.product(1).await;
    let upload = shop.picture(product).await;
    store(&shop.table).delete(Key::new("product_id", format!("upload#{}", upload.id))).send().await.unwrap();
    shop.publish().await;
    assert_eq!(shop.remove(&upload).await.status, 204);
    assert_eq!(types(&shop.carry_events().await), ["product_updated", "product_image_removed"]);
    assert_eq!((shop.shown(product).await.len(), shop.bucket.keys(BUCKET).len()), (0, 0));
}

#[tokio::test]
async fn a_picture_that_is_taken_away_while_it_is_uploaded_never_appears() {
    let shop = Shop::open();
    let product = shop.product(1).await;
    let upload = shop.ask(product).await;
    assert_eq!(shop.remove(&upload).await.status, 204);
    shop.upload(&upload);
    shop.arrived([&upload]).await;
    assert_eq!((shop.shown(product).await.len(), shop.bucket.keys(BUCKET).len()), (0, 0));
    assert_eq!((shop.fate(&upload).await.0.as_str(), shop.remove(&upload).await.status), ("removed", 404));
}

#[tokio::test]
async fn the_pictures_of_a_product_go_with_it() {
    let shop = Shop::open();
    let (gone, kept) = (shop.product(1).await, shop.product(1).await);
    let picture = shop.picture(gone).await;
    let awaited = shop.ask(gone).await;
    let other = shop.picture(kept).await;
    assert_eq!(shop.admin(door::http_v2("DELETE", &path(gone))).await.status, 204);
    shop.upload(&awaited);
    shop.carry_events().await;
    assert_eq!(shop.bucket.keys(BUCKET), [other.key()]);
    // One upload had begun before, and ends now.
    shop.upload(&awaited);
    shop.arrived([&awaited, &picture]).await;
    assert_eq!(shop.bucket.keys(BUCKET), [other.key()]);
    assert_eq!((shop.remove(&awaited).await.status, shop.admin(Shop::asking(gone)).await.status), (404, 404));
}

#[tokio::test]
async fn pictures_stay_whatever_else_changes() {
    let shop = Shop::open();
    let product = shop.product(5).await;
    let upload = shop.picture(product).await;
    let mut put = crate::mug(1);
    put.as_object_mut().unwrap().remove("stock");
    for request in [
        door::http_v2("PUT", &path(product)).json(&put),
        door::http_v2("PATCH", &path(product)).json(&json!({ "name": "Cup" })),
        door::http_v2("POST", &format!("{}/stock", path(product))).json(&json!({ "change": 1 })),
    ] {
        let answer = shop.admin(request).await;
        assert_eq!((answer.status, &answer.json()["images"][0]["image_id"]), (200, &json!(upload.id)));
    }
    let order = Uuid::now_v7();
    shop.deliver([crate::placed(order, &[(product, 2)])]).await;
    assert_eq!(shop.db_state(order).await.as_deref(), Some("RESERVED"));
    assert_eq!((shop.stock(product).await, shop.shown(product).await), (4, vec![upload.id]));
}
