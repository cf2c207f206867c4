use futures_util::future::join_all;
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{
    Shop, basket, id, order_placed, priced_lines, reserved, stock_rejected, stock_reserved,
};

const OUTCOMES: &str = "order-processing";
const DEADLINES: &str = "order-deadlines";

#[tokio::test]
async fn reserved_stock_confirms_the_order_with_prices_and_total() {
    let shop = Shop::open();
    let customer = shop.customer();
    let order = shop.confirmed_order(&customer).await;
    let confirmed = shop.send(customer.gets(&format!("/api/orders/{}", id(&order)))).await.json();
    assert_eq!(confirmed["status"], "CONFIRMED");
    assert_eq!(confirmed["total"], json!({"amount": 5000, "currency": "EUR"}));
    let price = json!({"amount": 1000, "currency": "EUR"});
    let mut items = order["items"].clone();
    items[0]["unit_price"] = price.clone();
    items[1]["unit_price"] = price;
    assert_eq!(confirmed["items"], items);
    assert_eq!(confirmed["version"], 2);
    assert_eq!(confirmed["shipping_address"], order["shipping_address"]);
}

#[tokio::test]
async fn lines_in_another_sequence_are_still_the_lines_of_the_order() {
    let shop = Shop::open();
    let order = shop.order(&shop.customer(), &basket()).await;
    let mut lines = priced_lines(&order);
    lines.reverse();
    shop.takes(OUTCOMES, reserved(&order, lines)).await;
    let row = shop.db_row(id(&order)).await.unwrap();
    assert_eq!(row["status"], "CONFIRMED");
    assert_eq!(row["items"][0]["product_id"], order["items"][0]["product_id"]);
    assert_eq!(row["version"], 2);
}

#[tokio::test]
async fn stock_for_other_lines_than_the_orders_is_a_failure_and_changes_nothing() {
    let shop = Shop::open();
    let order = shop.order(&shop.customer(), &basket()).await;
    let lines = priced_lines(&order);
    let (mut other_product, mut other_quantity, mut unpriced) = (lines.clone(), lines.clone(), lines.clone());
    other_product[0].product_id = Uuid::now_v7();
    other_quantity[0].quantity += 1;
    unpriced[0].unit_price = None;
    let wrong = [other_product, other_quantity, unpriced, lines[..1].to_vec(), Vec::new()];
    let messages = wrong.map(|lines| reserved(&order, lines));
    assert_eq!(shop.deliver(OUTCOMES, messages).await, [0, 1, 2, 3, 4]);
    assert_eq!(shop.state(&order).await, ("PENDING".to_owned(), 1, None));
}

#[tokio::test]
async fn missing_stock_rejects_the_order_with_the_reason() {
    let shop = Shop::open();
    let order = shop.order(&shop.customer(), &basket()).await;
    shop.takes(OUTCOMES, stock_rejected(&order)).await;
    assert_eq!(shop.state(&order).await, ("REJECTED".to_owned(), 2, Some("out_of_stock".to_owned())));
}

#[tokio::test]
async fn an_order_that_nobody_answered_in_time_is_rejected() {
    let shop = Shop::open();
    let order = shop.order(&shop.customer(), &basket()).await;
    shop.takes(DEADLINES, order_placed(&order)).await;
    assert_eq!(shop.state(&order).await, ("REJECTED".to_owned(), 2, Some("timed_out".to_owned())));
    // The stock that was taken after all is given back because of the rejection; the order stays as it is.
    shop.takes(OUTCOMES, stock_reserved(&order)).await;
    assert_eq!(shop.status(&order).await, "REJECTED");
}

#[tokio::test]
async fn duplicates_of_every_message_change_nothing() {
    let shop = Shop::open();
    let customer = shop.customer();
    for (queue, message) in [
        (OUTCOMES, stock_reserved as fn(&Value) -> String),
        (OUTCOMES, stock_rejected),
        (DEADLINES, order_placed),
    ] {
        let order = shop.order(&customer, &basket()).await;
        shop.takes(queue, message(&order)).await;
        let row = shop.db_row(id(&order)).await;
        let copies = vec![message(&order); 10];
        assert!(shop.deliver(queue, copies).await.is_empty());
        assert_eq!(shop.db_row(id(&order)).await, row);
    }
}

#[tokio::test]
async fn duplicates_that_come_at_once_are_one_change() {
    let shop = Shop::open();
    let order = shop.order(&shop.customer(), &basket()).await;
    let message = stock_reserved(&order);
    join_all((0..10).map(|_| shop.takes(OUTCOMES, message.clone()))).await;
    assert_eq!(shop.state(&order).await, ("CONFIRMED".to_owned(), 2, None));
}

