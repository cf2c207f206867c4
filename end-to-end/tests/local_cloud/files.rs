//! Files on their way into the buckets: what an address takes, what is attached, and who gets to see what.

use std::thread;

use domain_events::Timestamp;
use dynamodb_store::Table;
use image_uploads::{ImageUploads, Kind};
use problem_details::InputErrors;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    client::Client,
    cloud,
    pictures::{bomb, commented},
    uploads::{Album, File, SIDES, Upload, send},
};

const MOST_BYTES: usize = 5 * 1024 * 1024;
const CHECKSUM: &str = "x-amz-checksum-sha256";

/// Does the same for an avatar and for an image of a product, at once.
fn for_both(test: impl Fn(Album<'_>) + Sync) {
    let (customer, admin) = thread::scope(|scope| {
        let admin = scope.spawn(Client::admin);
        (Client::customer(), admin.join().unwrap())
    });
    let product = admin.new_product(1);
    thread::scope(|scope| {
        let avatar = scope.spawn(|| test(Album::Avatar(&customer)));
        test(Album::Product(&admin, &product));
        avatar.join().unwrap();
    });
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_picture_of_each_type_is_attached_and_served_as_it_came() {
    for_both(|album| {
        for file in [File::png(), File::jpeg(), File::webp(), File::avif()] {
            let upload = album.show(&file);
            let pictures = album.pictures();
            let shown = pictures.last().unwrap();
            assert_eq!(album.ids().last(), Some(&upload.id));
            assert_eq!(shown["content_type"], file.content_type);
            assert_eq!((&shown["width"], &shown["height"]), (&json!(SIDES.0), &json!(SIDES.1)));
            album.serves(shown["url"].as_str().unwrap(), &upload, &file);
        }
    });
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn an_address_takes_what_was_asked_for_and_nothing_else() {
    for_both(|album| {
        let file = File::png();
        let (upload, other) = (album.ask(&file), album.ask(&file));
        let query = upload.url.split_once('?').unwrap().1;
        for name in ["content-length", "content-type", "host", "if-none-match", "x-amz-checksum-sha256"] {
            assert!(query.contains(name), "{name} is not signed: {query}");
        }
        assert!(query.contains("X-Amz-Expires=300"), "{query}");

        let own = upload.headers_with(&[]);
        let (shorter, longer) = (&file.bytes[1..], [&file.bytes[..], &[0]].concat());
        let same_length = vec![b'x'; file.bytes.len()];
        let checksum_of = |bytes: &[u8]| File::new("", bytes).checksum();
        let refused = |what: &str, method: &str, url: &str, headers: &[(&str, &str)], bytes: &[u8]| {
            let answer = send(method, url, headers, bytes);
            assert!([400, 403, 411].contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
        };
        for (what, headers) in [
            ("another type", upload.headers_with(&[("content-type", "text/html")])),
            ("no type", upload.headers_without("content-type")),
            ("another checksum", upload.headers_with(&[(CHECKSUM, &checksum_of(&same_length))])),
            ("no checksum", upload.headers_without(CHECKSUM)),
            ("no condition", upload.headers_without("if-none-match")),
            ("notes of one's own", upload.headers_with(&[("x-amz-meta-note", "anything")])),
            ("tags", upload.headers_with(&[("x-amz-tagging", "a=b")])),
            ("an access list", upload.headers_with(&[("x-amz-acl", "public-read")])),
        ] {
            refused(what, "PUT", &upload.url, &headers, &file.bytes);
        }
        for (what, bytes) in
            [("shorter", shorter), ("longer", &longer), ("empty", &[]), ("other bytes", &same_length)]
        {
            refused(what, "PUT", &upload.url, &own, bytes);
            let checksum = checksum_of(bytes);
            let headers = upload.headers_with(&[(CHECKSUM, &checksum)]);
            refused(&format!("{what}, with their own checksum"), "PUT", &upload.url, &headers, bytes);
        }
        for method in ["GET", "HEAD", "DELETE", "POST"] {
            refused(method, method, &upload.url, &own, &file.bytes);
        }
        let (key, bare) = (album.key(&upload), upload.url.split('?').next().unwrap());
        for (what, url) in [
            ("another upload's key", upload.url.replace(&upload.id, &other.id)),
            ("another owner's key", upload.url.replace(&key, &key.replace(&album.prefix(), "avatars/x/"))),
            ("a longer key", upload.url.replacen('?', ".html?", 1)),
            ("another bucket", upload.url.replace(&album.bucket(), &cloud::bucket("elsewhere"))),
            ("a longer time", upload.url.replace("X-Amz-Expires=300", "X-Amz-Expires=30000")),
            ("another date", upload.url.replace("X-Amz-Date=20", "X-Amz-Date=19")),
            ("fewer signed headers", upload.url.replace("content-type%3B", "")),
            ("no signature", bare.to_owned()),
            ("an access list in the address", format!("{}&x-amz-acl=public-read", upload.url)),
            ("tags in the address", format!("{}&x-amz-tagging=a%3Db", upload.url)),
        ] {
            assert_ne!(url, upload.url, "{what}");
            refused(what, "PUT", &url, &own, &file.bytes);
        }
        assert!(cloud::versions(&album.bucket(), &key).is_empty(), "something was stored");
        assert_eq!(album.status(&upload), json!({ "upload_id": upload.id, "status": "pending" }));

        upload.send(&file).expect(200);
        assert_eq!(album.outcome(&upload), "attached");
    });
}

/// The service's own code, asked in the past: what it has signed then is what comes too late now.
#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn an_address_can_be_used_for_five_minutes() {
    let customer = Client::customer();
    let (album, file) = (Album::Avatar(&customer), File::png());
    let table = Table::new(&cloud::config(), cloud::name("users"));
    let kind = Kind { prefix: "avatars", key: "user_id" };
    let uploads = ImageUploads::new(&cloud::config(), table, kind, album.bucket(), None);
    let request = deserr::deserialize::<_, _, InputErrors>(file.request()).unwrap();
    let asked = |seconds_ago: i64| {
        let then = Timestamp::from_millis(Timestamp::now().as_millis() - seconds_ago * 1000);
        let asked = cloud::block_on(uploads.ask(customer.user_id.parse().unwrap(), &request, then)).unwrap();
        let asked = serde_json::to_value(asked).unwrap();
        let location = format!("{}/uploads/{}", album.path(), asked["upload_id"].as_str().unwrap());
        Upload::read(&asked, location)
    };
    let (late, in_time) = (asked(5 * 60 + 1), asked(4 * 60));
    let refused = late.send(&file).expect(403);
    assert!(refused.text().contains("Request has expired"), "{}", refused.text());
    in_time.send(&file).expect(200);
    assert_eq!(album.outcome(&in_time), "attached");
    assert_eq!(album.keys(), [album.key(&in_time)]);
}

/// What a file is declared as, and why it is refused; and which one it is.
fn no_such_images() -> Vec<(&'static str, &'static str, File)> {
    let random: Vec<u8> = (0..4).flat_map(|_| *Uuid::new_v4().as_bytes()).collect();
    let html = b"<!doctype html><script>alert(1)</script>";
    let png = File::png().bytes;
    vec![
        ("a PNG that says it is a JPEG", "other-type", File::new("image/jpeg", &png)),
        ("a JPEG that says it is a PNG", "other-type", File::new("image/png", &File::jpeg().bytes)),
        ("a WebP that says it is an AVIF", "other-type", File::new("image/avif", &File::webp().bytes)),
        ("two bytes", "not-an-image", File::new("image/png", &[0x89, 0x50])),
        ("two bytes of a JPEG", "not-an-image", File::new("image/jpeg", &[0xff, 0xd8])),
        ("half a header", "not-an-image", File::new("image/png", &png[..20])),
        ("random bytes", "not-an-image", File::new("image/webp", &random)),
        ("a page", "not-an-image", File::new("image/png", html)),
        ("a page that begins as a PNG", "not-an-image", File::new("image/png", &[&png[..8], html].concat())),
        ("a GIF", "not-an-image", File::new("image/png", b"GIF89a\x01\0\x01\0\0\0\0;")),
        ("zeros", "not-an-image", File::new("image/avif", &vec![0; MOST_BYTES])),
        ("a PNG of 65535 x 65535", "dimensions", bomb(File::png(), 65_535, 65_535)),
        ("a JPEG of 65535 x 65535", "dimensions", bomb(File::jpeg(), 65_535, 65_535)),
        ("a WebP of 16383 x 16383", "dimensions", bomb(File::webp(), 16_383, 16_383)),
        ("a PNG of 10000 x 4001", "dimensions", bomb(File::png(), 10_000, 4_001)),
        ("a PNG of 10001 x 1", "dimensions", bomb(File::png(), 10_001, 1)),
        ("a PNG without height", "dimensions", bomb(File::png(), 48, 0)),
    ]
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn what_is_no_such_image_is_erased_and_its_owner_told_why() {
    for_both(|album| {
        let refused = no_such_images();
        let uploads: Vec<Upload> = refused.iter().map(|(_, _, file)| album.upload(file)).collect();
        for ((what, reason, _), upload) in refused.iter().zip(&uploads) {
            assert_eq!(album.outcome(upload), *reason, "{what}");
            album.gone(&album.key(upload));
        }
        assert_eq!(album.pictures(), [] as [Value; 0]);
    });
}

/// A bucket insists on signatures of its own headers alone. What else it keeps is refused afterwards.
#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_file_that_says_how_it_is_to_be_shown_is_erased_and_its_owner_told_why() {
    for_both(|album| {
        let file = File::png();
        for other in [
            ("cache-control", "max-age=31536000, immutable"),
            ("content-disposition", "attachment; filename=\"invoice.exe\""),
            ("content-encoding", "gzip"),
            ("content-language", "la"),
            ("expires", "Thu, 01 Dec 2044 16:00:00 GMT"),
        ] {
            let upload = album.ask(&file);
            send("PUT", &upload.url, &upload.headers_with(&[other]), &file.bytes).expect(200);
            assert_eq!(album.outcome(&upload), "other-headers", "{other:?}");
            album.gone(&album.key(&upload));
        }
        assert_eq!(album.pictures(), [] as [Value; 0]);
    });
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn the_largest_pictures_are_taken_wherever_their_size_stands() {
    for_both(|album| {
        let widest = bomb(File::png(), 10_000, 4_000);
        let full = commented(File::jpeg(), MOST_BYTES);
        assert_eq!(full.bytes.len(), MOST_BYTES);
        // The size stands behind what cameras and profiles write first.
        for file in [widest, commented(File::jpeg(), 200_000), full] {
            album.show(&file);
        }
        let too_large = commented(File::jpeg(), MOST_BYTES + 1);
        let refused = album.try_asking(&too_large).expect(400);
        assert_eq!(refused["errors"][0]["pointer"], "/size");
        let empty = album.try_asking(&File::new("image/png", &[])).expect(400);
        assert_eq!(empty["errors"][0]["pointer"], "/size");
        let other = album.try_asking(&File::new("image/svg+xml", b"<svg/>")).expect(400);
        assert_eq!(other["errors"][0]["pointer"], "/content_type");
    });
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn an_upload_is_its_owners_affair() {
    let (stranger, anonymous) = (Client::customer(), Client::default());
    for_both(|album| {
        let refused = album.upload(&File::new("image/png", b"no picture"));
        assert_eq!(album.outcome(&refused), "not-an-image");
        let foreign = match album {
            Album::Avatar(_) => 404,
            Album::Product(..) => 403,
        };
        assert_eq!(stranger.get(&refused.location).status, foreign);
        assert_eq!(anonymous.get(&refused.location).status, 401);
        assert_eq!(anonymous.post(&album.path(), &json!({})).status, 401);
        let unknown = refused.location.replace(&refused.id, &Uuid::now_v7().to_string());
        let (Album::Avatar(owner) | Album::Product(owner, _)) = album;
        assert_eq!(owner.get(&unknown).status, 404);
        if let Album::Product(admin, product) = album {
            assert_eq!(stranger.post(&album.path(), &json!({})).status, 403);
            let image = format!("/api/products/{product}/images/{}", album.show(&File::png()).id);
            assert_eq!(stranger.send("DELETE", &image, &[], None).status, 403);
            let elsewhere = image.replace(product, &admin.new_product(1));
            let any = [("if-match", "*".to_owned())];
            assert_eq!(admin.send("DELETE", &elsewhere, &any, None).status, 404);
            assert_eq!(album.ids().len(), 1);
        }
    });
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn no_object_is_public_and_pages_of_the_shop_may_use_the_addresses() {
    for_both(|album| {
        let upload = album.show(&File::webp());
        let bare = upload.url.split('?').next().unwrap();
        let bucket = bare.strip_suffix(&album.key(&upload)).unwrap();
        for (method, url) in [("GET", bare), ("HEAD", bare), ("PUT", bare), ("DELETE", bare), ("GET", bucket)]
        {
            assert_eq!(send(method, url, &[], b"x").status, 403, "{method} {url}");
        }
        let shown = album.pictures()[0]["url"].as_str().unwrap().to_owned();
        if shown.starts_with(bare) {
            let forged = shown.replace("X-Amz-Signature=", "X-Amz-Signature=0");
            let other = shown.replace(&upload.id, &Uuid::now_v7().to_string());
            for url in [forged, other] {
                assert_eq!(send("GET", &url, &[], &[]).status, 403, "{url}");
            }
        }

        let preflight = |origin: &str, headers: &str| {
            let asked = [
                ("origin", origin),
                ("access-control-request-method", "PUT"),
                ("access-control-request-headers", headers),
            ];
            send("OPTIONS", &upload.url, &asked, &[])
        };
        let headers = "content-type,if-none-match,x-amz-checksum-sha256";
        let allowed = preflight("http://localhost:3000", headers).expect(200);
        assert_eq!(allowed.header("access-control-allow-origin"), Some("http://localhost:3000"));
        for refused in
            [preflight("https://elsewhere.example", headers), preflight("http://localhost:3000", "x-a")]
        {
            assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, None));
        }
    });
}
