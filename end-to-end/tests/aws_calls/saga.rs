//! One order from its request to its deadline, and ten at once.

use access_token::Role;
use end_to_end::bill::{SAGA, Work, is_store_call, work_of};
use uuid::Uuid;

use crate::{
    ledger::Measured,
    shop::{Shop, of_type, order},
};

/// Places orders of two lines, each of products of its own, and lets everything happen that follows from it; answers
/// the invocations.
async fn sagas(count: usize) -> Vec<Measured> {
    let mut shop = Shop::open().await;
    let admin = shop.token(Uuid::now_v7(), Role::Admin);
    let customer = shop.token(Uuid::now_v7(), Role::Customer);
    let mut baskets = Vec::new();
    for _ in 0..count {
        baskets.push([shop.new_product(&admin, "kitchen").await, shop.new_product(&admin, "garden").await]);
    }
    shop.stream("products", None).await;
    // Somebody has ordered these products before.
    for products in &baskets {
        shop.confirmed(&customer, products).await;
    }
    shop.ledger.clear();

    for products in &baskets {
        let body = order(products);
        let dress = |request: test_support::door::HttpEvent| {
            request.header("idempotency-key", Uuid::now_v7().to_string()).json(&body)
        };
        shop.route("POST /api/orders", "", &customer, "/api/orders", dress).await;
    }
    let placed = shop.stream("orders", Some("")).await;
    shop.queue("stock-requests", Some(""), &placed).await;
    let reserved = of_type(&shop.stream("products", Some("")).await, "stock_reserved");
    shop.queue("order-processing", Some(""), &reserved).await;
    shop.stream("orders", Some("")).await;
    shop.queue("order-deadlines", Some(""), &placed).await;
    assert!(shop.stream("orders", None).await.is_empty(), "the deadline finds nothing to do");
    shop.ledger
}

/// What the table says about one order.
fn saga_calls() -> usize {
    SAGA.iter().map(|trigger| work_of(trigger).store_calls()).sum()
}

fn store_calls(ledger: &[Measured]) -> usize {
    ledger.iter().flat_map(|work| &work.operations).filter(|operation| is_store_call(operation)).count()
}

#[tokio::test]
async fn an_order_takes_the_calls_that_the_bill_says_and_no_more_than_six_to_the_store() {
    let ledger = sagas(1).await;
    let triggers: Vec<&str> = ledger.iter().map(|work| work.trigger.as_str()).collect();
    assert_eq!(triggers, SAGA, "the steps of an order");
    for (measured, trigger) in ledger.iter().zip(SAGA) {
        let Work { calls, reads, table_writes, index_writes, .. } = work_of(trigger);
        assert_eq!(measured.calls, *calls, "{trigger}");
        let units = (measured.reads, measured.table_writes, measured.index_writes);
        assert_eq!(units, (*reads, *table_writes, *index_writes), "{trigger}");
    }
    assert_eq!(store_calls(&ledger), saga_calls());
    assert!(store_calls(&ledger) <= 6, "{ledger:#?}");
    assert!(ledger.iter().all(|work| !work.calls.contains("GetSecretValue")), "{ledger:#?}");
}

#[tokio::test]
async fn ten_orders_at_once_share_their_invocations_and_publications() {
    let ledger = sagas(10).await;
    assert_eq!(store_calls(&ledger), 10 * saga_calls());
    let requests = ledger.iter().filter(|work| work.trigger == "POST /api/orders").count();
    assert_eq!(requests, 10);
    assert_eq!(ledger.len() - requests, SAGA.len() - 1, "one invocation per step for all of them");
    let operations = ledger.iter().flat_map(|work| &work.operations);
    let publications = operations.filter(|operation| *operation == "PublishBatch").count();
    // The two products of each order are two records, and so twenty events for two publications.
    assert_eq!(publications, 5);
}