#[tokio::test]
async fn a_message_that_is_late_changes_nothing() {
    let shop = Shop::open();
    let (customer, admin) = (shop.customer(), shop.admin());
    let (cancelled, shipped) =
        (shop.order(&customer, &basket()).await, shop.confirmed_order(&customer).await);
    shop.send(customer.does("cancel", &cancelled)).await;
    shop.send(admin.does("ship", &shipped)).await;
    for order in [&cancelled, &shipped] {
        let row = shop.db_row(id(order)).await;
        shop.takes(OUTCOMES, stock_reserved(order)).await;
        shop.takes(OUTCOMES, stock_rejected(order)).await;
        shop.takes(DEADLINES, order_placed(order)).await;
        assert_eq!(shop.db_row(id(order)).await, row);
    }
}

#[tokio::test]
async fn a_message_about_no_order_fails() {
    let shop = Shop::open();
    let mut order = shop.order(&shop.customer(), &basket()).await;
    order["order_id"] = json!(Uuid::now_v7());
    assert_eq!(shop.deliver(OUTCOMES, [stock_reserved(&order), stock_rejected(&order)]).await, [0, 1]);
    assert_eq!(shop.deliver(DEADLINES, [order_placed(&order)]).await, [0]);
    assert!(shop.db_row(id(&order)).await.is_none());
}

#[tokio::test]
async fn a_poisoned_message_fails_alone_among_nine_good_ones() {
    let shop = Shop::open();
    let customer = shop.customer();
    let body = basket();
    let orders = join_all((0..10).map(|_| shop.order(&customer, &body))).await;
    for poison in ["", "nonsense", "{}", "[]", "{\"specversion\":\"1.0\"}"] {
        let mut messages: Vec<String> = orders.iter().map(stock_reserved).collect();
        messages[4] = poison.to_owned();
        assert_eq!(shop.deliver(OUTCOMES, messages).await, [4], "{poison}");
    }
    for (number, order) in orders.iter().enumerate() {
        assert_eq!(shop.status(order).await, if number == 4 { "PENDING" } else { "CONFIRMED" });
    }
}

#[tokio::test]
async fn an_unknown_type_is_acknowledged_and_a_wrong_shape_is_not() {
    let shop = Shop::open();
    let order = shop.order(&shop.customer(), &basket()).await;
    let good = stock_reserved(&order);
    let unknown = good.replace("stock_reserved", "stock_counted");
    let of_no_interest = good.replace("stock_reserved", "stock_released");
    let wrong_shape = good.replace("\"quantity\":2", "\"quantity\":\"two\"");
    let no_quantity = good.replace("\"quantity\":2", "\"quantity\":0");
    let messages = [unknown, wrong_shape, of_no_interest, no_quantity];
    assert_eq!(shop.deliver(OUTCOMES, messages).await, [1, 3]);
    // A placement is a deadline only when it comes from the queue that holds it back.
    shop.takes(OUTCOMES, order_placed(&order)).await;
    assert_eq!(shop.status(&order).await, "PENDING");
}

/// The property of the state machine, with the store below it: batches of any messages in any sequence and number,
/// delivered at once, leave the order as the first effective one of them made it.
#[test]
fn any_interleaving_and_repetition_ends_in_one_state_with_one_step() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shop = runtime.block_on(async { Shop::open() });
    let customer = shop.customer();
    let batches = prop::collection::vec(prop::collection::vec(any::<bool>(), 1..6), 1..4);
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) });
    runner
        .run(&(any::<bool>(), batches), |(reserved, batches)| {
            runtime.block_on(async {
                let order = shop.order(&customer, &basket()).await;
                let outcome = if reserved { stock_reserved(&order) } else { stock_rejected(&order) };
                let mut first = None;
                for batch in &batches {
                    let deliveries = batch.iter().map(|deadline| match deadline {
                        true => shop.takes(DEADLINES, order_placed(&order)),
                        false => shop.takes(OUTCOMES, outcome.clone()),
                    });
                    join_all(deliveries).await;
                    let state = shop.state(&order).await;
                    let first = first.get_or_insert_with(|| state.clone());
                    assert_eq!(&state, first);
                    assert_eq!(state.1, 2);
                    if !batches.concat().contains(&true) {
                        assert_eq!(state.0, if reserved { "CONFIRMED" } else { "REJECTED" });
                    }
                }
            });
            Ok(())
        })
        .unwrap();
}
