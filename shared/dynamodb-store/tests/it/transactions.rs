use dynamodb_store::{Consistency, Key, Reason, Table, Transaction, TransactionError, from_item};

use crate::{Row, orders, row};

fn key(id: &str) -> Key {
    Key::new("order_id", id)
}

async fn read(table: &Table, id: &str) -> Option<Row> {
    table.get(&key(id), Consistency::Strong).await.unwrap()
}

#[tokio::test]
async fn all_operations_happen_together() {
    let table = orders();
    table.create("order_id", &row("changed")).await.unwrap();
    table.create("order_id", &row("removed")).await.unwrap();
    Transaction::new(&table)
        .create("order_id", &row("new"))
        .update(table.update(key("changed")).add("stock", -5).if_at_least("stock", 5).bump_version())
        .delete(table.delete(key("removed")).if_version(1))
        .commit()
        .await
        .unwrap();
    assert_eq!(read(&table, "new").await, Some(row("new")));
    assert_eq!(read(&table, "changed").await, Some(Row { stock: 0, version: 2, ..row("changed") }));
    assert_eq!(read(&table, "removed").await, None);
}

#[tokio::test]
async fn a_cancelled_transaction_changes_nothing_and_gives_each_operations_reason_in_order() {
    let table = orders();
    for id in ["taken", "enough", "short"] {
        table.create("order_id", &row(id)).await.unwrap();
    }
    let take = |id: &str, units: i64| table.update(key(id)).add("stock", -units).if_at_least("stock", units);
    let error = Transaction::new(&table)
        .create("order_id", &row("free"))
        .create("order_id", &row("taken"))
        .update(take("enough", 5))
        .update(take("short", 6))
        .update(take("absent", 1))
        .commit()
        .await
        .unwrap_err();
    assert!(!error.condition_failed(0) && error.condition_failed(1) && !error.condition_failed(5));
    let TransactionError::Cancelled(reasons) = error else { panic!("{error:?}") };
    let rows: Vec<Option<Row>> = reasons
        .into_iter()
        .map(|reason| match reason {
            Reason::None => None,
            Reason::ConditionFailed(None) => Some(row("no row")),
            Reason::ConditionFailed(Some(item)) => Some(from_item(item).unwrap()),
            other => panic!("{other:?}"),
        })
        .collect();
    let absent = Some(row("no row"));
    assert_eq!(rows, [None, Some(row("taken")), None, Some(row("short")), absent]);
    assert_eq!(read(&table, "free").await, None);
    assert_eq!(read(&table, "enough").await, Some(row("enough")));
}

#[tokio::test]
async fn a_row_that_cannot_be_written_is_told_before_anything_is_sent() {
    let table = orders();
    let error = Transaction::new(&table)
        .create("order_id", &row("1"))
        .create("order_id", &"no row at all")
        .commit()
        .await
        .unwrap_err();
    assert!(matches!(error, TransactionError::Store(_)), "{error:?}");
    assert_eq!(read(&table, "1").await, None);
}
