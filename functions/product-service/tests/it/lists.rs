//! Lists of products, page by page.

use std::collections::HashSet;

use serde_json::{Value, json};
use test_support::door::{self, HttpAnswer};

use crate::{Shop, mug, secret, send};

impl Shop {
    async fn named(&self, name: &str, category: &str) {
        let mut body = mug(1);
        body["name"] = name.into();
        body["category"] = category.into();
        assert_eq!(self.create(body).await.status, 201);
    }

    async fn list(&self, query: &[(&str, &str)]) -> HttpAnswer {
        let request = door::http_v2("GET", "/api/products");
        self.http(query.iter().fold(request, |request, (name, value)| request.query(name, value))).await
    }

    /// All pages of a list; between two of them, something may happen.
    async fn pages(&self, query: &[(&str, &str)], meanwhile: impl AsyncFn(usize)) -> Vec<Vec<Value>> {
        let mut pages = Vec::new();
        let mut cursor = None::<String>;
        loop {
            let mut query = query.to_vec();
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let answer = self.list(&query).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            let page = answer.json();
            pages.push(page["items"].as_array().unwrap().clone());
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return pages;
            }
            meanwhile(pages.len()).await;
        }
    }
}

fn names(items: &[Value]) -> Vec<String> {
    items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn all_products_come_newest_first_and_new_ones_shift_nothing() {
    let shop = Shop::open();
    for number in 0..18 {
        shop.named(&format!("old {number}"), &format!("c{}", number % 3)).await;
    }
    let insert = async |page: usize| shop.named(&format!("new {page}"), "c1").await;
    let pages = shop.pages(&[("limit", "4")], insert).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 4, 4, 2]);
    let items = pages.concat();
    let listed: HashSet<String> = names(&items).into_iter().collect();
    assert_eq!(listed.len(), 18, "none is repeated");
    assert!(listed.iter().all(|name| name.starts_with("old")));
    let order: Vec<(String, String)> = items
        .iter()
        .map(|item| {
            (item["created_at"].as_str().unwrap().to_owned(), item["product_id"].as_str().unwrap().to_owned())
        })
        .collect();
    assert!(order.iter().rev().is_sorted(), "{order:?}");
    assert_eq!(shop.list(&[]).await.json()["items"].as_array().unwrap().len(), 20, "the default page");
}

#[tokio::test]
async fn a_category_has_its_own_pages() {
    let shop = Shop::open();
    for number in 0..9 {
        shop.named(&format!("mug {number}"), "Kitchen").await;
        shop.named(&format!("nail {number}"), "Tools").await;
    }
    let nothing = async |_: usize| {};
    let pages = shop.pages(&[("category", "Kitchen"), ("limit", "4")], nothing).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 1]);
    let items = pages.concat();
    assert_eq!(names(&items).into_iter().collect::<HashSet<_>>().len(), 9);
    assert!(items.iter().all(|item| item["category"] == "Kitchen"));
    assert!(items.iter().rev().is_sorted_by_key(|item| item["created_at"].as_str()));
    assert_eq!(shop.list(&[("category", "None")]).await.json(), json!({"items": [], "next_cursor": null}));
}

#[tokio::test]
async fn reservations_are_no_products() {
    let shop = Shop::open();
    let id = shop.product(3).await;
    shop.deliver([crate::placed(uuid::Uuid::now_v7(), &[(id, 1)])]).await;
    assert_eq!(shop.list(&[]).await.json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(shop.list(&[("category", "Kitchen")]).await.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_only() {
    let shop = Shop::open();
    for number in 0..3 {
        shop.named(&format!("mug {number}"), "Kitchen").await;
        shop.named(&format!("nail {number}"), "Tools").await;
    }
    let cursor = async |query: &[(&str, &str)]| {
        shop.list(query).await.json()["next_cursor"].as_str().unwrap().to_owned()
    };
    let all = cursor(&[("limit", "1")]).await;
    let kitchen = cursor(&[("limit", "1"), ("category", "Kitchen")]).await;
    let is_refused = async |query: &[(&str, &str)]| {
        let answer = shop.list(query).await;
        answer.status == 400 && answer.json()["errors"][0]["pointer"] == "/cursor"
    };
    assert_eq!(shop.list(&[("cursor", &all)]).await.status, 200);
    assert_eq!(shop.list(&[("cursor", &kitchen), ("category", "Kitchen")]).await.status, 200);
    assert!(is_refused(&[("cursor", &kitchen), ("category", "Tools")]).await, "of another category");
    assert!(is_refused(&[("cursor", &kitchen)]).await, "of a category, for all");
    assert!(is_refused(&[("cursor", &all), ("category", "Kitchen")]).await, "of all, for a category");
    for length in [0, 1, all.len() / 2, all.len() - 1] {
        assert!(is_refused(&[("cursor", &all[..length])]).await, "truncated to {length}");
    }
    let other = if all[20..].starts_with('A') { "B" } else { "A" };
    assert!(is_refused(&[("cursor", &format!("{}{other}{}", &all[..20], &all[21..]))]).await, "forged");
    assert!(is_refused(&[("cursor", "nonsense!")]).await);
}

#[tokio::test]
async fn a_cursor_outlives_one_rotation_of_the_secret() {
    let shop = Shop::open();
    shop.product(1).await;
    shop.product(1).await;
    let cursor = shop.list(&[("limit", "1")]).await.json()["next_cursor"].as_str().unwrap().to_owned();
    let (old, new) = ("a signing secret that is long enough", "another signing secret, after a rotation");
    let next_page = door::http_v2("GET", "/api/products").query("cursor", &cursor).build();
    for (secret, expected) in [(secret(new, Some(old)), 200), (secret(new, None), 400)] {
        let rotated = shop.with_secret(secret);
        assert_eq!(HttpAnswer::parse(&send(&rotated, next_page.clone()).await).status, expected);
    }
}

#[tokio::test]
async fn a_query_is_read_strictly() {
    let shop = Shop::open();
    for (name, value) in [
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "many"),
        ("category", ""),
        ("category", "a#b"),
        ("colour", "red"),
    ] {
        let answer = shop.list(&[(name, value)]).await;
        assert_eq!(answer.status, 400, "{name}={value}");
        assert_eq!(answer.json()["errors"][0]["pointer"], format!("/{name}"));
    }
}

#[tokio::test]
async fn a_page_is_sent_again_only_when_it_says_something_new() {
    let shop = Shop::open();
    let id = shop.product(5).await;
    let list = door::http_v2("GET", "/api/products");
    let tag = shop.http(list.clone()).await.header("etag").unwrap().to_owned();
    let again = shop.http(list.clone().header("if-none-match", &*tag)).await;
    assert_eq!((again.status, again.body.as_str(), again.header("etag")), (304, "", Some(tag.as_str())));
    shop.admin(door::http_v2("PATCH", &crate::path(id)).json(&json!({"name": "Cup"}))).await;
    let changed = shop.http(list.header("if-none-match", &*tag)).await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
}
