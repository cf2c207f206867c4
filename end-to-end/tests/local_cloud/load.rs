//! Many customers at once.

use std::{collections::HashMap, thread};

use crate::client::Client;

const CLIENTS: usize = 8;
const ORDERS_PER_CLIENT: usize = 25;
const PRODUCTS: usize = 5;
const STOCK: u32 = 60;

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn two_hundred_orders_by_eight_clients_all_settle_and_the_stock_is_exact() {
    let admin = Client::admin();
    let products: Vec<String> = (0..PRODUCTS).map(|_| admin.new_product(STOCK)).collect();
    let settled: Vec<(usize, u32, bool)> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let products = &products;
                scope.spawn(move || {
                    let customer = Client::customer();
                    let orders: Vec<_> = (0..ORDERS_PER_CLIENT)
                        .map(|order| {
                            let (product, quantity) = ((client + order) % PRODUCTS, 1 + (order % 3) as u32);
                            (product, quantity, customer.order(&products[product], quantity))
                        })
                        .collect();
                    let outcome = |order: &str| match customer.settled(order)["status"].as_str() {
                        Some("CONFIRMED") => true,
                        Some("REJECTED") => false,
                        other => panic!("{order} is {other:?}"),
                    };
                    orders
                        .iter()
                        .map(|(product, quantity, id)| (*product, *quantity, outcome(id)))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    assert_eq!(settled.len(), CLIENTS * ORDERS_PER_CLIENT);
    let mut taken: HashMap<usize, i64> = HashMap::new();
    for (product, quantity, _) in settled.iter().filter(|(_, _, confirmed)| *confirmed) {
        *taken.entry(*product).or_default() += i64::from(*quantity);
    }
    let rejected = settled.iter().filter(|(_, _, confirmed)| !confirmed).count();
    println!("{} confirmed, {rejected} rejected", settled.len() - rejected);
    assert!(rejected > 0, "the demand exceeds the stock, so that some have to be turned away");
    for (index, product) in products.iter().enumerate() {
        assert_eq!(admin.stock(product), i64::from(STOCK) - taken[&index], "stock of product {index}");
    }
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn the_last_unit_is_sold_once() {
    let admin = Client::admin();
    for _ in 0..5 {
        let product = admin.new_product(1);
        let mut outcomes: Vec<String> = thread::scope(|scope| {
            let buyers: Vec<_> = (0..2)
                .map(|_| {
                    let (admin, product) = (&admin, &product);
                    scope.spawn(move || {
                        admin.settled(&admin.order(product, 1))["status"].as_str().unwrap().to_owned()
                    })
                })
                .collect();
            buyers.into_iter().map(|buyer| buyer.join().unwrap()).collect()
        });
        outcomes.sort();
        assert_eq!(outcomes, ["CONFIRMED", "REJECTED"]);
        assert_eq!(admin.stock(&product), 0);
    }
}
