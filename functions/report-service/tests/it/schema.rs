use serde_json::json;

use crate::{
    harness::{Reports, TestDatabase},
    story::Story,
};

/// The version of the last file in `migrations/`, and the names of all of them.
fn migrations() -> (u64, Vec<String>) {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
    let name = |file: std::io::Result<std::fs::DirEntry>| {
        file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = files.map(name).collect();
    names.sort();
    (names.last().unwrap()[..4].parse().unwrap(), names)
}

#[tokio::test]
async fn migrations_can_be_repeated() {
    let reports = Reports::empty();
    let (last, names) = migrations();
    let first = reports.task("migrate", json!({})).await;
    assert_eq!(first, json!({ "from": 0, "to": last, "applied": names }));
    reports.takes(Story::delivered().events()).await;
    let before = reports.place.contents();
    let second = reports.task("migrate", json!({})).await;
    assert_eq!(second, json!({ "from": last, "to": last, "applied": [] }));
    assert_eq!(reports.place.contents(), before);
}

#[tokio::test]
async fn of_several_at_once_one_migrates() {
    let place = TestDatabase::create();
    let databases = [(); 3].map(|()| place.connect());
    let [one, two, three] = databases.map(|database| {
        let place = TestDatabase::named(place.server(), &place.name);
        Reports::of(place, database)
    });
    let (one, two, three) = tokio::join!(
        one.task("migrate", json!({})),
        two.task("migrate", json!({})),
        three.task("migrate", json!({})),
    );
    let (last, names) = migrations();
    let mut answers = [one, two, three];
    answers.sort_by_key(|answer| answer["from"].as_u64());
    assert_eq!(answers[0], json!({ "from": 0, "to": last, "applied": names }));
    for answer in &answers[1..] {
        assert_eq!(*answer, json!({ "from": last, "to": last, "applied": [] }));
    }
}

#[tokio::test]
async fn a_schema_that_is_missing_or_newer_is_one_clear_error() {
    let reports = Reports::empty();
    let (last, _) = migrations();
    let event = || Story::delivered().events().remove(0);
    let error = reports.try_task("read-orders", json!({})).await.unwrap_err();
    let expected = format!(
        "the database has schema version 0, this code needs {last}: run `cargo xtask report migrate`"
    );
    assert_eq!(error, expected);
    assert_eq!(reports.deliver([event()]).await, [0]);
    assert_eq!(reports.task("status", json!({})).await["schema"], 0);

    reports.task("migrate", json!({})).await;
    reports.place.psql("INSERT INTO public._sqlx_migrations VALUES (9999, 'future', now(), true, '', 0)");
    let expected =
        format!("the database has schema version 9999, this code knows {last}: deploy the newer code");
    for task in ["read-orders", "migrate", "rebuild/start"] {
        assert_eq!(reports.try_task(task, json!({})).await.unwrap_err(), expected, "{task}");
    }
    assert_eq!(reports.deliver([event()]).await, [0]);
    let status = reports.task("status", json!({})).await;
    assert_eq!(status, json!({ "schema": 9999, "expected": last, "rebuild": null, "orders": null }));

    reports.place.psql("DELETE FROM public._sqlx_migrations WHERE version = 9999");
    reports.takes([event()]).await;
    assert_eq!(reports.task("status", json!({})).await["orders"], 1);
}

#[tokio::test]
async fn a_migration_that_was_changed_afterwards_is_refused() {
    let reports = Reports::open().await;
    reports.place.psql("UPDATE public._sqlx_migrations SET checksum = '\\x00' WHERE version = 1");
    let error = reports.try_task("migrate", json!({})).await.unwrap_err();
    assert!(error.contains("migration 1 was previously applied but has been modified"), "{error}");
}

#[tokio::test]
async fn a_migration_waits_until_no_rebuild_is_under_way() {
    let reports = Reports::open().await;
    let started = reports.task("rebuild/start", json!({ "by": "ada@home" })).await;
    let id = started["rebuild_id"].as_str().unwrap();
    let error = reports.try_task("migrate", json!({})).await.unwrap_err();
    assert!(error.starts_with(&format!("rebuild {id} is under way, begun by ada@home at 2")), "{error}");
    reports.task("rebuild/abandon", json!({})).await;
    reports.task("migrate", json!({})).await;
}

/// What a connection has prepared is of the schema as it was then.
#[tokio::test]
async fn a_column_that_changes_its_type_costs_a_try_and_no_more() {
    let reports = Reports::open().await;
    let read = || reports.try_task("read-products", json!({}));
    read().await.unwrap();
    reports.place.psql("ALTER TABLE report.products ALTER COLUMN name TYPE varchar(300)");
    // The connection of either call may be the one that is in use, or another one.
    let tries = [read().await, read().await, read().await];
    assert!(tries.iter().filter(|tried| tried.is_err()).count() <= 1, "{tries:?}");
}
