//! What becomes of files, whatever is repeated, comes late or crosses something else on the way.

use std::thread;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    client::{Client, eventually},
    cloud,
    uploads::{Album, File, Upload, notification},
};

const MOST_IMAGES: usize = 10;

impl Album<'_> {
    /// Says again that an upload has arrived.
    fn notify_again(self, upload: &Upload) {
        cloud::send_message(self.queue(), &notification(&self.bucket(), &self.key(upload)).to_string());
    }

    /// Waits until whatever was sent before has been handled, and something that is sent now.
    fn caught_up(self) {
        let marker = self.prefix() + &Uuid::now_v7().to_string();
        cloud::put_object(&self.bucket(), &marker, b"nobody asked for this");
        self.gone(&marker);
        self.handled();
    }
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_notification_that_comes_twice_changes_nothing() {
    let (customer, admin) = (Client::customer(), Client::admin());
    let product = admin.new_product(1);
    for album in [Album::Avatar(&customer), Album::Product(&admin, &product)] {
        let paused = cloud::pause(album.queue());
        let upload = album.upload(&File::png());
        upload.send(&File::png()).expect(412);
        album.notify_again(&upload);
        album.notify_again(&upload);
        drop(paused);
        assert_eq!(album.outcome(&upload), "attached");
        album.notify_again(&upload);
        upload.send(&File::png()).expect(412);
        album.caught_up();
        assert_eq!((album.ids(), album.keys()), (vec![upload.id.clone()], vec![album.key(&upload)]));

        delete(album, &upload);
        album.empty();
        album.notify_again(&upload);
        upload.send(&File::png()).expect(200);
        album.caught_up();
        album.empty();
        assert_eq!(album.pictures(), [] as [Value; 0]);
    }
}

