/// Writes whose outcome is not known at first.
mod cuts;

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use test_support::door::{self, HttpAnswer};
use uuid::Uuid;

use crate::{BUCKET, Registered, Shop, assert_problem};

const QUEUE: &str = "dev-avatar-uploads";

/// A PNG of this size, as far as anybody looks at it.
pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(),
        &width.to_be_bytes(),
        &height.to_be_bytes(),
        &[8, 6, 0, 0, 0],
    ]
    .concat()
}

pub(crate) fn request(file: &[u8]) -> Value {
    json!({"content_type": "image/png", "size": file.len(), "sha256": "0".repeat(64)})
}

/// A notification as S3 writes it.
fn notification(keys: &[&str]) -> String {
    let record = |key: &&str| {
        json!({
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": "us-east-1",
            "eventTime": "2026-11-22T09:44:00.000Z",
            "eventName": "ObjectCreated:Put",
            "userIdentity": {"principalId": "AWS:AROAEXAMPLE:dev-user-service-lambda"},
            "requestParameters": {"sourceIPAddress": "192.0.2.1"},
            "responseElements": {},
            "s3": {
                "s3SchemaVersion": "1.0",
                "bucket": {"name": BUCKET, "arn": format!("arn:aws:s3:::{BUCKET}")},
                "object": {"key": key, "size": 1, "sequencer": "0055AED6DCD90281E5"},
            },
        })
    };
    json!({"Records": keys.iter().map(record).collect::<Vec<_>>()}).to_string()
}

impl Registered {
    fn key(&self, upload_id: &str) -> String {
        format!("avatars/{}/{upload_id}", self.user_id)
    }
}

impl Shop {
    async fn ask(&self, user: &Registered, request: &Value) -> HttpAnswer {
        self.call(door::http_v2("POST", "/api/users/me/avatar").bearer(&user.token).json(request)).await
    }

    /// Asks for an upload of this file; answers its id.
    async fn expect(&self, user: &Registered, file: &[u8]) -> String {
        let answer = self.ask(user, &request(file)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()["upload_id"].as_str().unwrap().to_owned()
    }

    /// Puts a file where its upload is expected, and lets the bucket tell of it.
    async fn upload(&self, user: &Registered, upload_id: &str, file: Vec<u8>) {
        self.put(user, upload_id, file);
        self.notify(&[&user.key(upload_id)]).await;
    }

    fn put(&self, user: &Registered, upload_id: &str, file: Vec<u8>) {
        self.bucket.put(BUCKET, &user.key(upload_id), "image/png", file);
    }

    async fn notify(&self, keys: &[&str]) {
        let answer = self.invoke(door::sqs(QUEUE, [notification(keys)])).await;
        assert_eq!(door::failures(&answer), [""; 0], "{keys:?}");
    }

    async fn upload_status(&self, user: &Registered, upload_id: &str) -> HttpAnswer {
        let path = format!("/api/users/me/avatar/uploads/{upload_id}");
        self.call(door::http_v2("GET", &path).bearer(&user.token)).await
    }

    async fn status(&self, user: &Registered, upload_id: &str) -> (String, Option<String>) {
        let answer = self.upload_status(user, upload_id).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let text = |member: &str| answer.json()[member].as_str().map(str::to_owned);
        (text("status").unwrap(), text("reason"))
    }

    async fn delete_avatar(&self, user: &Registered) -> HttpAnswer {
        self.call(door::http_v2("DELETE", "/api/users/me/avatar").bearer(&user.token)).await
    }

    /// The upload that the user's avatar came by.
    async fn avatar(&self, user: &Registered) -> Option<String> {
        let me = self.me(&user.token).await.json();
        me["avatar"]["upload_id"].as_str().map(str::to_owned)
    }

    /// Publishes the new changes, and lets the queue have those that its subscription lets through. Answers their types.
    pub(crate) async fn tell_the_queue(&self) -> Vec<String> {
        let before = self.topic.published().len();
        let events = self.published().await.split_off(before);
        let wanted = ["user_deleted", "user_avatar_removed"];
        let (types, messages): (Vec<String>, Vec<String>) = events
            .iter()
            .map(|event| (event["type"].as_str().unwrap().to_owned(), event.to_string()))
            .filter(|(name, _)| wanted.contains(&name.as_str()))
            .unzip();
        if !messages.is_empty() {
            let answer = self.invoke(door::sqs(QUEUE, messages)).await;
            assert_eq!(door::failures(&answer), [""; 0]);
        }
        types
    }

    fn keys(&self) -> Vec<String> {
        self.bucket.keys(BUCKET)
    }
}

fn refused(reason: &str) -> (String, Option<String>) {
    ("refused".to_owned(), Some(reason.to_owned()))
}

fn state(name: &str) -> (String, Option<String>) {
    (name.to_owned(), None)
}

#[tokio::test]
async fn an_upload_is_asked_for_with_what_it_will_be() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let answer = shop.ask(&user, &request(&png(640, 480))).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let upload = answer.json();
    let upload_id = upload["upload_id"].as_str().unwrap();
    let location = format!("/api/users/me/avatar/uploads/{upload_id}");
    assert_eq!(answer.header("location"), Some(&*location));
    assert_eq!((&upload["status"], &upload["method"]), (&json!("pending"), &json!("PUT")));
    let headers = json!({
        "content-type": "image/png",
        "content-length": "29",
        "if-none-match": "*",
        "x-amz-checksum-sha256": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    });
    assert_eq!(upload["headers"], headers);
    let url = upload["url"].as_str().unwrap();
    assert!(url.contains(&format!("/{BUCKET}/{}?", user.key(upload_id))), "{url}");
    assert!(url.contains("X-Amz-Expires=300&"), "{url}");
    assert!(
        url.contains(
            "SignedHeaders=content-length%3Bcontent-type%3Bhost%3Bif-none-match%3Bx-amz-checksum-sha256&"
        ),
        "{url}"
    );
    assert_eq!(shop.status(&user, upload_id).await, state("pending"));
    assert_eq!(shop.avatar(&user).await, None);
}

