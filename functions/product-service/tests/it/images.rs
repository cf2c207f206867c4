//! Pictures of products: asked for, uploaded and shown.

/// Where pictures are read.
mod addresses;
/// Writes whose outcome is not known at first.
mod cuts;
/// Pictures that go.
mod removals;
/// Everything in any order and at once.
mod stories;

use access_token::Role;
use domain_events::{Event, Payload, payload};
use dynamodb_store::Key;
use serde_json::{Value, json};
use test_support::door::{self, HttpAnswer, HttpEvent};
use uuid::Uuid;

use crate::{ALL_DONE, BUCKET, IMAGE_QUEUE, Shop, TRACEPARENT, message, path, store, types};

/// An upload that was asked for.
struct Upload {
    product: Uuid,
    id: Uuid,
}

impl Upload {
    /// The path of the product's image that it becomes.
    fn path(&self) -> String {
        format!("{}/images/{}", path(self.product), self.id)
    }

    fn key(&self) -> String {
        format!("images/{}/{}", self.product, self.id)
    }

    /// What the bucket says when the file has arrived.
    fn notification(&self) -> String {
        notification(BUCKET, &self.key())
    }
}

fn notification(bucket: &str, key: &str) -> String {
    json!({ "Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1", "eventName": "ObjectCreated:Put",
        "eventTime": "2026-11-22T09:44:00.000Z", "userIdentity": {}, "requestParameters": {}, "responseElements": {},
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": { "name": bucket, "arn": format!("arn:aws:s3:::{bucket}") },
            "object": { "key": key, "size": 45, "sequencer": "0055AED6DCD90281E5" },
        },
    }]})
    .to_string()
}

/// A PNG as far as its head goes.
fn png(width: u32, height: u32) -> Vec<u8> {
    let (width, height) = (width.to_be_bytes(), height.to_be_bytes());
    let header =
        [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), &width, &height, b"\x08\x06\0\0\0\0\0\0\0"].concat();
    [header, b"\0\0\0\0IEND\xaeB`\x82".to_vec()].concat()
}

fn request(size: usize) -> Value {
    json!({ "content_type": "image/png", "size": size, "sha256": "0".repeat(64) })
}

impl Shop {
    pub(crate) fn asking(product: Uuid) -> HttpEvent {
        door::http_v2("POST", &format!("{}/images", path(product))).json(&request(png(1, 1).len()))
    }

