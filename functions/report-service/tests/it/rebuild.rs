use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    harness::{Blocker, Reports},
    story::{self, Story, product_row},
};

/// All that is on disk about tables and indexes, by name.
const SHAPE: &str = "SELECT jsonb_object_agg(name, definition) FROM (\
    SELECT indexname AS name, indexdef AS definition FROM pg_indexes WHERE schemaname = 'report' UNION ALL \
    SELECT table_name || '.' || column_name, concat_ws(' ', ordinal_position, data_type, is_nullable, column_default, \
    generation_expression) FROM information_schema.columns WHERE table_schema = 'report') AS shape";

async fn start(reports: &Reports) -> Value {
    reports.task("rebuild/start", json!({ "by": "ada@home" })).await["rebuild_id"].clone()
}

async fn hand_over(reports: &Reports, id: &Value, stories: &[&Story], products: &[Value]) {
    let orders: Vec<Value> = stories.iter().map(|story| story.row()).collect();
    let answer = reports.task("rebuild/orders", json!({ "rebuild_id": id, "orders": orders })).await;
    assert_eq!(answer, json!({ "written": orders.len() }));
    let answer = reports.task("rebuild/products", json!({ "rebuild_id": id, "products": products })).await;
    assert_eq!(answer, json!({ "written": products.len() }));
}

#[tokio::test]
async fn rows_give_the_same_as_the_events_that_they_come_from() {
    let reports = Reports::open().await;
    let stories = [
        Story::delivered(),
        Story::new(&["PENDING", "CONFIRMED", "CANCELLED"]),
        Story::new(&["PENDING", "REJECTED"]),
        Story::new(&["PENDING"]),
    ];
    let twice = Uuid::now_v7();
    let summed = Story { lines: vec![(twice, 1, 100), (twice, 2, 200)], ..Story::delivered() };
    let stories: Vec<&Story> = stories.iter().chain([&summed]).collect();
    let product = Uuid::now_v7();
    for story in &stories {
        reports.takes(story.events()).await;
    }
    reports.takes([story::product_created(product, "car")]).await;
    let (before, shape) = (reports.place.contents(), reports.place.value(SHAPE));

    let id = start(&reports).await;
    hand_over(&reports, &id, &stories, &[product_row(product, 1, "car")]).await;
    let swapped = reports.task("rebuild/swap", json!({ "rebuild_id": id })).await;
    assert_eq!(swapped, json!({ "orders": 5, "lines": 9, "products": 1 }));
    assert_eq!(reports.place.contents(), before);
    assert_eq!(reports.place.value(SHAPE), shape, "indexes, too, and by the same names");
    let again = reports.task("rebuild/swap", json!({ "rebuild_id": id })).await;
    assert_eq!(again, swapped, "the first answer may have been lost");
    assert_eq!(reports.place.value("SELECT count(*) FROM pg_namespace WHERE nspname ~ '^report_'"), 0);
}

#[tokio::test]
async fn a_rebuild_corrects_what_was_wrong_and_keeps_what_only_reports_know() {
    let reports = Reports::open().await;
    let [damaged, ghost, missed] = [(); 3].map(|()| Story::delivered());
    let [gone, renamed] = [Uuid::now_v7(), Uuid::now_v7()];
    reports.takes([damaged.events(), ghost.events()].concat()).await;
    reports.takes([story::product_deleted(gone, 2, "doll"), story::product_created(renamed, "car")]).await;
    reports.place.psql("UPDATE report.orders SET total = 1, version = 9; DELETE FROM report.order_lines");
    let id = start(&reports).await;
    hand_over(&reports, &id, &[&damaged, &missed], &[product_row(renamed, 2, "cart")]).await;
    reports.task("rebuild/erased", json!({ "rebuild_id": id, "user_ids": [missed.user_id] })).await;
    reports.task("rebuild/swap", json!({ "rebuild_id": id })).await;

    let orders =
        reports.place.rows("SELECT order_id, version, total, user_id FROM report.orders ORDER BY order_id");
    assert_eq!(
        orders,
        json!([
            { "order_id": damaged.order_id, "version": 4, "total": 3500, "user_id": damaged.user_id },
            { "order_id": missed.order_id, "version": 4, "total": 3500, "user_id": null },
        ])
    );
    assert_eq!(reports.place.value("SELECT count(*) FROM report.order_lines"), 4);
    let products = reports.place.rows("SELECT name, deleted FROM report.products ORDER BY name");
    assert_eq!(products, json!([{ "name": "cart", "deleted": false }, { "name": "doll", "deleted": true }]));
}