#[tokio::test]
async fn a_request_that_is_out_of_bounds_is_refused() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    for (field, value) in [
        ("content_type", json!("image/gif")),
        ("size", json!(0)),
        ("size", json!(5 * 1024 * 1024 + 1)),
        ("sha256", json!("00")),
        ("owner", json!(Uuid::nil())),
        ("key", json!("avatars/x")),
    ] {
        let mut body = request(&[0]);
        body[field] = value;
        let answer = shop.ask(&user, &body).await;
        assert_problem(&answer, 400, "invalid-input", &[&format!("/{field}")]);
    }
    let anonymous = door::http_v2("POST", "/api/users/me/avatar").json(&request(&[0]));
    assert_problem(&shop.call(anonymous).await, 401, "unauthorized", &[]);
}

#[tokio::test]
async fn who_is_gone_can_ask_for_nothing() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    shop.delete_me(&user.token).await;
    assert_problem(&shop.ask(&user, &request(&[0])).await, 401, "unauthorized", &[]);
    assert_problem(&shop.delete_avatar(&user).await, 401, "unauthorized", &[]);
    assert!(shop.db_dump().await.iter().all(|row| !row.contains("upload#")));
}

#[tokio::test]
async fn an_upload_is_seen_by_its_owner_alone() {
    let shop = Shop::open();
    let (ada, eve) = (shop.register("ada@example.com").await, shop.register("eve@example.com").await);
    let upload = shop.expect(&ada, &png(1, 1)).await;
    assert_problem(&shop.upload_status(&eve, &upload).await, 404, "not-found", &[]);
    for nothing in [Uuid::now_v7().to_string(), ada.user_id.to_string(), "nonsense".to_owned()] {
        assert_problem(&shop.upload_status(&ada, &nothing).await, 404, "not-found", &[]);
    }
    // Nor can Eve put it where hers would be.
    shop.upload(&eve, &upload, png(1, 1)).await;
    assert_eq!((shop.avatar(&ada).await, shop.avatar(&eve).await, shop.keys()), (None, None, vec![]));
    assert_eq!(shop.status(&ada, &upload).await, state("pending"));
}

