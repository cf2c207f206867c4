//! Orders and their stock: what the queue `stock-requests` brings.

use domain_events::Payload;
use futures_util::future::join_all;
use serde_json::json;
use test_support::door;
use uuid::Uuid;

use crate::{ALL_DONE, Shop, cancelled, message, mug, order, path, placed, rejected, types};

#[tokio::test]
async fn an_order_takes_all_its_lines_at_present_prices() {
    let shop = Shop::open();
    let (one, other, id) = (shop.product(5).await, shop.product(1).await, Uuid::now_v7());
    assert_eq!(shop.deliver([placed(id, &[(one, 2), (other, 1)])]).await, ALL_DONE);
    assert_eq!((shop.stock(one).await, shop.stock(other).await), (3, 0));
    let reservation = shop.db_reservation(id).await.unwrap();
    assert_eq!((reservation.state.as_str(), reservation.expires_at), ("RESERVED", None));
    let prices: Vec<i64> = reservation.lines.iter().map(|line| line.unit_price.unwrap().amount).collect();
    assert_eq!(prices, [500, 500]);
}

#[tokio::test]
async fn a_price_in_the_order_is_not_believed() {
    let shop = Shop::open();
    let (product, id) = (shop.product(5).await, Uuid::now_v7());
    let mut order = order(id, &[(product, 1)]);
    order.items[0].unit_price =
        Some(serde_json::from_value(json!({"amount": 1, "currency": "EUR"})).unwrap());
    shop.deliver([message(Payload::OrderPlaced(order))]).await;
    assert_eq!(shop.db_reservation(id).await.unwrap().lines[0].unit_price.unwrap().amount, 500);
}

#[tokio::test]
async fn an_order_that_can_not_be_supplied_takes_nothing_and_names_the_lines() {
    let shop = Shop::open();
    let (plenty, short, unknown) = (shop.product(5).await, shop.product(1).await, Uuid::now_v7());
    let mut dollars = mug(5);
    dollars["price"]["currency"] = "USD".into();
    let dollars = shop.create(dollars).await.json()["product_id"].as_str().unwrap().parse().unwrap();
    for (lines, reason, named) in [
        (vec![(plenty, 1), (unknown, 1)], "unknown_product", vec![unknown]),
        (vec![(plenty, 1), (short, 2)], "out_of_stock", vec![short]),
        (vec![(short, 1), (short, 1)], "out_of_stock", vec![short, short]),
        (vec![(plenty, u32::MAX), (plenty, u32::MAX)], "out_of_stock", vec![plenty, plenty]),
        (vec![(plenty, 1), (dollars, 1)], "mixed_currencies", vec![plenty, dollars]),
    ] {
        let id = Uuid::now_v7();
        assert_eq!(shop.deliver([placed(id, &lines)]).await, ALL_DONE);
        let reservation = shop.db_reservation(id).await.unwrap();
        assert_eq!((reservation.state.as_str(), reservation.reason.as_deref()), ("REJECTED", Some(reason)));
        let lines: Vec<Uuid> = reservation.lines.iter().map(|line| line.product_id).collect();
        assert_eq!(lines, named);
        assert!(reservation.expires_at.is_some());
    }
    assert_eq!((shop.stock(plenty).await, shop.stock(short).await, shop.stock(dollars).await), (5, 1, 5));
}

#[tokio::test]
async fn a_decision_stays_whatever_changes_later() {
    let shop = Shop::open();
    let (product, id) = (shop.product(1).await, Uuid::now_v7());
    shop.deliver([placed(id, &[(product, 2)])]).await;
    shop.admin(door::http_v2("POST", &format!("{}/stock", path(product))).json(&json!({"change": 9}))).await;
    shop.deliver([placed(id, &[(product, 2)])]).await;
    assert_eq!((shop.db_state(id).await.as_deref(), shop.stock(product).await), (Some("REJECTED"), 10));
}