    async fn ask(&self, product: Uuid) -> Upload {
        let answer = self.admin(Self::asking(product).header("traceparent", TRACEPARENT)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        Upload { product, id: answer.json()["upload_id"].as_str().unwrap().parse().unwrap() }
    }

    /// Puts the file of an upload into the bucket; the bucket has not told of it yet.
    fn upload(&self, upload: &Upload) {
        self.bucket.put(BUCKET, &upload.key(), "image/png", png(640, 480));
    }

    async fn arrived(&self, uploads: impl IntoIterator<Item = &Upload>) {
        let messages: Vec<String> = uploads.into_iter().map(Upload::notification).collect();
        assert_eq!(self.deliver_from(IMAGE_QUEUE, messages).await, ALL_DONE);
    }

    /// A picture of a product, from the request to its place in the product.
    async fn picture(&self, product: Uuid) -> Upload {
        let upload = self.ask(product).await;
        self.upload(&upload);
        self.arrived([&upload]).await;
        upload
    }

    /// Status and reason of an upload, as its owner sees them.
    async fn fate(&self, upload: &Upload) -> (String, Option<String>) {
        let answer = self.admin(door::http_v2("GET", &format!("{}/upload", upload.path()))).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let text = |name: &str| answer.json()[name].as_str().map(str::to_owned);
        (text("status").unwrap(), text("reason"))
    }

    async fn remove(&self, upload: &Upload) -> HttpAnswer {
        self.admin(door::http_v2("DELETE", &upload.path())).await
    }

    async fn shown(&self, product: Uuid) -> Vec<Uuid> {
        let read = self.read(product).await.json();
        let images = read["images"].as_array().cloned().unwrap_or_default();
        images.iter().map(|image| image["image_id"].as_str().unwrap().parse().unwrap()).collect()
    }

    /// Publishes what changed, and delivers to the queue what its subscription lets through.
    async fn carry_events(&self) -> Vec<Event> {
        let events = self.publish().await;
        let wanted = |event: &&Event| {
            matches!(event.payload, Payload::ProductDeleted(_) | Payload::ProductImageRemoved(_))
        };
        let messages: Vec<String> =
            events.iter().filter(wanted).map(|event| event.to_json().unwrap()).collect();
        assert_eq!(self.deliver_from(IMAGE_QUEUE, messages).await, ALL_DONE);
        events
    }
}

fn attached() -> (String, Option<String>) {
    ("attached".to_owned(), None)
}

fn refused(reason: &str) -> (String, Option<String>) {
    ("refused".to_owned(), Some(reason.to_owned()))
}

#[tokio::test]
async fn an_upload_is_answered_with_an_address_for_this_file_alone() {
    let shop = Shop::open();
    let product = shop.product(1).await;
    let answer = shop.admin(Shop::asking(product)).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let upload = answer.json();
    let id = upload["upload_id"].as_str().unwrap();
    assert_eq!((&upload["status"], &upload["method"]), (&json!("pending"), &json!("PUT")));
    let url = upload["url"].as_str().unwrap();
    assert!(url.contains(&format!("/{BUCKET}/images/{product}/{id}?")), "{url}");
    assert!(url.contains("X-Amz-Expires=300"), "{url}");
    let location = answer.header("location").unwrap();
    assert_eq!(location, format!("/api/products/{product}/images/{id}/upload"));
    let status = shop.admin(door::http_v2("GET", location)).await.json();
    assert_eq!(status, json!({ "upload_id": id, "status": "pending" }));
    assert_eq!(shop.shown(product).await, Vec::<Uuid>::new());
    let events = shop.publish().await;
    assert_eq!(types(&events), ["product_created"], "an upload that is awaited is nothing to others");
}

#[tokio::test]
async fn a_picture_that_has_arrived_is_shown() {
    let shop = Shop::open();
    let product = shop.product(1).await;
    shop.publish().await;
    let upload = shop.picture(product).await;
    let read = shop.read(product).await;
    let image = &read.json()["images"][0];
    let known = ["image_id", "content_type", "width", "height"].map(|name| image[name].clone());
    assert_eq!(known, [json!(upload.id), json!("image/png"), json!(640), json!(480)]);
    let url = image["url"].as_str().unwrap();
    assert!(
        url.contains(&format!("/{BUCKET}/{}?", upload.key())) && url.contains("X-Amz-Expires=1800"),
        "{url}"
    );
    assert_eq!((read.header("etag"), shop.fate(&upload).await), (Some("\"2\""), attached()));

    let events = shop.publish().await;
    assert_eq!(types(&events), ["product_updated"]);
    assert_eq!(events[0].traceparent.as_deref(), Some(TRACEPARENT), "that of the request for the upload");
    assert!(
        !shop.topic.published().iter().any(|published| published.message.contains(&upload.id.to_string()))
    );

    // The bucket may tell of it again, also long after the upload's row has expired.
    shop.arrived([&upload, &upload]).await;
    let key = Key::new("product_id", format!("upload#{}", upload.id));
    store(&shop.table).delete(key).send().await.unwrap();
    shop.arrived([&upload]).await;
    assert_eq!((shop.shown(product).await, shop.bucket.keys(BUCKET)), (vec![upload.id], vec![upload.key()]));
    assert!(shop.publish().await.is_empty(), "nothing has changed");
}

/// With ten signed addresses for each product a page would be larger than a load balancer lets it be.
#[tokio::test]
async fn lists_show_the_first_picture_alone() {
    let shop = Shop::open();
    let (bare, product) = (shop.product(1).await, shop.product(1).await);
    let first = shop.ask(product).await;
    let second = shop.picture(product).await;
    shop.upload(&first);
    shop.arrived([&first]).await;
    assert_eq!(shop.shown(product).await, [first.id, second.id]);
    for list in ["/api/products", "/api/products?category=Kitchen"] {
        let items = shop.http(door::http_v2("GET", list)).await.json()["items"].clone();
        let images = |of: Uuid| {
            let item = items.as_array().unwrap().iter().find(|item| item["product_id"] == json!(of));
            let images = item.unwrap()["images"].as_array().unwrap();
            images.iter().map(|image| image["image_id"].clone()).collect::<Vec<_>>()
        };
        assert_eq!((images(bare), images(product)), (vec![], vec![json!(first.id)]), "{list}");
    }
}

#[tokio::test]
async fn what_is_no_picture_is_erased_and_its_owner_told_why() {
    let shop = Shop::open();
    let product = shop.product(1).await;
    let size = png(1, 1).len();
    for (content_type, file, reason) in [
        ("image/png", vec![b'x'; size], "not-an-image"),
        ("image/png", png(640, 480)[..2].to_vec(), "other-size"),
        ("image/jpeg", png(640, 480), "other-type"),
        ("image/png", png(640, 0), "dimensions"),
        ("image/png", png(50_000, 50_000), "dimensions"),
    ] {
        let upload = shop.ask(product).await;
        shop.bucket.put(BUCKET, &upload.key(), content_type, file);
        shop.arrived([&upload, &upload]).await;
        assert_eq!(shop.fate(&upload).await, refused(reason));
        assert_eq!(shop.bucket.keys(BUCKET), [""; 0], "{reason}");
        // A proper file that comes to the same place is too late.
        shop.upload(&upload);
        shop.arrived([&upload]).await;
        assert_eq!((shop.fate(&upload).await, shop.bucket.keys(BUCKET)), (refused(reason), vec![]));
    }
    assert_eq!(shop.read(product).await.json()["version"], 1);
}

#[tokio::test]
async fn pictures_are_in_the_order_in_which_they_were_asked_for() {
    let shop = Shop::open();
    let product = shop.product(1).await;
    let mut uploads = Vec::new();
    for _ in 0..4 {
        uploads.push(shop.ask(product).await);
    }
    let ids: Vec<Uuid> = uploads.iter().map(|upload| upload.id).collect();
    for last in [2, 0, 3, 1] {
        shop.upload(&uploads[last]);
        shop.arrived([&uploads[last]]).await;
    }
    assert_eq!(shop.shown(product).await, ids);
    assert_eq!(shop.remove(&uploads[1]).await.status, 204);
    assert_eq!(shop.shown(product).await, [ids[0], ids[2], ids[3]]);
}

#[tokio::test]
async fn a_product_has_ten_pictures_however_many_arrive_at_once() {
    let shop = Shop::open();
    let product = shop.product(1).await;
    let mut uploads = Vec::new();
    for _ in 0..13 {
        uploads.push(shop.ask(product).await);
        shop.upload(uploads.last().unwrap());
    }
    shop.arrived(&uploads[..6]).await;
    shop.arrived(&uploads[6..]).await;
    let shown = shop.shown(product).await;
    assert_eq!((shown.len(), shown.is_sorted()), (10, true));
    for upload in &uploads {
        let expected = if shown.contains(&upload.id) { attached() } else { refused("too-many-images") };
        assert_eq!(shop.fate(upload).await, expected);
    }
    let mut files: Vec<String> =
        uploads.iter().filter(|upload| shown.contains(&upload.id)).map(Upload::key).collect();
    files.sort();
    assert_eq!(shop.bucket.keys(BUCKET), files);

    let answer = shop.admin(Shop::asking(product)).await;
    assert_eq!(
        (answer.status, &answer.json()["type"]),
        (409, &json!("urn:problem-type:shop:too-many-images"))
    );
    let one = uploads.iter().find(|upload| shown.contains(&upload.id)).unwrap();
    assert_eq!(shop.remove(one).await.status, 204);
    shop.picture(product).await;
    assert_eq!(shop.shown(product).await.len(), 10);
}

#[tokio::test]
async fn a_bucket_that_is_away_loses_nothing() {
    let shop = Shop::open();
    let product = shop.product(1).await;
    let upload = shop.ask(product).await;
    shop.upload(&upload);
    shop.bucket.fail_calls(3);
    assert_eq!(shop.deliver_from(IMAGE_QUEUE, [upload.notification()]).await, [0]);
    assert_eq!((shop.shown(product).await.len(), shop.bucket.keys(BUCKET).len()), (0, 1));
    shop.arrived([&upload]).await;
    assert_eq!(shop.shown(product).await, [upload.id]);
}

#[tokio::test]
async fn what_the_bucket_tells_of_other_objects_is_set_aside_alone() {
    let shop = Shop::open();
    let product = shop.product(1).await;
    let upload = shop.ask(product).await;
    shop.upload(&upload);
    let test_event = json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET }).to_string();
    let messages = [
        notification(BUCKET, "images/mug.png"),
        test_event,
        upload.notification(),
        notification("another-bucket", &upload.key()),
        // Gone before anybody looked at it, or never asked for.
        Upload { product, id: Uuid::now_v7() }.notification(),
    ];
    assert_eq!(shop.deliver_from(IMAGE_QUEUE, messages).await, [0, 3]);
    assert_eq!(shop.shown(product).await, [upload.id]);
    assert_eq!(shop.deliver([upload.notification()]).await, [0], "not from the queue of the stock");
}

