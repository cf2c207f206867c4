//! First pages of lists.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use test_support::door::{self, HttpAnswer, HttpEvent};
use uuid::Uuid;

use super::{Environment, World, said};
use crate::mug;

fn list(category: Option<&str>, limit: u32) -> HttpEvent {
    let request = door::http_v2("GET", "/api/products").query("limit", &limit.to_string());
    category.iter().fold(request, |request, category| request.query("category", category))
}

fn in_category(category: &str) -> Value {
    let mut body = mug(5);
    body["category"] = category.into();
    body
}

fn ids(answer: &HttpAnswer) -> Vec<Uuid> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer = answer.json();
    let items = answer["items"].as_array().unwrap().iter();
    items.map(|item| item["product_id"].as_str().unwrap().parse().unwrap()).collect()
}

impl Environment {
    async fn list(&self, category: Option<&str>, limit: u32) -> HttpAnswer {
        self.http(list(category, limit)).await
    }

    /// Reads a list until nothing of it is read from the table.
    async fn warm(&self, world: &World, category: Option<&str>) {
        for _ in 0..4 {
            world.reads();
            self.list(category, 20).await;
            if world.reads() == 0 {
                return;
            }
        }
        panic!("the list is never read from the cache");
    }
}

#[tokio::test]
async fn a_first_page_is_answered_like_one_of_the_table() {
    let world = World::open();
    for category in ["Kitchen", "Küche-Bad_2 neu", "Kitchen", "Kitchen"] {
        world.shop.create(in_category(category)).await;
    }
    let environment = world.environment().await;
    for (category, limit) in
        [(None, 20), (None, 2), (Some("Kitchen"), 2), (Some("Küche-Bad_2 neu"), 1), (Some("-"), 9)]
    {
        let table = world.shop.http(list(category, limit)).await;
        let page = environment.list(category, limit).await;
        assert_eq!(said(&page), said(&table), "{category:?}");
        // The page is there, its products may not be yet.
        assert_eq!(said(&environment.list(category, limit).await), said(&table), "{category:?}");
        world.reads();
        assert_eq!(said(&environment.list(category, limit).await), said(&table), "{category:?}");
        let known = list(category, limit).header("if-none-match", table.header("etag").unwrap());
        assert_eq!(environment.http(known).await.status, 304);
        assert_eq!(world.reads(), 0, "{category:?}");
        // What follows the first page is the table's.
        if let Some(cursor) = page.json()["next_cursor"].as_str() {
            let next = list(category, limit).query("cursor", cursor);
            assert_eq!(said(&environment.http(next.clone()).await), said(&world.shop.http(next).await));
            assert!(world.reads() > 0);
        }
    }
}

#[tokio::test]
async fn a_page_shows_its_products_as_they_are() {
    let world = World::open();
    let (writer, reader) = (world.environment().await, world.environment().await);
    let id = writer.create(mug(5)).await;
    reader.warm(&world, Some("Kitchen")).await;
    writer.change_stock(id, -2).await;
    world.reads();
    let page = reader.list(Some("Kitchen"), 20).await.json();
    assert_eq!((&page["items"][0]["stock"], world.reads()), (&json!(3), 0));
}

#[tokio::test]
async fn what_comes_goes_or_moves_is_on_the_pages_at_once() {
    let world = World::open();
    let (writer, reader) = (world.environment().await, world.environment().await);
    let stays = writer.create(in_category("Kitchen")).await;
    let lists = [None, Some("Kitchen"), Some("Garden")];
    let warm = async || {
        for category in lists {
            reader.warm(&world, category).await;
        }
    };
    let shown = async || join_all(lists.map(async |category| ids(&reader.list(category, 20).await))).await;

    warm().await;
    let comes = writer.create(in_category("Kitchen")).await;
    assert_eq!(shown().await, [vec![comes, stays], vec![comes, stays], vec![]]);
    warm().await;
    writer.patch(comes, json!({"category": "Garden"})).await;
    assert_eq!(shown().await, [vec![comes, stays], vec![stays], vec![comes]]);
    warm().await;
    writer.remove(comes).await;
    assert_eq!(shown().await, [vec![stays], vec![stays], vec![]]);
}