#[tokio::test]
async fn what_is_remembered_of_a_product_is_not_believed() {
    let shop = Shop::open();
    let product = shop.product(5).await;
    let admin = async |request: door::HttpEvent| shop.admin(request).await.status;
    let order = async |units: u32| {
        let id = Uuid::now_v7();
        assert_eq!(shop.deliver([placed(id, &[(product, units)])]).await, ALL_DONE);
        let reservation = shop.db_reservation(id).await.unwrap();
        let price = reservation.lines[0].unit_price.map(|price| price.amount);
        (reservation.state, reservation.reason, price)
    };
    let reserved = |price| ("RESERVED".to_owned(), None, Some(price));
    let rejected = |reason: &str| ("REJECTED".to_owned(), Some(reason.to_owned()), None);
    assert_eq!(order(1).await, reserved(500));

    let dearer = json!({"price": {"amount": 700, "currency": "EUR"}});
    assert_eq!(admin(door::http_v2("PATCH", &path(product)).json(&dearer)).await, 200);
    assert_eq!(order(1).await, reserved(700));

    let stock = |change: i32| {
        door::http_v2("POST", &format!("{}/stock", path(product))).json(&json!({ "change": change }))
    };
    assert_eq!(admin(stock(-2)).await, 200);
    assert_eq!(order(2).await, rejected("out_of_stock"));
    assert_eq!(order(1).await, reserved(700));
    assert_eq!(order(1).await, rejected("out_of_stock"));
    assert_eq!(admin(stock(5)).await, 200);
    assert_eq!(order(5).await, reserved(700));

    assert_eq!(admin(stock(5)).await, 200);
    assert_eq!(order(1).await, reserved(700));
    assert_eq!(admin(door::http_v2("DELETE", &path(product))).await, 204);
    assert_eq!(order(1).await, rejected("unknown_product"));
}

#[tokio::test]
async fn duplicate_messages_take_and_return_stock_once() {
    let shop = Shop::open();
    let (product, id) = (shop.product(5).await, Uuid::now_v7());
    let placing = || (0..5).map(|_| placed(id, &[(product, 2)]));
    assert_eq!(shop.deliver(placing()).await, ALL_DONE, "five copies in one batch");
    shop.deliver(placing()).await;
    assert_eq!(shop.stock(product).await, 3);
    assert_eq!(shop.deliver((0..5).map(|_| cancelled(id))).await, ALL_DONE);
    shop.deliver([rejected(id), cancelled(id)]).await;
    shop.deliver(placing()).await;
    assert_eq!((shop.stock(product).await, shop.db_state(id).await.as_deref()), (5, Some("RELEASED")));
    let events = shop.publish().await;
    assert_eq!(
        types(&events).into_iter().filter(|name| name.starts_with("stock_")).collect::<Vec<_>>(),
        ["stock_reserved", "stock_released"]
    );
}

#[tokio::test]
async fn a_cancel_that_overtakes_the_placement_leaves_nothing_to_take() {
    let shop = Shop::open();
    let (product, id) = (shop.product(5).await, Uuid::now_v7());
    assert_eq!(shop.deliver([cancelled(id)]).await, ALL_DONE);
    assert_eq!(shop.deliver([placed(id, &[(product, 2)])]).await, ALL_DONE);
    assert_eq!(shop.stock(product).await, 5);
    let tombstone = shop.db_reservation(id).await.unwrap();
    assert_eq!((tombstone.state.as_str(), tombstone.lines.len()), ("RELEASED", 0));
    assert!(tombstone.expires_at.is_some());
    assert_eq!(types(&shop.publish().await), ["product_created"]);
}

#[tokio::test]
async fn a_cancel_and_its_placement_in_one_batch_end_with_all_stock_back() {
    for round in 0..20 {
        let shop = Shop::open();
        let (product, id) = (shop.product(5).await, Uuid::now_v7());
        assert_eq!(shop.deliver([placed(id, &[(product, 2)]), cancelled(id)]).await, ALL_DONE);
        assert_eq!(shop.db_state(id).await.as_deref(), Some("RELEASED"), "round {round}");
        assert_eq!(shop.stock(product).await, 5, "round {round}");
    }
}

#[tokio::test]
async fn a_rejected_order_has_nothing_to_give_back() {
    let shop = Shop::open();
    let (product, id) = (shop.product(1).await, Uuid::now_v7());
    shop.deliver([placed(id, &[(product, 2)])]).await;
    assert_eq!(shop.deliver([rejected(id)]).await, ALL_DONE);
    assert_eq!((shop.stock(product).await, shop.db_state(id).await.as_deref()), (1, Some("REJECTED")));
}

#[tokio::test]
async fn two_orders_race_for_the_last_unit_and_one_gets_it() {
    let shop = Shop::open();
    for round in 0..40 {
        let (product, first, second) = (shop.product(1).await, Uuid::now_v7(), Uuid::now_v7());
        // Half of the rounds in one batch, half in two invocations at once.
        if round % 2 == 0 {
            let batch = [placed(first, &[(product, 1)]), placed(second, &[(product, 1)])];
            assert_eq!(shop.deliver(batch).await, ALL_DONE);
        } else {
            let batch = |id| shop.deliver([placed(id, &[(product, 1)])]);
            assert_eq!(join_all([batch(first), batch(second)]).await, [ALL_DONE; 2]);
        }
        let mut states = [shop.db_state(first).await.unwrap(), shop.db_state(second).await.unwrap()];
        states.sort();
        assert_eq!((states, shop.stock(product).await), (["REJECTED", "RESERVED"].map(str::to_owned), 0));
    }
}

