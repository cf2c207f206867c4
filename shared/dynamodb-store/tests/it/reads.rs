use dynamodb_store::{Consistency, Key, StoreError};
use serde::{Deserialize, Serialize};

use crate::{Row, orders, row};

#[tokio::test]
async fn a_row_is_read_as_it_was_written_and_an_absent_one_is_none() {
    let table = orders();
    table.create("order_id", &row("1")).await.unwrap();
    let read = |id: &'static str| {
        let table = table.clone();
        async move { table.get::<Row>(&Key::new("order_id", id), Consistency::Strong).await }
    };
    assert_eq!(read("1").await.unwrap(), Some(row("1")));
    assert_eq!(read("2").await.unwrap(), None);
}

#[tokio::test]
async fn a_row_of_another_shape_is_malformed_and_not_absent() {
    #[derive(Debug, Deserialize)]
    struct Other {
        #[serde(rename = "total")]
        _total: i64,
    }
    let table = orders();
    table.create("order_id", &row("1")).await.unwrap();
    let error = table.get::<Other>(&Key::new("order_id", "1"), Consistency::Eventual).await.unwrap_err();
    assert!(matches!(error, StoreError::Malformed { row, .. } if row.ends_with("Other")), "{error:?}");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn many_rows_of_two_kinds_are_read_once_each_past_the_limit_of_a_batch() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Tombstone {
        order_id: String,
        expires_at: i64,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Row(Row),
        Tombstone(Tombstone),
    }
    let table = orders();
    for number in 0..120 {
        table.create("order_id", &row(&format!("{number:03}"))).await.unwrap();
    }
    let tombstone = Tombstone { order_id: "deleted".to_owned(), expires_at: 1_795_340_640 };
    table.create("order_id", &tombstone).await.unwrap();

    let ids = (0..130).map(|number| format!("{number:03}")).chain(["deleted".to_owned(), "000".to_owned()]);
    let keys: Vec<Key> = ids.map(|id| Key::new("order_id", id)).collect();
    let rows: Vec<Either> = table.get_many(&keys, Consistency::Strong).await.unwrap();
    assert_eq!(rows.len(), 121);
    assert_eq!(rows.iter().filter(|either| matches!(either, Either::Row(_))).count(), 120);
    assert!(rows.contains(&Either::Tombstone(tombstone)));
}