#[tokio::test]
async fn what_has_arrived_is_the_avatar() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let upload = shop.expect(&user, &png(640, 480)).await;
    shop.upload(&user, &upload, png(640, 480)).await;
    assert_eq!(shop.status(&user, &upload).await, state("attached"));
    let me = shop.me(&user.token).await;
    let avatar = &me.json()["avatar"];
    assert_eq!((&avatar["upload_id"], &avatar["content_type"]), (&json!(upload), &json!("image/png")));
    assert_eq!((&avatar["width"], &avatar["height"]), (&json!(640), &json!(480)));
    let url = avatar["url"].as_str().unwrap();
    assert!(url.contains(&format!("/{BUCKET}/{}?", user.key(&upload))), "{url}");
    assert!(url.contains("X-Amz-Expires=1800&") && url.contains("SignedHeaders=host&"), "{url}");
    assert_eq!(me.header("etag"), Some("\"2\""));

    // An admin sees it, too; a list has none.
    let admin = shop.admin_token().await;
    let path = format!("/api/users/{}", user.user_id);
    let read = shop.call(door::http_v2("GET", &path).bearer(&admin)).await.json();
    assert_eq!(&read["avatar"]["upload_id"], &json!(upload));
    let list = shop.call(door::http_v2("GET", "/api/users").bearer(&admin)).await;
    assert!(!list.body.contains("avatar"), "{}", list.body);

    // Other changes leave it alone.
    let renamed = shop.change_me(&user.token, json!({"name": "Ada King"})).await;
    assert_eq!(&renamed.json()["avatar"]["upload_id"], &json!(upload));
    assert_eq!(shop.avatar(&user).await, Some(upload));
}

#[tokio::test]
async fn an_address_changes_every_quarter_of_an_hour() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let upload = shop.expect(&user, &png(1, 1)).await;
    shop.upload(&user, &upload, png(1, 1)).await;
    let address = async || shop.me(&user.token).await.json()["avatar"]["url"].clone();
    let first = address().await;
    shop.clock.advance(Duration::from_secs(15 * 60));
    assert_ne!(address().await, first);
}

#[tokio::test]
async fn what_is_not_as_declared_is_erased_and_its_owner_learns_why() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let jpeg = b"\xff\xd8\xff\xc0\0\x11\x08\0\x01\0\x01\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    for (declared, file, reason) in [
        (png(1, 1), [png(1, 1), vec![0]].concat(), "other-size"),
        (png(1, 1), vec![], "other-size"),
        (vec![0; 2], vec![0x89, b'P'], "not-an-image"),
        (vec![0; 40], b"<!doctype html><title>no image</title>..".to_vec(), "not-an-image"),
        (jpeg.clone(), jpeg, "other-type"),
        (png(1, 1), png(60_000, 60_000), "dimensions"),
    ] {
        let upload = shop.expect(&user, &declared).await;
        shop.upload(&user, &upload, file).await;
        assert_eq!(shop.status(&user, &upload).await, refused(reason));
        assert_eq!(shop.keys(), [""; 0], "{reason}");
        // A second copy is of no use either.
        shop.upload(&user, &upload, png(1, 1)).await;
        assert_eq!((shop.status(&user, &upload).await, shop.keys()), (refused(reason), vec![]));
    }
    let upload = shop.expect(&user, &png(1, 1)).await;
    shop.bucket.put(BUCKET, &user.key(&upload), "text/html", png(1, 1));
    shop.notify(&[&user.key(&upload)]).await;
    assert_eq!(shop.status(&user, &upload).await, refused("other-type"));
    assert_eq!((shop.avatar(&user).await, shop.keys()), (None, vec![]));
    assert_eq!(shop.me(&user.token).await.json()["version"], 1);
}

#[tokio::test]
async fn a_new_avatar_replaces_the_old_one_whose_file_is_erased() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let first = shop.expect(&user, &png(1, 1)).await;
    shop.upload(&user, &first, png(1, 1)).await;
    assert_eq!(shop.tell_the_queue().await, [""; 0]);
    let second = shop.expect(&user, &png(2, 2)).await;
    shop.upload(&user, &second, png(2, 2)).await;
    assert_eq!(shop.status(&user, &first).await, state("removed"));
    assert_eq!(shop.keys().len(), 2);
    assert_eq!(shop.tell_the_queue().await, ["user_avatar_removed"]);
    assert_eq!(shop.keys(), [user.key(&second)]);
    assert_eq!(shop.avatar(&user).await, Some(second));
    let told = shop.topic.published();
    let told = told.iter().find(|told| told.event_type.as_deref() == Some("user_avatar_removed")).unwrap();
    let event: Value = serde_json::from_str(&told.message).unwrap();
    assert_eq!(event["subject"], json!(user.user_id));
    assert_eq!(event["data"], json!({"user_id": user.user_id, "upload_id": first}));
}