/// Deletes an attached picture.
fn delete(album: Album<'_>, upload: &Upload) {
    match album {
        Album::Avatar(customer) => customer.send("DELETE", "/api/users/me/avatar", &[], None).expect(204),
        Album::Product(admin, product) => {
            let path = format!("/api/products/{product}");
            let tag = admin.get(&path).header("etag").unwrap().to_owned();
            let image = format!("{path}/images/{}", upload.id);
            admin.send("DELETE", &image, &[("if-match", tag)], None).expect(204)
        }
    };
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn the_avatar_that_was_asked_for_last_wins_in_whatever_order_the_files_arrive() {
    let customer = Client::customer();
    let album = Album::Avatar(&customer);
    let (first, second) = (album.ask(&File::png()), album.ask(&File::jpeg()));
    second.send(&File::jpeg()).expect(200);
    assert_eq!(album.outcome(&second), "attached");
    first.send(&File::png()).expect(200);
    assert_eq!(album.outcome(&first), "superseded");
    album.gone(&album.key(&first));
    assert_eq!(album.ids(), std::slice::from_ref(&second.id));

    let third = album.show(&File::webp());
    album.gone(&album.key(&second));
    assert_eq!(
        (album.ids(), album.status(&second)["status"].clone()),
        (vec![third.id.clone()], json!("removed"))
    );

    let asked: Vec<Upload> =
        (0..3).map(|number| album.ask(&File::png().marked(&number.to_string()))).collect();
    thread::scope(|scope| {
        for (number, upload) in asked.iter().enumerate() {
            scope.spawn(move || upload.send(&File::png().marked(&number.to_string())).expect(200));
        }
    });
    assert_eq!(album.outcome(&asked[2]), "attached");
    for upload in &asked[..2] {
        assert!(["superseded", "removed"].contains(&album.outcome(upload).as_str().unwrap()));
        album.gone(&album.key(upload));
    }
    album.gone(&album.key(&third));
    assert_eq!((album.ids(), album.keys()), (vec![asked[2].id.clone()], vec![album.key(&asked[2])]));
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn what_was_asked_for_before_an_avatar_was_deleted_does_not_come_back() {
    let customer = Client::customer();
    let album = Album::Avatar(&customer);
    let shown = album.show(&File::png());
    let (unsent, paused) = (album.ask(&File::png()), cloud::pause(album.queue()));
    let waiting = album.upload(&File::jpeg());
    delete(album, &shown);
    assert_eq!(album.pictures(), [] as [Value; 0]);
    drop(paused);
    unsent.send(&File::png()).expect(200);
    for upload in [&waiting, &unsent] {
        assert_eq!(album.outcome(upload), "superseded");
    }
    album.empty();
    // Also without one.
    delete(album, &shown);

    let next = album.show(&File::avif());
    assert_eq!(album.ids(), [next.id]);
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_deleted_account_takes_its_files_along_also_those_that_are_under_way() {
    let customer = Client::customer();
    let album = Album::Avatar(&customer);
    album.show(&File::png());
    album.show(&File::jpeg());
    let (unsent, paused) = (album.ask(&File::png()), cloud::pause(album.queue()));
    album.upload(&File::webp());
    customer.send("DELETE", "/api/users/me", &[], None).expect(204);
    unsent.send(&File::png()).expect(200);
    drop(paused);
    album.empty();
    unsent.send(&File::png()).expect(200);
    album.caught_up();
    album.empty();
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_deleted_product_takes_its_images_along_also_those_that_are_under_way() {
    let admin = Client::admin();
    let product = admin.new_product(1);
    let album = Album::Product(&admin, &product);
    album.show(&File::png());
    album.show(&File::jpeg());
    let (unsent, paused) = (album.ask(&File::png()), cloud::pause(album.queue()));
    album.upload(&File::webp());
    admin.send("DELETE", &format!("/api/products/{product}"), &[], None).expect(204);
    unsent.send(&File::png()).expect(200);
    drop(paused);
    album.empty();
    unsent.send(&File::png()).expect(200);
    album.caught_up();
    album.empty();
    assert_eq!(album.try_asking(&File::png()).status, 404);
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_product_shows_ten_images_in_the_order_in_which_they_were_asked_for() {
    let admin = Client::admin();
    let product = admin.new_product(3);
    let album = Album::Product(&admin, &product);
    let files: Vec<File> = (0..=MOST_IMAGES).map(|number| File::png().marked(&number.to_string())).collect();
    let asked: Vec<Upload> = files.iter().map(|file| album.ask(file)).collect();
    thread::scope(|scope| {
        for (upload, file) in asked.iter().zip(&files).rev() {
            scope.spawn(move || upload.send(file).expect(200));
        }
        // What is sold meanwhile is in nobody's way.
        scope.spawn(|| admin.settled(&admin.order(&product, 2)));
    });
    let (attached, refused): (Vec<&Upload>, Vec<&Upload>) =
        asked.iter().partition(|upload| album.outcome(upload) == "attached");
    assert_eq!(attached.len(), MOST_IMAGES);
    assert_eq!(album.outcome(refused[0]), "too-many-images");
    album.gone(&album.key(refused[0]));
    assert_eq!(album.ids(), attached.iter().map(|upload| upload.id.clone()).collect::<Vec<_>>());
    assert_eq!(admin.stock(&product), 1);
    let list = Client::default().get("/api/products?limit=100").expect(200);
    let listed = list["items"].as_array().unwrap().iter().find(|item| item["product_id"] == product.as_str());
    let listed = listed.unwrap()["images"].as_array().unwrap();
    let shown: Vec<&Value> = listed.iter().map(|image| &image["image_id"]).collect();
    assert_eq!(shown, [&attached[0].id], "lists show the first alone");

    let full = album.try_asking(&File::png()).expect(409);
    assert_eq!(full["type"], "urn:problem-type:shop:too-many-images");
    let path = format!("/api/products/{product}/images/{}", attached[4].id);
    assert_eq!(admin.send("DELETE", &path, &[("if-match", "\"1\"".to_owned())], None).status, 412);
    delete(album, attached[4]);
    album.gone(&album.key(attached[4]));
    let last = album.show(&File::webp());
    let ids = album.ids();
    assert_eq!((ids.len(), ids.last(), ids.contains(&attached[4].id)), (MOST_IMAGES, Some(&last.id), false));
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_poisoned_notification_ends_in_the_dead_letter_queue_and_delays_nobody() {
    let (customer, admin) = (Client::customer(), Client::admin());
    let product = admin.new_product(1);
    for album in [Album::Avatar(&customer), Album::Product(&admin, &product)] {
        let mark = Uuid::now_v7().to_string();
        let poison = format!(r#"{{"Records":"{mark}"}}"#);
        let foreign = format!("{}elsewhere-{mark}", album.prefix());
        let (_hurried, paused) = (cloud::hurry(album.queue()), cloud::pause(album.queue()));
        cloud::send_message(album.queue(), &poison);
        cloud::put_object(&album.bucket(), &foreign, b"not by an address of ours");
        let upload = album.upload(&File::png());
        drop(paused);
        assert_eq!(album.outcome(&upload), "attached");
        let dlq = format!("{}-dlq", album.queue());
        let mut letters = Vec::new();
        eventually("both are in the dead-letter queue", || {
            letters.extend(cloud::receive_messages(&dlq).into_iter().filter(|body| body.contains(&mark)));
            (letters.len() == 2).then_some(())
        });
        assert!(letters.contains(&poison), "{letters:?}");
        // What it is about is nobody's to erase.
        assert_eq!(cloud::versions(&album.bucket(), &foreign).len(), 1);
    }
}

/// A bucket says so once, when it is told to notify a queue, and S3 tests by that whether it may.
#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_test_of_the_bucket_is_taken_note_of() {
    for (queue, bucket) in [("avatar-uploads", "user-avatars"), ("image-uploads", "product-images")] {
        let mark = Uuid::now_v7().to_string();
        let test = json!({
            "Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-11-22T09:44:00.000Z",
            "Bucket": cloud::bucket(bucket), "RequestId": mark, "HostId": "host",
        });
        cloud::send_message(queue, &test.to_string());
        eventually("the message is gone", || (!cloud::everything_in_queues().contains(&mark)).then_some(()));
    }
}