#[tokio::test]
async fn events_that_concern_no_file_are_let_pass() {
    let shop = Shop::open();
    let removed = payload::ProductImage { product_id: Uuid::now_v7(), image_id: Uuid::now_v7() };
    let messages = [
        message(Payload::ProductImageRemoved(removed)),
        message(Payload::UserAvatarRemoved(payload::Avatar { user_id: Uuid::nil(), upload_id: Uuid::nil() })),
    ];
    assert_eq!(shop.deliver_from(IMAGE_QUEUE, messages).await, ALL_DONE);
}

#[tokio::test]
async fn only_admins_keep_pictures() {
    let shop = Shop::open();
    let (product, other) = (shop.product(1).await, shop.product(1).await);
    let upload = shop.picture(product).await;
    for request in [
        Shop::asking(product),
        door::http_v2("GET", &format!("{}/upload", upload.path())),
        door::http_v2("DELETE", &upload.path()),
        door::http_v2("DELETE", &format!("{}/images/none", path(product))),
    ] {
        assert_eq!(shop.http(request.clone()).await.status, 401);
        assert_eq!(shop.http(request.bearer(&shop.token(Role::Customer))).await.status, 403);
    }
    for missing in [
        Upload { product: other, id: upload.id }.path(),
        Upload { product, id: Uuid::now_v7() }.path(),
        format!("{}/images/none", path(product)),
        format!("/api/products/none/images/{}", upload.id),
    ] {
        for request in [door::http_v2("GET", &format!("{missing}/upload")), door::http_v2("DELETE", &missing)]
        {
            assert_eq!(shop.admin(request).await.status, 404, "{missing}");
        }
    }
    assert_eq!(shop.admin(Shop::asking(Uuid::now_v7())).await.status, 404);
    let body = json!({ "content_type": "image/gif", "size": 0, "sha256": "", "key": "images/x" });
    let answer = shop.admin(door::http_v2("POST", &format!("{}/images", path(product))).json(&body)).await;
    let mut pointers: Vec<String> = answer.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].to_string())
        .collect();
    pointers.sort();
    assert_eq!(
        (answer.status, pointers.join(" ")),
        (400, r#""/content_type" "/key" "/sha256" "/size""#.to_owned())
    );
    assert_eq!(shop.shown(product).await, [upload.id]);
}