#[tokio::test]
async fn the_stream_tells_of_lists_what_nobody_else_has() {
    let world = World::open();
    let (reader, other) = (world.environment().await, world.environment().await);
    let stays = reader.create(in_category("Kitchen")).await;
    world.shop.table.new_stream_records();
    let lists = [None, Some("Kitchen"), Some("Garden")];
    // In the shop without a cache something happens, of which a page says nothing until the stream has told.
    let happens = async |request: HttpEvent, before: [Vec<Uuid>; 3], after: [Vec<Uuid>; 3]| {
        for category in lists {
            reader.warm(&world, category).await;
        }
        let shown =
            async || join_all(lists.map(async |category| ids(&reader.list(category, 20).await))).await;
        assert!(world.shop.admin(request).await.status < 300);
        assert_eq!(shown().await, before);
        other.changes(&world.shop.table.new_stream_records()).await;
        assert_eq!(shown().await, after);
    };
    let only = || [vec![stays], vec![stays], vec![]];
    let create = door::http_v2("POST", "/api/products").json(&in_category("Garden"));
    for category in lists {
        reader.warm(&world, category).await;
    }
    let created: Uuid =
        world.shop.admin(create).await.json()["product_id"].as_str().unwrap().parse().unwrap();
    for (category, expected) in lists.into_iter().zip(only()) {
        assert_eq!(ids(&reader.list(category, 20).await), expected);
    }
    other.changes(&world.shop.table.new_stream_records()).await;
    let path = crate::path(created);
    let in_garden = || [vec![created, stays], vec![stays], vec![created]];
    let in_kitchen = || [vec![created, stays], vec![created, stays], vec![]];
    let moved = door::http_v2("PATCH", &path).json(&json!({"category": "Kitchen"}));
    happens(moved, in_garden(), in_kitchen()).await;
    happens(door::http_v2("DELETE", &path), in_kitchen(), only()).await;
}

#[tokio::test]
async fn a_page_without_its_token_is_none() {
    let world = World::open();
    let environment = world.environment().await;
    let one = world.shop.product(1).await;
    environment.warm(&world, None).await;
    let two = world.shop.product(1).await;
    assert_eq!(ids(&environment.list(None, 20).await), [one]);
    let _: () = world.ask(&["DEL", &format!("{}:products:v1:generation:newest", world.name)]);
    assert_eq!(ids(&environment.list(None, 20).await), [two, one]);
    environment.warm(&world, None).await;
}

#[tokio::test]
async fn a_page_is_shown_for_a_while() {
    let world = World::open();
    let environment = world.environment().await;
    world.shop.create(mug(1)).await;
    environment.warm(&world, None).await;
    world.shop.create(mug(1)).await;
    world.shop.clock.advance(Duration::from_secs(11));
    assert_eq!(ids(&environment.list(None, 20).await).len(), 1);
    world.shop.clock.advance(Duration::from_secs(7));
    assert_eq!(ids(&environment.list(None, 20).await).len(), 2);
}

#[tokio::test]
async fn many_who_miss_a_page_at_once_read_it_once() {
    let world = World::open();
    for _ in 0..3 {
        world.shop.create(mug(1)).await;
    }
    let environment = world.environment().await;
    // Once the page, then its products.
    for _ in 0..2 {
        let answers = join_all((0..25).map(|_| environment.list(Some("Kitchen"), 20))).await;
        assert!(answers.iter().all(|answer| ids(answer).len() == 3));
        assert_eq!(world.reads(), 1);
    }
}

#[tokio::test]
async fn garbage_on_a_page_is_no_page() {
    let world = World::open();
    let environment = world.environment().await;
    world.shop.create(mug(1)).await;
    for garbage in ["", "garbage", "{}", "[]", r#"{"generation":"x","until":1,"ids":[],"next":null}"#] {
        environment.warm(&world, None).await;
        for key in ["page:20:newest", "generation:newest"] {
            let _: () =
                world.ask(&["SET", &format!("{}:products:v1:{key}", world.name), garbage, "EX", "100"]);
            assert_eq!(ids(&environment.list(None, 20).await).len(), 1);
            environment.warm(&world, None).await;
        }
    }
}
