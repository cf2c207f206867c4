//! Whatever changes a product changes what the cache says.

use std::time::Duration;

use serde_json::json;
use test_support::{Emulator, door};
use uuid::Uuid;

use super::World;
use crate::{ALL_DONE, mug, path, placed};

#[tokio::test]
async fn what_a_request_has_changed_is_read_everywhere_without_the_table() {
    let world = World::open();
    let (writer, reader) = (world.environment().await, world.environment().await);
    let id = writer.create(mug(3)).await;
    world.reads();
    let first = reader.read(id).await;
    assert_eq!((first.status, first.header("etag")), (200, Some("\"1\"")));

    for (changed, expected) in [
        (writer.patch(id, json!({"name": "Cup"})).await, "\"2\""),
        (writer.change_stock(id, -1).await, "\"3\""),
        (
            writer
                .admin(door::http_v2("PUT", &path(id)).json(
                    &json!({"name": "Bowl", "category": "Table", "price": {"amount": 1, "currency": "EUR"}}),
                ))
                .await,
            "\"4\"",
        ),
    ] {
        assert_eq!((changed.status, changed.header("etag")), (200, Some(expected)), "{}", changed.body);
        world.reads();
        let read = reader.read(id).await;
        // Only the last of them is still there to be read, and it is what the last request has answered.
        if expected == "\"4\"" {
            assert_eq!(read.body, changed.body);
        }
        assert_eq!(world.reads(), 0);
    }
    assert_eq!(writer.remove(id).await.status, 204);
    world.reads();
    assert_eq!(reader.read(id).await.status, 404);
    assert_eq!(world.reads(), 0);
}

#[tokio::test]
async fn what_is_answered_again_under_its_key_is_known_then() {
    let world = World::open();
    let (writer, reader) = (world.environment().await, world.environment().await);
    let id = writer.create(mug(3)).await;
    let change = door::http_v2("POST", &format!("{}/stock", path(id))).header("idempotency-key", "one");
    let change = change.json(&json!({"change": -1}));
    // The first answer never came, and with it went what the cache was to be told.
    let change = change.bearer(&writer.token);
    assert_eq!(world.shop.http(change.clone()).await.status, 200);
    assert_eq!(reader.read(id).await.json()["stock"], 3);
    let again = writer.http(change).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(reader.read(id).await.json()["stock"], 2);
}

#[tokio::test]
async fn the_stream_tells_what_nobody_else_has() {
    let world = World::open();
    let (reader, other) = (world.environment().await, world.environment().await);
    let id = world.shop.product(3).await;
    let created = world.shop.table.new_stream_records();
    reader.read(id).await;
    world.shop.admin(door::http_v2("PATCH", &path(id)).json(&json!({"name": "Cup"}))).await;
    assert_eq!(world.shop.deliver([placed(Uuid::now_v7(), &[(id, 2)])]).await, ALL_DONE);
    assert_eq!(reader.read(id).await.json()["version"], 1, "nobody has told yet");

    let changed = world.shop.table.new_stream_records();
    other.changes(&changed).await;
    world.reads();
    let read = reader.read(id).await.json();
    assert_eq!((&read["name"], &read["stock"], &read["version"]), (&json!("Cup"), &json!(1), &json!(3)));
    // What comes late, or again, is no news.
    for records in [&created, &changed[..1].to_vec()] {
        other.changes(records).await;
        assert_eq!(reader.read(id).await.json()["version"], 3);
    }
    world.shop.admin(door::http_v2("DELETE", &path(id))).await;
    assert_eq!(reader.read(id).await.status, 200);
    other.changes(&world.shop.table.new_stream_records()).await;
    assert_eq!(reader.read(id).await.status, 404);
    other.changes(&changed).await;
    assert_eq!(reader.read(id).await.status, 404);
    assert_eq!(world.reads(), 0);
}

#[tokio::test]
async fn an_id_that_was_asked_for_too_early_is_known_as_soon_as_it_is_there() {
    let world = World::open();
    let reader = world.environment().await;
    let (model, id) = (world.shop.product(3).await, Uuid::now_v7());
    assert_eq!(reader.read(id).await.status, 404);
    let records = world.shop.table.new_stream_records();
    let mut row = records[0]["dynamodb"]["NewImage"].clone();
    row["product_id"]["S"] = id.to_string().into();
    let put = json!({"TableName": world.shop.table.name(), "Item": row}).to_string();
    assert_eq!(Emulator::call("PutItem", put.as_bytes()).0, 200);
    assert_eq!(reader.read(id).await.status, 404, "{model} is there, but nobody has told of this one");
    reader.changes(&world.shop.table.new_stream_records()).await;
    assert_eq!(reader.read(id).await.status, 200);
}

#[tokio::test]
async fn what_is_no_longer_shown_still_keeps_older_versions_out() {
    let world = World::open();
    let environment = world.environment().await;
    let id = environment.create(mug(3)).await;
    let created = world.shop.table.new_stream_records();
    environment.patch(id, json!({"name": "Cup"})).await;
    world.shop.clock.advance(Duration::from_secs(23));
    environment.changes(&created).await;
    assert_eq!(world.kept_version(id), Some(2));
    world.shop.clock.advance(Duration::from_secs(14));
    assert_eq!(environment.read(id).await.json()["version"], 2);
    assert_eq!(world.reads(), 1);
}

#[tokio::test]
async fn a_stream_that_is_late_shows_nothing_that_may_be_over() {
    let world = World::open();
    let environment = world.environment().await;
    let id = world.shop.product(3).await;
    let created = world.shop.table.new_stream_records();
    world.shop.admin(door::http_v2("PATCH", &path(id)).json(&json!({"name": "Cup"}))).await;
    world.shop.clock.advance(Duration::from_secs(36));
    // The other change is long past, and Redis knows nothing of it.
    environment.changes(&created).await;
    assert_eq!(environment.read(id).await.json()["version"], 2);
}

#[tokio::test]
async fn what_is_no_entry_is_replaced_by_one() {
    let world = World::open();
    let environment = world.environment().await;
    let id = world.shop.product(3).await;
    let key = world.entry_key(id);
    for garbage in ["", "garbage", "99999999999999999999999:999:{}", &"9".repeat(60), "9:9:"] {
        let _: () = world.ask(&["SET", &key, garbage]);
        world.reads();
        for _ in 0..2 {
            assert_eq!(environment.read(id).await.json()["stock"], 3, "{garbage}");
        }
        assert_eq!(world.reads(), 1, "{garbage}");
        let _: () = world.ask(&["DEL", &key]);
    }
    // A list where a text should be.
    let _: () = world.ask(&["RPUSH", &key, "garbage"]);
    for _ in 0..2 {
        assert_eq!(environment.read(id).await.json()["stock"], 3);
    }
    assert_eq!(world.reads(), 1);
}
