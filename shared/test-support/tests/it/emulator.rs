use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue::{N, S};
use aws_sdk_dynamodb::types::{KeyType, ProjectionType};
use test_support::{Emulator, TestTable};

#[tokio::test]
async fn tables_have_the_templates_keys_and_indexes() {
    let client = Client::new(&Emulator::sdk_config());
    let expected = [
        (TestTable::users(), "user_id", vec!["email-index", "feed-position-index"]),
        (TestTable::products(), "product_id", vec!["category-created_at-index", "feed-position-index"]),
        (TestTable::orders(), "order_id", vec!["user_id-created_at-index"]),
    ];
    for (table, key, indexes) in expected {
        let described = client.describe_table().table_name(table.name()).send().await.unwrap();
        let described = described.table.unwrap();
        assert_eq!(described.key_schema()[0].attribute_name(), key);
        assert_eq!(described.key_schema()[0].key_type(), &KeyType::Hash);
        let mut names: Vec<&str> =
            described.global_secondary_indexes().iter().filter_map(|index| index.index_name()).collect();
        names.sort_unstable();
        assert_eq!(names, indexes);
    }
}

#[tokio::test]
async fn an_admins_list_of_users_cannot_show_a_password_hash() {
    let client = Client::new(&Emulator::sdk_config());
    let table = TestTable::users();
    let described = client.describe_table().table_name(table.name()).send().await.unwrap();
    let described = described.table.unwrap();
    let feed = described.global_secondary_indexes().iter();
    let feed = feed.clone().find(|index| index.index_name() == Some("feed-position-index")).unwrap();
    let projection = feed.projection().unwrap();
    assert_eq!(projection.projection_type(), Some(&ProjectionType::Include));
    assert!(!projection.non_key_attributes().contains(&"password_hash".to_owned()));
}

#[tokio::test]
async fn the_stream_gives_each_change_once_as_lambda_would() {
    let client = Client::new(&Emulator::sdk_config());
    let table = TestTable::orders();
    let put = |version: &str| {
        client
            .put_item()
            .table_name(table.name())
            .item("order_id", S("1".to_owned()))
            .item("version", N(version.to_owned()))
            .send()
    };
    assert!(table.new_stream_records().is_empty());
    put("1").await.unwrap();
    put("2").await.unwrap();
    let records = table.new_stream_records();
    let names: Vec<_> = records.iter().map(|record| record["eventName"].as_str().unwrap()).collect();
    assert_eq!(names, ["INSERT", "MODIFY"]);
    let change = &records[1];
    assert_eq!(change["eventSource"], "aws:dynamodb");
    let arn = change["eventSourceARN"].as_str().unwrap();
    assert!(arn.starts_with("arn:aws:dynamodb:us-east-1:"), "{arn}");
    assert!(arn.contains(&format!("table/{}/stream/", table.name())), "{arn}");
    assert_eq!(change["dynamodb"]["StreamViewType"], "NEW_AND_OLD_IMAGES");
    assert_eq!(change["dynamodb"]["Keys"]["order_id"]["S"], "1");
    assert_eq!(change["dynamodb"]["OldImage"]["version"]["N"], "1");
    assert_eq!(change["dynamodb"]["NewImage"]["version"]["N"], "2");
    let ids: Vec<_> = records.iter().map(|record| record["eventID"].as_str().unwrap()).collect();
    assert_ne!(ids[0], ids[1]);
    let numbers: Vec<_> =
        records.iter().map(|record| record["dynamodb"]["SequenceNumber"].as_str().unwrap()).collect();
    assert!(numbers[0] < numbers[1]);

    client.delete_item().table_name(table.name()).key("order_id", S("1".to_owned())).send().await.unwrap();
    let records = table.new_stream_records();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["eventName"], "REMOVE");
    assert!(records[0]["dynamodb"].get("NewImage").is_none());
}

#[tokio::test]
async fn tables_do_not_see_each_others_rows() {
    let client = Client::new(&Emulator::sdk_config());
    let (one, other) = (TestTable::orders(), TestTable::orders());
    let row = client.put_item().table_name(one.name()).item("order_id", S("1".to_owned()));
    row.send().await.unwrap();
    assert!(other.new_stream_records().is_empty());
    let read = client.get_item().table_name(other.name()).key("order_id", S("1".to_owned()));
    assert!(read.send().await.unwrap().item.is_none());
}
