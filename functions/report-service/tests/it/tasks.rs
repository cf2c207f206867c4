use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    harness::Reports,
    story::{self, Story},
};

#[tokio::test]
async fn orders_are_read_page_by_page_with_the_sums_of_their_lines() {
    let reports = Reports::open().await;
    let mut stories: Vec<Story> =
        ["DELIVERED", "REJECTED", "PENDING"].iter().map(|last| ending(last)).collect();
    stories.sort_by_key(|story| story.order_id);
    for story in &stories {
        reports.takes(story.events()).await;
    }
    let (mut after, mut read) = (Value::Null, Vec::new());
    loop {
        let page = reports.task("read-orders", json!({ "after": after, "limit": 2 })).await;
        read.extend(page["orders"].as_array().unwrap().clone());
        after = page["next"].clone();
        if after.is_null() {
            break;
        }
    }
    let expected: Vec<Value> = stories.iter().map(contents).collect();
    assert_eq!(read, expected);

    let [some, none] = [stories[1].order_id, Uuid::now_v7()];
    let found = reports.task("read-orders", json!({ "order_ids": [some, none] })).await;
    assert_eq!(found, json!({ "orders": [contents(&stories[1])], "next": null }));
}

fn ending(last: &str) -> Story {
    match last {
        "DELIVERED" => Story::delivered(),
        "REJECTED" => Story::new(&["PENDING", "REJECTED"]),
        _ => Story::new(&["PENDING"]),
    }
}

fn contents(story: &Story) -> Value {
    let row = story.row();
    let priced = !row["total"].is_null();
    json!({
        "order_id": story.order_id,
        "version": row["version"],
        "status": row["status"],
        "user_id": story.user_id,
        "currency": row["total"]["currency"],
        "total": row["total"]["amount"],
        "units": 5,
        "lines": 2,
        "revenue": if priced { json!(3500) } else { Value::Null },
    })
}

#[tokio::test]
async fn products_are_read_with_those_that_are_gone() {
    let reports = Reports::open().await;
    let [present, gone] = [Uuid::now_v7(), Uuid::now_v7()];
    reports.takes([story::product_created(present, "car"), story::product_deleted(gone, 3, "doll")]).await;
    let product = |product_id, version, name, deleted| json!({ "product_id": product_id, "version": version, "name": name, "category": "toys", "deleted": deleted });
    let all = reports.task("read-products", Value::Null).await;
    let [car, doll] = [product(present, 1, "car", false), product(gone, 3, "doll", true)];
    assert_eq!(all, json!({ "products": [car, doll], "next": null }));
    let first = reports.task("read-products", json!({ "limit": 1 })).await;
    assert_eq!(first, json!({ "products": [car], "next": present }));
    let one = reports.task("read-products", json!({ "product_ids": [gone] })).await;
    assert_eq!(one, json!({ "products": [doll], "next": null }));
}

#[tokio::test]
async fn tasks_that_ask_for_too_much_or_for_nonsense_are_refused() {
    let reports = Reports::open().await;
    let id = Uuid::now_v7();
    let many = vec![id; 501];
    for (task, input, why) in [
        ("read-orders", json!({ "limit": 2001 }), "limit must be 1 to 2000"),
        ("read-orders", json!({ "limit": 0 }), "limit must be 1 to 2000"),
        ("read-orders", json!({ "order_ids": many }), "501 rows are too many: 500 at most"),
        ("read-products", json!({ "product_ids": many }), "501 rows are too many: 500 at most"),
        ("read-orders", json!({ "befor": 1 }), "unknown field `befor`"),
        ("rebuild/erased", json!({ "rebuild_id": id, "user_ids": many }), "501 rows are too many"),
        ("rebuild/swap", json!({}), "missing field `rebuild_id`"),
        ("rebuild/orders", json!({ "rebuild_id": id, "orders": [{}] }), "missing field"),
        ("drop", json!({}), r#"report-service has no task "drop""#),
    ] {
        let error = reports.try_task(task, input).await.unwrap_err();
        assert!(error.contains(why), "{task}: {error}");
    }
}
