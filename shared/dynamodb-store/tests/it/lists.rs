use std::collections::HashSet;

use dynamodb_store::{Feed, FeedEntry, Page, Query, StoreError, Table};
use serde::{Deserialize, Serialize};
use test_support::{Emulator, TestTable};

use crate::{Row, orders, row};

const BY_USER: Option<&str> = Some("user_id-created_at-index");

fn order(user: &str, second: u32, status: &str) -> Row {
    Row {
        user_id: user.to_owned(),
        status: status.to_owned(),
        created_at: format!("2026-11-22T09:44:{second:02}.000Z"),
        ..row(&format!("{user}-{second:02}"))
    }
}

fn ids(page: &Page<Row>) -> Vec<&str> {
    page.items.iter().map(|row| row.order_id.as_str()).collect()
}

/// All pages from the start to the end.
async fn walk(query: impl Fn() -> Query, limit: usize) -> Vec<Page<Row>> {
    let mut pages: Vec<Page<Row>> = Vec::new();
    let mut position = None;
    loop {
        let page = query().start_after(position).page(limit).await.unwrap();
        position = page.next.clone();
        pages.push(page);
        if position.is_none() {
            return pages;
        }
    }
}

#[tokio::test]
async fn a_partition_is_read_page_by_page_in_the_order_asked_for() {
    let table = orders();
    for second in 0..6 {
        table.create("order_id", &order("ann", second, "PENDING")).await.unwrap();
        table.create("order_id", &order("bob", second, "PENDING")).await.unwrap();
    }
    let of_ann = || table.query(BY_USER).partition("user_id", "ann");
    let pages = walk(|| of_ann().newest_first(), 4).await;
    assert_eq!(
        pages.iter().map(ids).collect::<Vec<_>>(),
        [vec!["ann-05", "ann-04", "ann-03", "ann-02"], vec!["ann-01", "ann-00"],]
    );
    // No page follows when the last row was the last one of a full page.
    let pages = walk(of_ann, 3).await;
    assert_eq!(
        pages.iter().map(ids).collect::<Vec<_>>(),
        [vec!["ann-00", "ann-01", "ann-02"], vec!["ann-03", "ann-04", "ann-05"],]
    );
    let older: Page<Row> = of_ann().before("created_at", "2026-11-22T09:44:02.000Z").page(10).await.unwrap();
    assert_eq!(ids(&older), ["ann-00", "ann-01"]);
    let nobody: Page<Row> = table.query(BY_USER).partition("user_id", "eve").page(10).await.unwrap();
    assert_eq!(nobody, Page { items: vec![], next: None });
}

#[tokio::test]
async fn filtered_pages_are_filled_and_skip_and_repeat_nothing() {
    let table = orders();
    let mut expected = Vec::new();
    for second in 0..40 {
        let status = if second % 3 == 0 { "CONFIRMED" } else { "PENDING" };
        let order = order("ann", second, status);
        table.create("order_id", &order).await.unwrap();
        if status == "CONFIRMED" {
            expected.push(order.order_id);
        }
    }
    for limit in 1..=15 {
        let pages = walk(
            || table.query(BY_USER).partition("user_id", "ann").filter_equals("status", "CONFIRMED"),
            limit,
        )
        .await;
        let (last, full) = pages.split_last().unwrap();
        assert!(full.iter().all(|page| page.items.len() == limit), "limit {limit}");
        assert!(last.items.len() <= limit, "limit {limit}");
        let seen: Vec<&str> = pages.iter().flat_map(ids).collect();
        assert_eq!(seen, expected, "limit {limit}");
    }
}

#[tokio::test]
async fn a_filter_that_rarely_matches_does_not_read_everything_for_one_page() {
    let table = orders();
    for second in 0..60 {
        table.create("order_id", &order("ann", second, "PENDING")).await.unwrap();
    }
    table.create("order_id", &order("ann", 60, "CONFIRMED")).await.unwrap();
    let pages =
        walk(|| table.query(BY_USER).partition("user_id", "ann").filter_equals("status", "CONFIRMED"), 1)
            .await;
    assert!(pages.len() > 1, "the first page did not walk to the end");
    assert_eq!(pages.iter().flat_map(ids).collect::<Vec<_>>(), ["ann-60"]);
}