/// Events of each kind come before the start, after it, between the batches and after the swap, each order's in another
/// order; rows are handed over late, as a slow scan has read them, or ahead of their events.
#[tokio::test]
async fn what_happens_meanwhile_is_not_lost() {
    let (reports, reference) = tokio::join!(Reports::open(), Reports::open());
    let stories: Vec<Story> = (0..10).map(|_| Story::delivered()).collect();
    let gone = &stories[9];
    let [product, deleted] = [Uuid::now_v7(), Uuid::now_v7()];
    let mut events: Vec<String> = stories.iter().flat_map(Story::events).collect();
    events.extend([
        story::product_created(product, "car"),
        story::product_created(deleted, "doll"),
        // After the swap: a row that was read cannot have been deleted before the start.
        story::product_deleted(deleted, 1, "doll"),
        story::product_updated(product, 2, "cart"),
        story::user_deleted(gone.user_id),
    ]);
    for event in &events {
        reference.takes([event.clone()]).await;
    }
    let part = |number: usize| events.iter().skip(number).step_by(5).cloned().collect::<Vec<String>>();
    let all: Vec<&Story> = stories.iter().collect();

    reports.takes(part(3)).await;
    let id = start(&reports).await;
    reports.takes(part(1)).await;
    // As the table was some time ago: fewer steps.
    let old: Vec<Story> =
        stories.iter().map(|story| Story { states: story.states[..2].to_vec(), ..story.clone() }).collect();
    let old: Vec<&Story> = old.iter().collect();
    let handing_over = async {
        hand_over(
            &reports,
            &id,
            &old[..5],
            &[product_row(product, 1, "car"), product_row(deleted, 1, "doll")],
        )
        .await;
        hand_over(&reports, &id, &all[5..], &[product_row(product, 2, "cart")]).await;
    };
    tokio::join!(handing_over, reports.takes(part(4)));
    hand_over(&reports, &id, &all[..5], &[]).await;
    let swapping = reports.task("rebuild/swap", json!({ "rebuild_id": id }));
    tokio::join!(swapping, reports.takes(part(0)));
    reports.takes(part(2)).await;
    assert_eq!(reports.place.contents(), reference.place.contents());
}

/// The swap comes while a projection is in the middle of its transaction, and another one begins.
#[tokio::test]
async fn a_swap_waits_for_what_is_being_written_and_what_comes_after_it_is_written_to_the_new_tables() {
    let reports = Reports::open().await;
    let [before, after] = [Story::delivered(), Story::delivered()];
    let id = start(&reports).await;
    let blocker = Blocker::hold_order(&reports.place, before.order_id).await;
    let writing = reports.takes([before.event(3)]);
    let swapping = async {
        reports.place.waits(1).await;
        reports.task("rebuild/swap", json!({ "rebuild_id": id })).await
    };
    let release = async {
        reports.place.waits(2).await;
        blocker.release().await;
    };
    let ((), swapped, ()) = tokio::join!(writing, swapping, release);
    assert_eq!(swapped["orders"], 1);
    reports.takes([after.event(3)]).await;
    assert_eq!(reports.place.value("SELECT count(*) FROM report.orders"), 2);
    assert_eq!(reports.place.value("SELECT sum(revenue) FROM report.order_lines"), 7000);
}

