//! The invariants of the order saga, across services.

use std::sync::Arc;

use access_token::Role;
use futures_util::future::join_all;
use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use crate::shop::{Delivery, Shop};

fn customer(shop: &Shop) -> String {
    shop.token(Uuid::now_v7(), Role::Customer)
}

#[tokio::test]
async fn a_placed_order_takes_its_stock_and_is_confirmed_with_its_total() {
    let shop = Shop::open();
    let product = shop.new_product(10).await;
    let order = shop.place(&customer(&shop), &[(product, 3)]).await;
    assert_eq!(shop.status(order).await, "PENDING");
    shop.drain(Delivery::Orderly).await;
    let order = shop.order(order).await;
    assert_eq!(order["status"], "CONFIRMED");
    assert_eq!(order["total"]["amount"], 3 * 1999);
    assert_eq!(order["items"][0]["unit_price"]["amount"], 1999);
    assert_eq!(shop.stock(product).await, 7);
}

#[tokio::test]
async fn an_order_that_stock_does_not_cover_is_rejected_and_takes_nothing() {
    let shop = Shop::open();
    let (scarce, plenty) = (shop.new_product(2).await, shop.new_product(100).await);
    let order = shop.place(&customer(&shop), &[(plenty, 1), (scarce, 3)]).await;
    shop.drain(Delivery::Orderly).await;
    let order = shop.order(order).await;
    assert_eq!(
        (order["status"].as_str(), order["reason"].as_str()),
        (Some("REJECTED"), Some("out_of_stock"))
    );
    assert_eq!((shop.stock(scarce).await, shop.stock(plenty).await), (2, 100));
}

#[tokio::test]
async fn a_cancelled_order_gives_its_stock_back_exactly_once() {
    let shop = Shop::open();
    let product = shop.new_product(10).await;
    let customer = customer(&shop);
    let order = shop.place(&customer, &[(product, 4)]).await;
    let mut delivered = shop.drain(Delivery::Orderly).await;
    assert_eq!(shop.stock(product).await, 6);
    assert_eq!(shop.cancel(&customer, order).await, 200);
    delivered.extend(shop.drain(Delivery::Orderly).await);
    assert_eq!((shop.status(order).await.as_str(), shop.stock(product).await), ("CANCELLED", 10));
    for _ in 0..3 {
        shop.repeat(delivered.clone());
        shop.drain(Delivery::Orderly).await;
    }
    assert_eq!((shop.status(order).await.as_str(), shop.stock(product).await), ("CANCELLED", 10));
}

#[tokio::test]
async fn a_cancel_that_overtakes_the_placement_leaves_no_reservation() {
    let shop = Shop::open();
    let product = shop.new_product(10).await;
    let customer = customer(&shop);
    let order = shop.place(&customer, &[(product, 4)]).await;
    assert_eq!(shop.cancel(&customer, order).await, 200);
    shop.publish().await;
    let mut messages = shop.take_all();
    messages.reverse();
    assert!(messages[0].body.contains("order_cancelled") && messages[1].body.contains("order_placed"));
    shop.repeat(messages);
    shop.drain(Delivery::Orderly).await;
    assert_eq!((shop.status(order).await.as_str(), shop.stock(product).await), ("CANCELLED", 10));
    assert!(!shop.published().iter().any(|event| event.contains("stock_reserved")), "nothing was ever taken");
}

#[tokio::test]
async fn two_orders_racing_for_the_last_unit_never_both_get_it() {
    for _ in 0..25 {
        let shop = Shop::open();
        let product = shop.new_product(1).await;
        let customers = [customer(&shop), customer(&shop)];
        let orders =
            join_all(customers.iter().map(|customer| async { shop.place(customer, &[(product, 1)]).await }))
                .await;
        shop.publish().await;
        // Both placements in one batch, whose messages are handled at the same time.
        shop.deliver_together(shop.take_all()).await;
        shop.drain(Delivery::Orderly).await;
        let mut statuses = [shop.status(orders[0]).await, shop.status(orders[1]).await];
        statuses.sort();
        assert_eq!(statuses, ["CONFIRMED", "REJECTED"]);
        assert_eq!(shop.stock(product).await, 0);
    }
}

#[tokio::test]
async fn an_order_still_pending_at_its_deadline_is_rejected_and_gives_back_what_it_takes_later() {
    let shop = Shop::open();
    let product = shop.new_product(10).await;
    let order = shop.place(&customer(&shop), &[(product, 4)]).await;
    shop.publish().await;
    let placement = shop.take_all();
    shop.pass_deadlines();
    shop.drain(Delivery::Orderly).await;
    let rejected = shop.order(order).await;
    assert_eq!(
        (rejected["status"].as_str(), rejected["reason"].as_str()),
        (Some("REJECTED"), Some("timed_out"))
    );
    // The placement arrives at last.
    shop.repeat(placement);
    shop.drain(Delivery::Orderly).await;
    assert_eq!((shop.status(order).await.as_str(), shop.stock(product).await), ("REJECTED", 10));
}

