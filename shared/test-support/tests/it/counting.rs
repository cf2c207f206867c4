use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, Put, TransactWriteItem},
};
use test_support::{Call, CountingEndpoint, TestTable};

fn client(endpoint: &CountingEndpoint) -> Client {
    Client::new(&test_support::sdk_config(endpoint.endpoint()))
}

fn id(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

#[tokio::test]
async fn calls_are_counted_with_their_request_units() {
    let (endpoint, table) = (CountingEndpoint::start("{}"), TestTable::products());
    let client = client(&endpoint);
    let put = client
        .put_item()
        .table_name(table.name())
        .item("product_id", id("1"))
        .item("category", id("kitchen"))
        .item("created_at", id("2026-11-22T09:44:00.000Z"))
        .condition_expression("attribute_not_exists(product_id)");
    put.clone().send().await.unwrap();
    let taken = put.send().await.unwrap_err().into_service_error();
    assert!(taken.is_conditional_check_failed_exception());
    client.get_item().table_name(table.name()).key("product_id", id("1")).send().await.unwrap();

    let call = |operation: &str, reads, table_writes, index_writes| Call {
        operation: operation.to_owned(),
        reads,
        table_writes,
        index_writes,
    };
    let expected =
        [call("PutItem", 0.0, 1.0, 1.0), call("PutItem", 0.0, 1.0, 0.0), call("GetItem", 0.5, 0.0, 0.0)];
    assert_eq!(endpoint.take(), expected);
    assert_eq!(endpoint.take(), [], "they are taken once");
}

#[tokio::test]
async fn a_cancelled_transaction_is_not_free() {
    let (endpoint, table) = (CountingEndpoint::start("{}"), TestTable::orders());
    let part = |key: &str| {
        let put = Put::builder()
            .table_name(table.name())
            .item("order_id", id(key))
            .condition_expression("attribute_not_exists(order_id)");
        TransactWriteItem::builder().put(put.build().unwrap()).build()
    };
    let client = client(&endpoint);
    client.transact_write_items().transact_items(part("1")).send().await.unwrap();
    let cancelled = client.transact_write_items().transact_items(part("1")).transact_items(part("2"));
    cancelled.send().await.unwrap_err();
    let writes: Vec<_> = endpoint.take().into_iter().map(|call| call.table_writes).collect();
    assert_eq!(writes, [2.0, 4.0]);
}

#[tokio::test]
async fn topics_and_queues_are_behind_it() {
    let endpoint = CountingEndpoint::start("{}");
    let config = test_support::sdk_config(endpoint.endpoint());
    let topic = aws_sdk_sns::Client::new(&config);
    topic.publish().topic_arn("arn:aws:sns:us-east-1:000000000000:t").message("hello").send().await.unwrap();
    let queue = aws_sdk_sqs::Client::new(&config);
    queue.send_message().queue_url("http://localhost/q").message_body("whole").send().await.unwrap();
    assert_eq!(endpoint.topic().published()[0].message, "hello");
    assert_eq!(endpoint.topic().sent()[0].body, "whole");
    let operations: Vec<_> = endpoint.take().into_iter().map(|call| call.operation).collect();
    assert_eq!(operations, ["Publish", "SendMessage"]);
}

#[tokio::test]
async fn what_is_asked_for_is_done_once_though_its_answer_gets_lost() {
    let (endpoint, table) = (CountingEndpoint::start("{}"), TestTable::products());
    let client = client(&endpoint);
    let put = client
        .put_item()
        .table_name(table.name())
        .item("product_id", id("1"))
        .condition_expression("attribute_not_exists(product_id)");
    endpoint.lose_answer("PutItem");
    // The client repeats it, and meets the row that it wrote itself.
    let error = put.clone().send().await.unwrap_err().into_service_error();
    assert!(error.is_conditional_check_failed_exception(), "{error:?}");
    assert_eq!(endpoint.take().len(), 2);
    put.item("product_id", id("2")).send().await.unwrap();
    assert_eq!(endpoint.take().len(), 1, "one answer was lost, not two");
}