#[tokio::test]
async fn the_one_asked_for_last_wins_in_whatever_order_they_arrive() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let first = shop.expect(&user, &png(1, 1)).await;
    let second = shop.expect(&user, &png(2, 2)).await;
    shop.upload(&user, &second, png(2, 2)).await;
    shop.upload(&user, &first, png(1, 1)).await;
    assert_eq!(shop.status(&user, &first).await, refused("superseded"));
    assert_eq!((shop.avatar(&user).await, shop.keys()), (Some(second.clone()), vec![user.key(&second)]));
}

#[tokio::test]
async fn repeated_notifications_change_nothing() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let first = shop.expect(&user, &png(1, 1)).await;
    shop.put(&user, &first, png(1, 1));
    let key = user.key(&first);
    join_all((0..4).map(async |_| shop.notify(&[&key, &key]).await)).await;
    assert_eq!(shop.status(&user, &first).await, state("attached"));
    let me = shop.me(&user.token).await.json();
    assert_eq!((&me["version"], &me["avatar"]["upload_id"]), (&json!(2), &json!(first)));
    assert_eq!(shop.keys(), [key]);
}

#[tokio::test]
async fn uploads_that_arrive_at_once_leave_the_last_one_asked_for() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let mut uploads = Vec::new();
    for side in 1..=4 {
        uploads.push(shop.expect(&user, &png(side, side)).await);
        shop.put(&user, uploads.last().unwrap(), png(side, side));
    }
    let keys: Vec<String> = uploads.iter().map(|upload| user.key(upload)).collect();
    join_all(keys.iter().rev().chain(&keys).map(async |key| shop.notify(&[key]).await)).await;
    shop.tell_the_queue().await;
    assert_eq!((shop.avatar(&user).await.as_ref(), shop.keys()), (uploads.last(), keys[3..].to_vec()));
}

#[tokio::test]
async fn a_deleted_avatar_is_gone_and_nothing_asked_for_before_comes_back() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    assert_eq!(shop.delete_avatar(&user).await.status, 204);
    let shown = shop.expect(&user, &png(1, 1)).await;
    shop.upload(&user, &shown, png(1, 1)).await;
    let under_way = shop.expect(&user, &png(2, 2)).await;
    assert_eq!(shop.delete_avatar(&user).await.status, 204);
    shop.upload(&user, &under_way, png(2, 2)).await;
    assert_eq!(shop.status(&user, &under_way).await, refused("superseded"));
    assert_eq!(shop.status(&user, &shown).await, state("removed"));
    assert_eq!(shop.tell_the_queue().await, ["user_avatar_removed"]);
    assert_eq!((shop.avatar(&user).await, shop.keys()), (None, vec![]));
    // What arrives once more is erased once more.
    shop.upload(&user, &shown, png(1, 1)).await;
    assert_eq!(shop.keys(), [""; 0]);
    let next = shop.expect(&user, &png(3, 3)).await;
    shop.upload(&user, &next, png(3, 3)).await;
    assert_eq!(shop.avatar(&user).await, Some(next));
}

#[tokio::test]
async fn nothing_is_kept_of_who_is_gone() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let other = shop.register("eve@example.com").await;
    for user in [&user, &other] {
        let upload = shop.expect(user, &png(1, 1)).await;
        shop.upload(user, &upload, png(1, 1)).await;
        // An older version of the same file.
        shop.put(user, &upload, png(1, 1));
    }
    let under_way = shop.expect(&user, &png(2, 2)).await;
    shop.delete_me(&user.token).await;
    assert_eq!(shop.tell_the_queue().await, ["user_deleted"]);
    assert!(shop.keys().iter().all(|key| key.starts_with(&format!("avatars/{}/", other.user_id))));
    assert_eq!(shop.keys().len(), 1);
    shop.upload(&user, &under_way, png(2, 2)).await;
    assert_eq!(shop.keys().len(), 1);
}