/// What reads the tables before keeps them as long as it needs them; nobody waits for it.
#[tokio::test]
async fn a_swap_does_not_wait_for_reports_that_are_being_read() {
    let reports = Reports::open().await;
    reports.takes(Story::delivered().events()).await;
    let reading = Blocker::hold(&reports.place, "SELECT FROM report.orders").await;
    let id = start(&reports).await;
    let swapping = reports.task("rebuild/swap", json!({ "rebuild_id": id }));
    let meanwhile = async {
        // All that waits is the end of the tables before.
        reports.place.waits(1).await;
        let story = Story::delivered();
        reports.takes(story.events()).await;
        assert_eq!(reports.state(story.order_id), json!(["DELIVERED", 4]));
        assert_eq!(reports.place.value("SELECT count(*) FROM report.orders"), 1);
        reading.release().await;
    };
    tokio::join!(swapping, meanwhile);
}

#[tokio::test]
async fn one_rebuild_is_under_way_at_a_time() {
    let reports = Reports::open().await;
    let first = start(&reports).await;
    let error = reports.try_task("rebuild/start", json!({ "by": "bob@work" })).await.unwrap_err();
    assert!(error.starts_with("a rebuild is under way, begun by ada@home at 2"), "{error}");
    assert!(error.contains("Z: ") && error.contains(first.as_str().unwrap()), "{error}");
    let status = reports.task("status", json!({})).await;
    assert_eq!(status["rebuild"]["rebuild_id"], first);
    assert_eq!(status["rebuild"]["by"], "ada@home");

    let story = Story::delivered();
    hand_over(&reports, &first, &[&story], &[]).await;
    let restarted = reports.task("rebuild/start", json!({ "by": "bob@work", "restart": true })).await;
    let second = &restarted["rebuild_id"];
    assert_ne!(*second, first);
    for (task, input) in [
        ("rebuild/orders", json!({ "rebuild_id": first, "orders": [story.row()] })),
        ("rebuild/products", json!({ "rebuild_id": first, "products": [] })),
        ("rebuild/erased", json!({ "rebuild_id": first, "user_ids": [] })),
        ("rebuild/swap", json!({ "rebuild_id": first })),
    ] {
        let error = reports.try_task(task, input).await.unwrap_err();
        assert_eq!(error, format!("rebuild {} is not under way", first.as_str().unwrap()), "{task}");
    }
    reports.task("rebuild/abandon", json!({ "rebuild_id": first })).await;
    let swapped = reports.task("rebuild/swap", json!({ "rebuild_id": second })).await;
    assert_eq!(swapped["orders"], 0, "nothing is left of the first one");
}

#[tokio::test]
async fn a_rebuild_that_is_given_up_leaves_no_trace() {
    let reports = Reports::open().await;
    let story = Story::delivered();
    reports.takes(story.events()).await;
    let before = reports.place.contents();
    let id = start(&reports).await;
    hand_over(&reports, &id, &[&Story::delivered()], &[]).await;
    reports.task("rebuild/abandon", json!({ "rebuild_id": id })).await;
    reports.task("rebuild/abandon", json!({})).await;
    assert_eq!(reports.place.contents(), before);
    assert_eq!(reports.place.value("SELECT count(*) FROM pg_namespace WHERE nspname ~ '^report_'"), 0);
    assert_eq!(reports.task("status", json!({})).await["rebuild"], Value::Null);
    reports.takes(Story::delivered().events()).await;
    reports.task("rebuild/start", json!({})).await;
}

#[tokio::test]
async fn a_row_that_comes_twice_in_a_batch_counts_once() {
    let reports = Reports::open().await;
    let id = start(&reports).await;
    let story = Story::delivered();
    let before = Story { states: story.states[..2].to_vec(), ..story.clone() };
    let orders = json!([before.row(), story.row(), before.row()]);
    let answer = reports.task("rebuild/orders", json!({ "rebuild_id": id, "orders": orders })).await;
    assert_eq!(answer, json!({ "written": 1 }));
    let product = Uuid::now_v7();
    let products = json!([product_row(product, 2, "cart"), product_row(product, 1, "car")]);
    reports.task("rebuild/products", json!({ "rebuild_id": id, "products": products })).await;
    reports.task("rebuild/swap", json!({ "rebuild_id": id })).await;
    assert_eq!(reports.state(story.order_id), json!(["DELIVERED", 4]));
    assert_eq!(reports.place.value("SELECT name FROM report.products"), "cart");
}
