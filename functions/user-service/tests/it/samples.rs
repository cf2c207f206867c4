use std::collections::BTreeSet;

use serde_json::Value;
use test_support::{
    door::{self, HttpAnswer},
    samples,
};

use crate::{API_KEY, BUCKET, Shop, avatars};

/// Whom the samples are about, and the upload of an avatar.
const USER: &str = "01a203e8-5c00-7a1b-9c3d-4e5f60718293";
const UPLOAD: &str = "01a203e9-1a00-7d4b-8c2f-3a5e7b9d1f22";

/// The samples in the sequence of one user's life, and how each is answered: a status for a request, `None` for a batch
/// that is done as a whole.
const STORY: [(&str, Option<u16>); 23] = [
    ("health-ready", Some(200)),
    ("load-balancer-health-check", Some(200)),
    ("openapi", Some(200)),
    ("register", Some(201)),
    ("login", Some(200)),
    ("refresh", Some(200)),
    ("log-out", Some(204)),
    ("log-out-everywhere", Some(204)),
    ("read-own-account", Some(200)),
    ("change-own-account", Some(200)),
    ("change-role", Some(200)),
    // From now on the token is an admin's.
    ("login", Some(200)),
    ("list-users", Some(200)),
    ("read-user", Some(200)),
    ("change-own-password", Some(204)),
    ("upload-avatar", Some(201)),
    ("avatar-uploaded", None),
    ("read-avatar-upload", Some(200)),
    ("delete-avatar", Some(204)),
    ("upload-changes", None),
    ("delete-own-account", Some(204)),
    ("user-changes", None),
    ("avatars-to-erase", None),
];

#[test]
fn every_sample_has_its_place_in_the_story() {
    let told: BTreeSet<&str> = STORY.iter().map(|(name, _)| *name).collect();
    assert!(samples("user-service").keys().map(String::as_str).eq(told));
}

#[tokio::test]
async fn every_sample_event_is_handled() {
    let shop = Shop::open();
    let (mut user, mut token, mut refresh_token) = (USER.to_owned(), String::new(), String::new());
    let mut upload = UPLOAD.to_owned();
    let samples = samples("user-service");
    for (name, expected) in STORY {
        let event = samples[name].replace("ACCESS_TOKEN", &token).replace("API_KEY", API_KEY);
        let event = event.replace("REFRESH_TOKEN", &refresh_token);
        let answer = shop.invoke(event.replace(USER, &user).replace(UPLOAD, &upload)).await;
        let Some(status) = expected else {
            assert!(door::failures(&answer).is_empty(), "{name}: {answer}");
            continue;
        };
        let answer = HttpAnswer::parse(&answer);
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        let text = |member: &str| answer.json()[member].as_str().unwrap().to_owned();
        match name {
            "register" => user = text("user_id"),
            "login" | "refresh" => (token, refresh_token) = (text("access_token"), text("refresh_token")),
            "upload-avatar" => {
                upload = text("upload_id");
                let mut file = avatars::png(640, 480);
                file.resize(48_213, 0);
                shop.bucket.put(BUCKET, &format!("avatars/{user}/{upload}"), "image/png", file);
            }
            "read-avatar-upload" => assert_eq!(text("status"), "attached"),
            _ => {}
        }
    }
    let types: Vec<Option<String>> =
        shop.topic.published().into_iter().map(|event| event.event_type).collect();
    assert_eq!(
        types,
        ["user_avatar_removed", "user_created", "user_updated", "user_deleted"]
            .map(|name| Some(name.to_owned()))
    );
    assert!(shop.topic.sent().is_empty(), "a record was set aside");
    let rows = shop.db_dump_without_counts().await;
    assert!(rows.iter().all(|row| row.contains("upload#")), "{rows:?}");
    assert!(shop.bucket.keys(BUCKET).is_empty());
}

/// As `cargo lambda invoke` sends them: a file holds neither a token nor the key.
#[tokio::test]
async fn a_sample_request_without_a_real_token_or_key_is_refused() {
    let shop = Shop::open();
    for (name, sample) in samples("user-service") {
        let event: Value = serde_json::from_str(&sample).unwrap();
        if event["headers"].get("authorization").or_else(|| event["headers"].get("x-api-key")).is_some() {
            let answer = HttpAnswer::parse(&shop.invoke(sample).await);
            assert_eq!(answer.status, 401, "{name}");
        }
    }
}
