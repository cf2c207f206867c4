//! Many orders for the same product at once.

use std::collections::HashSet;

use dynamodb_store::Key;
use serde::de::IgnoredAny;
use serde_json::json;
use test_support::door;
use uuid::Uuid;

use crate::{ALL_DONE, Shop, path, placed, store, types};

/// So many new orders, each of which takes a unit of a product.
fn crowd(product: Uuid, count: usize) -> (Vec<Uuid>, Vec<String>) {
    let orders: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    let messages = orders.iter().map(|order| placed(*order, &[(product, 1)])).collect();
    (orders, messages)
}

/// How many of the orders were reserved, and how many rejected.
async fn decided(shop: &Shop, orders: &[Uuid]) -> (usize, usize) {
    let mut states = Vec::new();
    for order in orders {
        states.push(shop.db_state(*order).await.unwrap());
    }
    let count = |state: &str| states.iter().filter(|known| *known == state).count();
    (count("RESERVED"), count("REJECTED"))
}

async fn version(shop: &Shop, product: Uuid) -> i64 {
    shop.read(product).await.json()["version"].as_i64().unwrap()
}

/// Lets the service know what the product is offered for.
async fn show(shop: &Shop, product: Uuid) {
    assert_eq!(shop.deliver([placed(Uuid::now_v7(), &[(product, 1)])]).await, ALL_DONE);
}

#[tokio::test]
async fn orders_of_a_batch_take_the_stock_of_their_product_in_one_write() {
    let shop = Shop::open();
    let product = shop.product(50).await;
    show(&shop, product).await;
    let (before, (orders, messages)) = (version(&shop, product).await, crowd(product, 10));
    assert_eq!(shop.deliver(messages).await, ALL_DONE);
    assert_eq!(decided(&shop, &orders).await, (10, 0));
    assert_eq!((shop.stock(product).await, version(&shop, product).await), (39, before + 1));

    let events = shop.publish().await;
    let reserved: HashSet<&str> = events
        .iter()
        .filter(|event| event.payload.event_type() == "stock_reserved")
        .map(|event| event.subject.as_str())
        .collect();
    assert!(orders.iter().all(|order| reserved.contains(order.to_string().as_str())), "{:?}", types(&events));
}

#[tokio::test]
async fn of_more_orders_than_units_as_many_are_served_as_there_are_units() {
    let shop = Shop::open();
    let product = shop.product(5).await;
    show(&shop, product).await;
    let (orders, messages) = crowd(product, 10);
    assert_eq!(shop.deliver(messages).await, ALL_DONE);
    assert_eq!(decided(&shop, &orders).await, (4, 6));
    assert_eq!(shop.stock(product).await, 0);
}

#[tokio::test]
async fn an_order_that_wants_too_much_does_not_take_its_neighbours_along() {
    let shop = Shop::open();
    let product = shop.product(20).await;
    show(&shop, product).await;
    let ((orders, mut messages), greedy) = (crowd(product, 5), Uuid::now_v7());
    messages.insert(2, placed(greedy, &[(product, 19)]));
    assert_eq!(shop.deliver(messages).await, ALL_DONE);
    // Each was decided when it was its turn: the large one before those behind it, or not at all.
    let (reserved, rejected) = decided(&shop, &orders).await;
    let took = match shop.db_state(greedy).await.as_deref() {
        Some("RESERVED") => 19,
        _ => 0,
    };
    assert_eq!(reserved + rejected, 5);
    assert_eq!(shop.stock(product).await, 19 - took - i64::try_from(reserved).unwrap());
    assert!(took == 19 || reserved == 5, "nobody is turned away for units that are there");
}

#[tokio::test]
async fn an_order_that_comes_again_among_new_ones_takes_nothing_again() {
    let shop = Shop::open();
    let product = shop.product(50).await;
    let (old, messages) = crowd(product, 3);
    assert_eq!(shop.deliver(messages.clone()).await, ALL_DONE);
    let (new, fresh) = crowd(product, 3);
    // Two of the old ones, and a new one twice.
    let batch = [&messages[..2], &fresh, &fresh[..1]].concat();
    assert_eq!(shop.deliver(batch).await, ALL_DONE);
    assert_eq!(decided(&shop, &[old, new].concat()).await, (6, 0));
    assert_eq!(shop.stock(product).await, 44);
    let events = types(&shop.publish().await);
    assert_eq!(events.iter().filter(|event| **event == "stock_reserved").count(), 6);
}

#[tokio::test]
async fn a_crowd_pays_the_price_of_the_moment() {
    let shop = Shop::open();
    let product = shop.product(50).await;
    show(&shop, product).await;
    let price = json!({"price": {"amount": 700, "currency": "EUR"}});
    assert_eq!(shop.admin(door::http_v2("PATCH", &path(product)).json(&price)).await.status, 200);
    let (orders, messages) = crowd(product, 10);
    assert_eq!(shop.deliver(messages).await, ALL_DONE);
    for order in &orders {
        let line = shop.db_reservation(*order).await.unwrap().lines.remove(0);
        assert_eq!(line.unit_price.unwrap().amount, 700);
    }
    assert_eq!(shop.stock(product).await, 39);
}

#[tokio::test]
async fn orders_that_share_only_some_products_are_all_served() {
    let shop = Shop::open();
    let products = [shop.product(50).await, shop.product(50).await, shop.product(50).await];
    for product in products {
        show(&shop, product).await;
    }
    let orders: Vec<Uuid> = (0..9).map(|_| Uuid::now_v7()).collect();
    let lines = |number: usize| [(products[number % 3], 1), (products[(number + 1) % 3], 2)];
    let messages = orders.iter().enumerate().map(|(number, order)| placed(*order, &lines(number)));
    assert_eq!(shop.deliver(messages).await, ALL_DONE);
    assert_eq!(decided(&shop, &orders).await, (9, 0));
    for product in products {
        assert_eq!(shop.stock(product).await, 40);
    }
}

#[tokio::test]
async fn an_order_that_no_transaction_takes_fails_without_its_neighbours() {
    let shop = Shop::open();
    let mut products = Vec::new();
    for _ in 0..100 {
        products.push(shop.product(50).await);
    }
    let lines: Vec<_> = products.iter().map(|product| (*product, 1)).collect();
    let (orders, mut messages) = crowd(products[0], 3);
    messages.insert(1, placed(Uuid::now_v7(), &lines));
    assert_eq!(shop.deliver(messages).await, [1]);
    assert_eq!(decided(&shop, &orders).await, (3, 0));
    assert_eq!(shop.stock(products[0]).await, 47);
}

#[tokio::test]
async fn an_order_for_a_damaged_product_fails_without_its_neighbours() {
    let shop = Shop::open();
    let (sound, damaged) = (shop.product(50).await, shop.product(50).await);
    for product in [sound, damaged] {
        show(&shop, product).await;
    }
    let damage = store(&shop.table).update(Key::new("product_id", damaged)).set("version", "two");
    damage.send::<IgnoredAny>().await.unwrap();
    let (orders, mut messages) = crowd(sound, 4);
    messages.insert(1, placed(Uuid::now_v7(), &[(sound, 1), (damaged, 1)]));
    assert_eq!(shop.deliver(messages).await, [1]);
    assert_eq!(decided(&shop, &orders).await, (4, 0));
    assert_eq!(shop.stock(sound).await, 45);
}
