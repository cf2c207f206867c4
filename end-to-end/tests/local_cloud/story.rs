//! Orders from the request to their end.

use std::{thread, time::Instant};

use serde_json::json;
use uuid::Uuid;

use crate::{
    client::{Client, eventually},
    cloud,
};

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn an_order_is_confirmed_shipped_and_delivered() {
    let (admin, customer) = (Client::admin(), Client::customer());
    let product = admin.new_product(10);
    let placed = Instant::now();
    let order = customer.order(&product, 3);
    let settled = customer.settled(&order);
    println!("confirmed {} ms after the request", placed.elapsed().as_millis());
    assert_eq!(settled["status"], "CONFIRMED");
    assert_eq!(settled["total"], json!({ "amount": 12_600, "currency": "EUR" }));
    assert_eq!(customer.stock(&product), 7);
    for (step, status) in [("ship", "SHIPPED"), ("deliver", "DELIVERED")] {
        let path = format!("/api/orders/{order}/{step}");
        assert_eq!(customer.post(&path, &json!({})).status, 403);
        assert_eq!(admin.post(&path, &json!({})).expect(200)["status"], status);
    }
    assert_eq!(customer.post(&format!("/api/orders/{order}/cancel"), &json!({})).status, 409);
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn an_order_that_stock_does_not_cover_is_rejected() {
    let (admin, customer) = (Client::admin(), Client::customer());
    let product = admin.new_product(2);
    let order = customer.order(&product, 3);
    let settled = customer.settled(&order);
    assert_eq!((&settled["status"], &settled["reason"]), (&json!("REJECTED"), &json!("out_of_stock")));
    assert_eq!(customer.stock(&product), 2);
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_cancelled_order_gives_its_stock_back() {
    let (admin, customer) = (Client::admin(), Client::customer());
    let product = admin.new_product(5);
    let order = customer.order(&product, 5);
    assert_eq!(customer.settled(&order)["status"], "CONFIRMED");
    assert_eq!(customer.stock(&product), 0);
    customer.post(&format!("/api/orders/{order}/cancel"), &json!({})).expect(200);
    eventually("the stock is back", || (customer.stock(&product) == 5).then_some(()));
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn the_same_key_at_the_same_time_is_one_order() {
    let (admin, customer) = (Client::admin(), Client::customer());
    let product = admin.new_product(100);
    let key = Uuid::now_v7().to_string();
    let ids: Vec<_> = thread::scope(|scope| {
        let requests: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| customer.place(&key, &product, 1).expect(201)["order_id"].clone()))
            .collect();
        requests.into_iter().map(|request| request.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(customer.place(&key, &product, 2).status, 422);
    customer.settled(ids[0].as_str().unwrap());
    assert_eq!(customer.stock(&product), 99);
    assert_eq!(customer.get("/api/orders").expect(200)["items"].as_array().unwrap().len(), 1);
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_deleted_user_leaves_nothing_personal_behind() {
    let (admin, customer) = (Client::admin(), Client::customer());
    let product = admin.new_product(5);
    let street = format!("{} Analytical Lane", Uuid::now_v7());
    let body = json!({
        "items": [{ "product_id": product, "quantity": 1 }],
        "shipping_address": {
            "name": "Grace Hopper", "line1": street, "postal_code": "10001", "city": "New York", "country": "US",
        },
    });
    let key = [("idempotency-key", "one".to_owned())];
    let order = customer.send("POST", "/api/orders", &key, Some(&body)).expect(201);
    customer.settled(order["order_id"].as_str().unwrap());
    customer.send("DELETE", "/api/users/me", &[], None).expect(204);
    eventually("the order is cancelled and the stock is back", || (admin.stock(&product) == 5).then_some(()));
    eventually("the address is gone", || (!cloud::everything_in("orders").contains(&street)).then_some(()));
    assert!(!cloud::everything_in("users").contains(&customer.email));
    assert_eq!(customer.get("/api/users/me").status, 401);
}
