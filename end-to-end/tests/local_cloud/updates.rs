//! A deployment to the shop while it is open.

use std::{
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::Value;

use crate::{client::Client, cloud};

const CUSTOMERS: usize = 2;
const STOCK: u32 = 1_000_000;
const TABLES: [&str; 3] = ["users", "products", "orders"];

/// What is deployed is up to who runs this. That no request fails meanwhile, every order settles and every row and
/// pending deadline stays is shown for one deployment, and holds therefore for any number of them.
#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_deployment_interrupts_nobody_and_loses_nothing() {
    let (admin, regular) = (Client::admin(), Client::customer());
    let product = admin.new_product(STOCK);
    let settled = regular.settled(&regular.order(&product, 1));
    let rows = TABLES.map(cloud::keys_in);
    let deadlines = cloud::messages_in("order-deadlines");

    let deployed = AtomicBool::new(false);
    let orders: Vec<(Client, Vec<String>)> = thread::scope(|scope| {
        let customers: Vec<_> =
            (0..CUSTOMERS).map(|_| scope.spawn(|| order_until(&deployed, &product))).collect();
        deploy();
        deployed.store(true, Ordering::Relaxed);
        customers.into_iter().map(|customer| customer.join().unwrap()).collect()
    });

    for (customer, orders) in &orders {
        for order in orders {
            assert_eq!(customer.settled(order)["status"], "CONFIRMED", "{order}");
        }
    }
    let placed: usize = orders.iter().map(|(_, orders)| orders.len()).sum();
    println!("{placed} orders during the deployment");
    assert!(
        orders.iter().all(|(_, orders)| !orders.is_empty()),
        "a customer did not order during the deployment"
    );
    assert_eq!(admin.stock(&product), i64::from(STOCK) - 1 - i64::try_from(placed).unwrap());

    let path = format!("/api/orders/{}", settled["order_id"].as_str().unwrap());
    assert_eq!(regular.get(&path).expect(200), settled);
    for (table, before) in TABLES.into_iter().zip(rows) {
        let lost: Vec<_> = before.difference(&cloud::keys_in(table)).cloned().collect();
        assert!(lost.is_empty(), "{table} has lost {lost:?}");
    }
    assert!(cloud::messages_in("order-deadlines") >= deadlines + placed, "deadlines are lost");
}

/// Orders one thing after the other, each after a look at the order before, until the deployment is done.
fn order_until(deployed: &AtomicBool, product: &str) -> (Client, Vec<String>) {
    let customer = Client::customer();
    let mut orders = Vec::new();
    while !deployed.load(Ordering::Relaxed) {
        let order = customer.order(product, 1);
        let read: Value = customer.get(&format!("/api/orders/{order}")).expect(200);
        assert!(["PENDING", "CONFIRMED"].contains(&read["status"].as_str().unwrap()), "{read}");
        orders.push(order);
    }
    (customer, orders)
}

fn deploy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let command = cloud::variable("SHOP_DEPLOYMENT");
    let output = Command::new("sh").args(["-c", &command]).current_dir(root).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}
