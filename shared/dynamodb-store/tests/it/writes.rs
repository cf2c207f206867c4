use dynamodb_store::{Consistency, Item, Key, StoreError, Table, from_item};
use serde::{Deserialize, Serialize};

use crate::{Row, orders, row};

fn key(id: &str) -> Key {
    Key::new("order_id", id)
}

async fn table_with_row() -> Table {
    let table = orders();
    table.create("order_id", &row("1")).await.unwrap();
    table
}

/// The row in a failed condition.
fn found(error: StoreError) -> Option<Row> {
    match error {
        StoreError::ConditionFailed { item } => item.map(|item: Item| from_item(item).unwrap()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_taken_key_is_a_failed_condition_with_the_present_row() {
    let table = table_with_row().await;
    let mut rival = row("1");
    rival.status = "RIVAL".to_owned();
    let error = table.create("order_id", &rival).await.unwrap_err();
    assert!(!error.is_retryable());
    assert_eq!(found(error), Some(row("1")));
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_answers_the_new_row() {
    let table = table_with_row().await;
    let updated: Row = table
        .update(key("1"))
        .set("status", "REJECTED")
        .set_opt("reason", Some("out_of_stock"))
        .set_opt("user_id", None::<&str>)
        .add("stock", -2)
        .append("history", "PENDING")
        .bump_version()
        .send()
        .await
        .unwrap();
    let expected = Row {
        status: "REJECTED".to_owned(),
        reason: Some("out_of_stock".to_owned()),
        stock: 3,
        history: vec!["PENDING".to_owned()],
        version: 2,
        ..row("1")
    };
    assert_eq!(updated, expected);

    let updated: Row =
        table.update(key("1")).remove("reason").append("history", "REJECTED").send().await.unwrap();
    assert_eq!(updated.reason, None);
    assert_eq!(updated.history, ["PENDING", "REJECTED"]);
}

#[tokio::test]
async fn an_update_never_makes_a_row() {
    let table = orders();
    let error = table.update(key("1")).set("status", "SHIPPED").send::<Row>().await.unwrap_err();
    assert_eq!(found(error), None);
    let stored = table.get::<Row>(&key("1"), Consistency::Strong).await.unwrap();
    assert_eq!(stored, None);
}

#[tokio::test]
async fn an_upsert_makes_the_row_or_changes_what_it_names() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Counter {
        order_id: String,
        hits: i64,
        #[serde(default)]
        reason: Option<String>,
    }
    let table = orders();
    let counter = |hits, reason: Option<&str>| Counter {
        order_id: "1".to_owned(),
        hits,
        reason: reason.map(str::to_owned),
    };
    let hit = || table.upsert(key("1")).add("hits", 1);
    assert_eq!(hit().send::<Counter>().await.unwrap(), counter(1, None));
    assert_eq!(hit().set("reason", "again").send::<Counter>().await.unwrap(), counter(2, Some("again")));
    let error =
        table.upsert(key("2")).add("hits", 1).if_at_most("hits", 5).send::<Counter>().await.unwrap_err();
    assert!(matches!(error, StoreError::ConditionFailed { item: None }), "{error:?}");
}

#[tokio::test]
async fn a_map_equals_what_has_the_same_members() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Mark {
        by: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        times: Option<u64>,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Marked {
        mark: Mark,
    }
    let table = orders();
    let mark = |by: &str, times| Mark { by: by.to_owned(), times };
    let marked = mark("Ada", Some(1));
    table.upsert(key("1")).set("mark", &marked).send::<Marked>().await.unwrap();
    let again = || table.update(key("1")).set("mark", &marked);
    assert_eq!(again().if_equals("mark", &marked).send::<Marked>().await.unwrap().mark, marked);
    for other in [mark("Eve", Some(1)), mark("Ada", Some(2)), mark("Ada", None)] {
        let error = again().if_equals("mark", &other).send::<Marked>().await.unwrap_err();
        assert!(matches!(error, StoreError::ConditionFailed { item: Some(_) }), "{other:?}: {error:?}");
    }
}

#[tokio::test]
async fn each_condition_lets_pass_what_meets_it_and_stops_the_rest() {
    let table = table_with_row().await;
    let update = || table.update(key("1")).set("user_id", "user");
    let none: [&str; 0] = [];
    for meets in [
        update().if_equals("status", "PENDING"),
        update().if_in("status", ["CONFIRMED", "PENDING"]),
        update().if_at_least("stock", 5),
        update().if_at_most("stock", 5),
        update().if_version(1),
        update().if_equals("status", "PENDING").if_at_least("stock", 1).if_version(1),
    ] {
        assert_eq!(meets.send::<Row>().await.unwrap(), row("1"));
    }
    for fails in [
        update().if_equals("status", "SHIPPED"),
        update().if_in("status", ["CONFIRMED", "SHIPPED"]),
        update().if_in("status", none),
        update().if_at_least("stock", 6),
        update().if_at_most("stock", 4),
        update().if_version(2),
        update().if_equals("reason", "absent attributes equal nothing"),
        update().if_equals("status", "PENDING").if_version(2),
    ] {
        assert_eq!(found(fails.send::<Row>().await.unwrap_err()), Some(row("1")));
    }
}

#[tokio::test]
async fn a_removal_obeys_its_conditions() {
    let table = table_with_row().await;
    let error = table.delete(key("1")).if_version(2).send().await.unwrap_err();
    assert_eq!(found(error), Some(row("1")));
    table.delete(key("1")).if_version(1).send().await.unwrap();
    table.delete(key("1")).send().await.unwrap();
    let error = table.delete(key("1")).if_exists().send().await.unwrap_err();
    assert_eq!(found(error), None);
}

#[tokio::test]
async fn of_many_takers_at_once_only_as_many_succeed_as_there_are_units() {
    let table = table_with_row().await;
    let takers = (0..20).map(|_| {
        let take = table.update(key("1")).add("stock", -1).if_at_least("stock", 1);
        tokio::spawn(take.send::<Row>())
    });
    let mut taken = 0;
    for taker in takers.collect::<Vec<_>>() {
        match taker.await.unwrap() {
            Ok(_) => taken += 1,
            Err(error) => assert_eq!(found(error).unwrap().stock, 0),
        }
    }
    assert_eq!(taken, 5);
}

#[tokio::test]
async fn a_request_that_the_table_refuses_is_neither_absent_nor_retryable() {
    let table = table_with_row().await;
    let twice = table.update(key("1")).set("status", "A").set("status", "B");
    let wrong_key = Key::new("product_id", "1");
    for error in [
        twice.send::<Row>().await.unwrap_err(),
        table.get::<Row>(&wrong_key, Consistency::Strong).await.unwrap_err(),
        Table::with_client(table.client().clone(), "no-such-table")
            .get::<Row>(&key("1"), Consistency::Strong)
            .await
            .unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Rejected(_)), "{error:?}");
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn an_error_shows_no_row() {
    let table = table_with_row().await;
    let error = table.create("order_id", &row("1")).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("PENDING"));
}

#[tokio::test]
async fn a_list_grows_up_to_its_bound() {
    let table = table_with_row().await;
    let longer = async |list: &str| {
        table.update(key("1")).append(list, "x").if_shorter_than(list, 2).send::<Row>().await
    };
    assert_eq!(longer("history").await.unwrap().history, ["x"], "a list of its own, empty at first");
    assert_eq!(longer("history").await.unwrap().history, ["x", "x"]);
    assert_eq!(found(longer("history").await.unwrap_err()).unwrap().history, ["x", "x"]);
    for _ in 0..2 {
        longer("a list that no row has yet").await.unwrap();
    }
    longer("a list that no row has yet").await.unwrap_err();
}

#[tokio::test]
async fn a_write_can_be_held_back_where_it_would_change_nothing() {
    let table = table_with_row().await;
    let present = row("1");
    let write = async |status: &str, reason: Option<&str>| {
        let update = table.update(key("1")).set("status", status).set_opt("reason", reason).if_different();
        update.bump_version().send::<Row>().await
    };
    assert_eq!(found(write(&present.status, None).await.unwrap_err()), Some(present.clone()));
    assert_eq!(write("OTHER", None).await.unwrap().version, 2);
    // One difference is enough, and what is not there is one.
    assert_eq!(write("OTHER", Some("reason")).await.unwrap().version, 3);
    assert_eq!(found(write("OTHER", Some("reason")).await.unwrap_err()).unwrap().version, 3);
}

#[tokio::test]
async fn an_attribute_that_is_not_there_equals_nothing() {
    let table = table_with_row().await;
    let mark = async |reason: &str| {
        table.update(key("1")).if_not_equals("reason", reason).set("reason", reason).send::<Row>().await
    };
    assert_eq!(mark("one").await.unwrap().reason.as_deref(), Some("one"));
    assert_eq!(found(mark("one").await.unwrap_err()).unwrap().reason.as_deref(), Some("one"));
    mark("two").await.unwrap();
}