#[tokio::test]
async fn many_orders_over_the_same_products_settle_with_stock_exact() {
    let shop = Shop::open();
    let products = [shop.product(20).await, shop.product(20).await, shop.product(3).await];
    let orders: Vec<Uuid> = (0..30).map(|_| Uuid::now_v7()).collect();
    let message = |(number, id): (usize, &Uuid)| {
        placed(*id, &[(products[number % 3], 1), (products[(number + 1) % 3], 1)])
    };
    let messages: Vec<String> = orders.iter().enumerate().map(message).collect();
    let batches = messages.chunks(10).map(|batch| shop.deliver(batch.iter().cloned()));
    assert!(join_all(batches).await.concat().is_empty());
    let mut taken = 0;
    for id in orders {
        taken += if shop.db_state(id).await.unwrap() == "RESERVED" { 2 } else { 0 };
    }
    let mut left = 0;
    for product in products {
        left += shop.stock(product).await;
    }
    assert_eq!(left + taken, 43);
}

#[tokio::test]
async fn a_product_that_is_gone_does_not_keep_the_others_from_coming_back() {
    let shop = Shop::open();
    let (gone, kept, id) = (shop.product(5).await, shop.product(5).await, Uuid::now_v7());
    shop.deliver([placed(id, &[(gone, 1), (kept, 2)])]).await;
    assert_eq!(shop.admin(door::http_v2("DELETE", &path(gone))).await.status, 204);
    assert_eq!(shop.deliver([cancelled(id)]).await, ALL_DONE);
    assert_eq!((shop.stock(kept).await, shop.read(gone).await.status), (5, 404));
    assert_eq!(shop.db_state(id).await.as_deref(), Some("RELEASED"));
}

#[tokio::test]
async fn a_reserved_price_is_the_one_at_the_moment_of_reservation() {
    let shop = Shop::open();
    let product = shop.product(1_000).await;
    for round in 0..30 {
        let (id, price) = (Uuid::now_v7(), json!({"price": {"amount": round, "currency": "EUR"}}));
        let change = shop.admin(door::http_v2("PATCH", &path(product)).json(&price));
        let (failed, changed) = tokio::join!(shop.deliver([placed(id, &[(product, 1)])]), change);
        assert_eq!((failed, changed.status), (vec![], 200));
    }
    // The stream shows in which order the writes happened.
    let (mut present, mut reserved) = (0, 0);
    for event in shop.publish().await {
        match event.payload {
            Payload::ProductCreated(product) | Payload::ProductUpdated(product) => {
                present = product.price.amount
            }
            Payload::StockReserved(reservation) => {
                reserved += 1;
                assert_eq!(reservation.lines[0].unit_price.unwrap().amount, present);
            }
            other => panic!("unexpected: {other:?}"),
        }
    }
    assert_eq!((reserved, shop.stock(product).await), (30, 970));
}

#[tokio::test]
async fn a_poisoned_message_fails_alone() {
    let shop = Shop::open();
    let product = shop.product(100).await;
    let orders: Vec<Uuid> = (0..10).map(|_| Uuid::now_v7()).collect();
    let valid = |id: &Uuid| placed(*id, &[(product, 1)]);
    for poison in [
        "nonsense".to_owned(),
        "{}".to_owned(),
        valid(&orders[4]).replace(r#""quantity":1"#, r#""quantity":-1"#),
        valid(&orders[4]).replace("order_id", "order"),
    ] {
        let mut batch: Vec<String> = orders.iter().map(valid).collect();
        batch[4] = poison;
        assert_eq!(shop.deliver(batch).await, [4]);
    }
    assert_eq!((shop.stock(product).await, shop.db_state(orders[4]).await), (91, None));
}

#[tokio::test]
async fn a_message_that_is_not_for_the_stock_is_acknowledged() {
    let shop = Shop::open();
    let (product, id) = (shop.product(5).await, Uuid::now_v7());
    let shipped = message(Payload::OrderShipped(order(id, &[(product, 1)])));
    let newer = shipped.replace("order_shipped", "order_weighed");
    assert_eq!(shop.deliver([shipped, newer]).await, ALL_DONE);
    assert_eq!((shop.stock(product).await, shop.db_state(id).await), (5, None));
}