#[tokio::test]
async fn a_deadline_leaves_a_confirmed_order_alone() {
    let shop = Shop::open();
    let product = shop.new_product(10).await;
    let order = shop.place(&customer(&shop), &[(product, 4)]).await;
    shop.drain(Delivery::Orderly).await;
    shop.pass_deadlines();
    shop.drain(Delivery::Orderly).await;
    assert_eq!((shop.status(order).await.as_str(), shop.stock(product).await), ("CONFIRMED", 6));
}

/// What a customer does with one order.
#[derive(Debug, Clone, Copy)]
struct Story {
    quantity: u32,
    cancels: Option<When>,
    times_out: bool,
    ships: bool,
}

/// Before anything has come of the order, or when everything has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    AtOnce,
    Later,
}

fn cancels() -> impl Strategy<Value = Option<When>> {
    prop::option::of(prop_oneof![Just(When::AtOnce), Just(When::Later)])
}

fn story() -> impl Strategy<Value = Story> {
    (1..4_u32, cancels(), any::<bool>(), any::<bool>())
        .prop_map(|(quantity, cancels, times_out, ships)| Story { quantity, cancels, times_out, ships })
}

const STOCK: u32 = 6;

/// Plays the stories under one delivery; answers the shop and its orders.
async fn play(stories: &[Story], delivery: Delivery) -> (Arc<Shop>, Uuid, Vec<Uuid>) {
    let shop = Shop::open();
    let product = shop.new_product(STOCK).await;
    let mut orders = Vec::new();
    for story in stories {
        let customer = customer(&shop);
        let order = shop.place(&customer, &[(product, story.quantity)]).await;
        if story.cancels == Some(When::AtOnce) {
            assert_eq!(shop.cancel(&customer, order).await, 200);
        }
        orders.push((order, customer));
        if story.times_out {
            shop.publish().await;
            shop.pass_deadlines();
        }
    }
    let mut delivered = shop.drain(delivery).await;
    for (story, (order, customer)) in stories.iter().zip(&orders) {
        if story.cancels == Some(When::Later) && shop.status(*order).await == "CONFIRMED" {
            assert_eq!(shop.cancel(customer, *order).await, 200);
        }
        if story.ships && shop.status(*order).await == "CONFIRMED" {
            shop.ship(*order).await;
        }
    }
    delivered.extend(shop.drain(delivery).await);
    // Everything once more, long after.
    shop.repeat(delivered);
    shop.drain(delivery).await;
    (shop, product, orders.into_iter().map(|(order, _)| order).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn stock_and_orders_agree_whatever_is_repeated_reordered_or_delayed(
        stories in prop::collection::vec(story(), 1..6),
        seed in any::<u64>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (shop, product, orders) = play(&stories, Delivery::Chaotic { seed, copies: 3 }).await;
            let mut taken = 0;
            for (order, story) in orders.iter().zip(&stories) {
                let order = shop.order(*order).await;
                let status = order["status"].as_str().unwrap();
                match status {
                    "CONFIRMED" => prop_assert!(story.cancels.is_none() && !story.ships),
                    "SHIPPED" => prop_assert!(story.cancels.is_none() && story.ships),
                    "CANCELLED" => prop_assert!(story.cancels.is_some()),
                    "REJECTED" => prop_assert!(story.cancels != Some(When::AtOnce)),
                    _ => prop_assert!(false, "{status} is no end"),
                }
                if ["CONFIRMED", "SHIPPED"].contains(&status) {
                    prop_assert!(order["total"].is_object());
                    taken += i64::from(story.quantity);
                }
            }
            prop_assert_eq!(shop.stock(product).await, i64::from(STOCK) - taken);
            Ok(())
        })?;
    }

    #[test]
    fn the_same_events_in_any_order_and_number_give_the_same_final_state(
        cancels in cancels(),
        ships in any::<bool>(),
        quantity in 1..9_u32,
        seed in any::<u64>(),
    ) {
        let story = Story { quantity, cancels, times_out: false, ships };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut ends = Vec::new();
            for delivery in [Delivery::Orderly, Delivery::Chaotic { seed, copies: 3 }] {
                let (shop, product, orders) = play(&[story], delivery).await;
                let order: Value = shop.order(orders[0]).await;
                ends.push((order["status"].clone(), order["reason"].clone(), shop.stock(product).await));
            }
            prop_assert_eq!(&ends[0], &ends[1]);
            Ok(())
        })?;
    }
}
