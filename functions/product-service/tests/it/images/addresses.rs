//! The addresses of pictures, and how long answers that name them are good.

use std::time::Duration;

use test_support::door;

use crate::{Shop, path};

#[tokio::test]
async fn signed_addresses_stay_the_same_for_a_while_and_are_never_outlived() {
    let shop = Shop::open();
    let (bare, product) = (shop.product(1).await, shop.product(1).await);
    shop.picture(product).await;
    // To the beginning of a quarter of an hour.
    let quarter = Duration::from_secs(900);
    let passed = Duration::from_secs(shop.clock.now().as_seconds().unsigned_abs() % quarter.as_secs());
    shop.clock.advance(quarter - passed);
    let url = async || shop.read(product).await.json()["images"][0]["url"].as_str().unwrap().to_owned();
    let list =
        async |tag: &str| shop.http(door::http_v2("GET", "/api/products").header("if-none-match", tag)).await;
    let (address, page) = (url().await, list("").await);
    let tag = page.header("etag").unwrap();
    assert_eq!(page.json()["items"][0]["images"][0]["url"], address);
    shop.clock.advance(Duration::from_secs(890));
    assert_eq!((url().await, list(tag).await.status), (address.clone(), 304));
    shop.clock.advance(Duration::from_secs(10));
    assert_ne!(url().await, address);
    assert_eq!(list(tag).await.status, 200);
    // The version of the product has not changed, but what it says has.
    let again = async |product, tag: &str| {
        shop.http(door::http_v2("GET", &path(product)).header("if-none-match", tag)).await
    };
    assert_eq!((again(product, "\"2\"").await.status, again(product, "*").await.status), (200, 200));
    assert_eq!(again(bare, "\"1\"").await.status, 304);
}

#[tokio::test]
async fn addresses_of_a_delivery_network_do_not_expire() {
    let shop = Shop::with_pictures_from(Some("https://cdn.example.com"));
    let product = shop.product(1).await;
    let upload = shop.picture(product).await;
    let read = shop.read(product).await.json();
    assert_eq!(read["images"][0]["url"], format!("https://cdn.example.com/{}", upload.key()));
    let again = shop.http(door::http_v2("GET", &path(product)).header("if-none-match", "\"2\"")).await;
    assert_eq!(again.status, 304);
    let list = door::http_v2("GET", "/api/products");
    let tag = shop.http(list.clone()).await.header("etag").unwrap().to_owned();
    shop.clock.advance(Duration::from_secs(3600));
    assert_eq!(shop.http(list.header("if-none-match", tag)).await.status, 304);
}