/// A row of the products table, as far as the feed is concerned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Product {
    product_id: String,
    created_at: String,
    #[serde(flatten)]
    entry: FeedEntry,
}

async fn add_product(table: &Table, second: usize, twin: usize) -> String {
    let product_id = format!("product-{second}-{twin}");
    let created_at = format!("2026-11-22T10:{:02}:{:02}.000Z", second / 60, second % 60);
    let entry = Feed::entry(&product_id, &created_at);
    let place = entry.feed_position.clone();
    table.create("product_id", &Product { product_id, created_at, entry }).await.unwrap();
    place
}

#[tokio::test]
async fn a_feed_is_newest_first_over_all_shards_while_rows_are_added_on_top() {
    for limit in [1, 7, 10, 25, 49, 50] {
        let table = Table::new(&Emulator::sdk_config(), TestTable::products().name());
        let feed = Feed::new(&table, "feed-position-index");
        let mut expected = Vec::new();
        for second in 0..25 {
            // Twins share their time: the id decides.
            expected.push(add_product(&table, second, 0).await);
            expected.push(add_product(&table, second, 1).await);
        }
        expected.sort_unstable_by(|one, other| other.cmp(one));

        let mut seen = Vec::new();
        let mut position = None;
        for newer in 100.. {
            let page: Page<Product> = feed.page(position, limit).await.unwrap();
            assert!(page.items.len() == limit || page.next.is_none(), "limit {limit}");
            seen.extend(page.items.into_iter().map(|row| row.entry.feed_position));
            position = page.next;
            if position.is_none() {
                break;
            }
            add_product(&table, newer, 0).await;
        }
        assert_eq!(seen, expected, "limit {limit}");
    }
}

#[tokio::test]
async fn a_shard_may_have_all_rows_of_a_page() {
    let table = Table::new(&Emulator::sdk_config(), TestTable::products().name());
    let feed = Feed::new(&table, "feed-position-index");
    let in_shard = |shard: &str, twin: &usize| {
        Feed::entry(format!("product-1-{twin}"), "2026-11-22T10:00:01.000Z").feed == shard
    };
    let mut expected = Vec::new();
    for twin in (0..).filter(|twin| in_shard("feed#2", twin)).take(60) {
        expected.push(add_product(&table, 1, twin).await);
    }
    for twin in 0..5 {
        expected.push(add_product(&table, 0, twin).await);
    }
    expected.sort_unstable_by(|one, other| other.cmp(one));
    for limit in [1, 20, 59, 60, 61, 100] {
        let page: Page<Product> = feed.page(None, limit).await.unwrap();
        let places: Vec<String> = page.items.into_iter().map(|row| row.entry.feed_position).collect();
        assert_eq!(places, expected[..limit.min(65)], "limit {limit}");
        assert_eq!(page.next.is_some(), limit < 65, "limit {limit}");
    }
}

#[tokio::test]
async fn a_position_in_another_kind_of_list_is_no_place_in_a_feed() {
    let table = orders();
    for second in 0..2 {
        table.create("order_id", &order("ann", second, "PENDING")).await.unwrap();
    }
    let page: Page<Row> = table.query(BY_USER).partition("user_id", "ann").page(1).await.unwrap();
    let error = Feed::new(&table, "feed-position-index").page::<Product>(page.next, 1).await.unwrap_err();
    assert!(matches!(error, StoreError::Malformed { .. }), "{error:?}");
}

#[test]
fn a_feed_uses_every_shard_and_an_id_keeps_its_own() {
    let shard = |id: u32| Feed::entry(id, "2026-11-22T10:00:00.000Z").feed;
    assert_eq!((0..64).map(shard).collect::<HashSet<_>>().len(), 4);
    // SHA-256 of "0", "1" and "2" starts with 5f, 6b and d4: the shard depends on nothing else.
    assert_eq!([0, 1, 2].map(shard), ["feed#3", "feed#3", "feed#0"]);
    assert_eq!(Feed::entry("a", "t").feed_position, "t#a");
}
