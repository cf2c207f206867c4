//! The sample triggers in `events/` are real: each goes through the door.

use access_token::Role;
use serde_json::Value;
use test_support::{
    door::{self, HttpAnswer},
    samples,
};

use crate::{Shop, types};

/// Stands in the samples where a caller puts an access token.
const TOKEN: &str = "ACCESS_TOKEN";

#[tokio::test]
async fn every_sample_event_is_handled() {
    let samples = samples("product-service");
    assert!(samples.len() >= 10, "{:?}", samples.keys());
    for (name, sample) in samples {
        let shop = Shop::open();
        let event: Value = serde_json::from_str(&sample).unwrap();
        let answer = shop.send(sample.replace(TOKEN, &shop.token(Role::Admin))).await;
        if event.get("Records").is_some() {
            assert_eq!(door::failures(&answer), [""; 0], "{name}");
            assert!(shop.topic.sent().is_empty(), "{name} can't be read");
            let published = shop.published();
            let expected: &[&str] = match name.as_str() {
                "product-changes" => &["product_created", "product_updated", "product_deleted"],
                "reservation-changes" => {
                    &["stock_reserved", "product_updated", "stock_released", "product_updated"]
                }
                "upload-changes" => &["product_image_removed"],
                _ => &[],
            };
            assert_eq!(types(&published), expected, "{name}");
            continue;
        }
        let answer = HttpAnswer::parse(&answer);
        let text = |members: [&Value; 2]| members.into_iter().find_map(Value::as_str).unwrap().to_owned();
        let method = text([&event["requestContext"]["http"]["method"], &event["httpMethod"]]);
        let path = text([&event["rawPath"], &event["path"]]);
        // In an empty shop there is nothing with the id that a path names.
        let expected = match method.as_str() {
            "POST" if path == "/api/products" => 201,
            "GET" if path.matches('/').count() == 2 => 200,
            _ => 404,
        };
        assert_eq!(answer.status, expected, "{name}: {}", answer.body);
        let anonymous = HttpAnswer::parse(&shop.send(sample).await);
        let is_public = method == "GET" && !path.ends_with("/upload");
        assert_eq!(anonymous.status, if is_public { expected } else { 401 }, "{name}: {}", anonymous.body);
    }
}