#[tokio::test]
async fn a_file_that_nobody_asked_for_is_erased_and_a_foreign_object_is_left_alone() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    shop.upload(&user, &Uuid::now_v7().to_string(), png(1, 1)).await;
    assert_eq!(shop.keys(), [""; 0]);
    // A file that is gone already is no reason to come again.
    shop.notify(&[&user.key(&shop.expect(&user, &png(1, 1)).await)]).await;

    let upload = shop.expect(&user, &png(1, 1)).await;
    shop.put(&user, &upload, png(1, 1));
    shop.bucket.put(BUCKET, "backup.zip", "application/zip", "x");
    let records = notification(&["backup.zip", &user.key(&upload)]);
    let answer = shop.invoke(door::sqs(QUEUE, [records])).await;
    assert_eq!(door::failures(&answer), [door::message_id(0)]);
    assert_eq!(shop.keys().len(), 2);
    // What came with it is done nevertheless.
    assert_eq!(shop.avatar(&user).await, Some(upload));
}

/// The row of an upload is kept for a month, its message for up to two weeks after it failed.
#[tokio::test]
async fn an_avatar_outlives_the_row_of_its_upload() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let upload = shop.expect(&user, &png(1, 1)).await;
    shop.upload(&user, &upload, png(1, 1)).await;
    shop.db_delete(&format!("upload#{upload}")).await;
    shop.notify(&[&user.key(&upload)]).await;
    assert_eq!((shop.avatar(&user).await.as_ref(), shop.keys().len()), (Some(&upload), 1));
    shop.published().await;
    shop.delete_avatar(&user).await;
    assert_eq!(shop.tell_the_queue().await, ["user_avatar_removed"]);
    assert_eq!((shop.avatar(&user).await, shop.keys()), (None, vec![]));
}

#[tokio::test]
async fn what_could_not_be_finished_is_finished_at_the_next_delivery() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let deliver = async |upload: &str, failing: usize| {
        shop.bucket.fail_calls(failing);
        let message = notification(&[&user.key(upload)]);
        let answer = shop.invoke(door::sqs(QUEUE, [message])).await;
        door::failures(&answer).is_empty()
    };
    for (file, expected) in [(png(1, 1), state("attached")), (vec![b'x'; 30], refused("not-an-image"))] {
        let upload = shop.expect(&user, &file).await;
        shop.put(&user, &upload, file.clone());
        // The SDK makes three tries of each call.
        assert!(!deliver(&upload, 3).await);
        assert_eq!(shop.status(&user, &upload).await, state("pending"));
        assert!(deliver(&upload, 2).await);
        assert_eq!(shop.status(&user, &upload).await, expected);
    }
    // A file that has to be erased waits for its bucket.
    let upload = shop.expect(&user, &[0; 30]).await;
    shop.upload(&user, &upload, vec![b'x'; 30]).await;
    shop.put(&user, &upload, vec![b'x'; 30]);
    assert!(!deliver(&upload, 3).await);
    assert_eq!(shop.keys().len(), 2);
    assert!(deliver(&upload, 0).await);
    assert_eq!(shop.keys().len(), 1);
}

#[tokio::test]
async fn a_change_of_an_avatar_is_told_without_it() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let trace = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01";
    let ask = door::http_v2("POST", "/api/users/me/avatar").bearer(&user.token).header("traceparent", trace);
    let upload =
        shop.call(ask.json(&request(&png(1, 1)))).await.json()["upload_id"].as_str().unwrap().to_owned();
    shop.upload(&user, &upload, png(1, 1)).await;
    let events = shop.published().await;
    let types: Vec<&Value> = events.iter().map(|event| &event["type"]).collect();
    assert_eq!(types, ["user_created", "user_updated"]);
    assert_eq!((&events[1]["traceparent"], &events[1]["data"]["version"]), (&json!(trace), &json!(2)));
    assert!(!events[1].to_string().contains(&upload));
}
