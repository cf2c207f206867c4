use serde_json::json;

use super::finds;
use crate::checks::scene::{CANCELLED, CONFIRMED, CUSTOMER, GONE, PRODUCT, REJECTED, Scene};

const ORDERS: &str = "report.orders";
const LINES: &str = "report.order_lines";
const PRODUCTS: &str = "report.products";

#[test]
fn an_order_that_is_reported_otherwise_is_found() {
    let promise = "every order is reported";
    for (column, wrong) in [
        ("version", json!(2)),
        ("status", json!("CONFIRMED")),
        ("user_id", json!(null)),
        ("reason", json!("for no reason")),
        ("currency", json!("USD")),
        ("total", json!(11)),
        ("placed_at", json!("2026-11-22T09:30:01.000Z")),
        ("confirmed_at", json!(null)),
        ("rejected_at", json!("2026-11-22T09:30:01.000Z")),
        ("shipped_at", json!("2026-11-22T09:33:00.001Z")),
    ] {
        finds(promise, |scene| scene.reported(ORDERS, CONFIRMED)[column] = wrong);
    }
    finds(promise, |scene| drop(scene.report.get_mut(ORDERS).unwrap().pop()));
    finds(promise, |scene| {
        let mut stray = scene.reported(ORDERS, CONFIRMED).clone();
        stray["order_id"] = PRODUCT.into();
        scene.report.get_mut(ORDERS).unwrap().push(stray);
    });
    finds(promise, |scene| scene.report.clear());
}

#[test]
fn a_version_without_an_event_may_be_reported() {
    let mut scene = Scene::new();
    let mut order = scene.last("orders", CANCELLED).clone();
    order["version"] = 4.into();
    scene.write("orders", CANCELLED, order);
    // A rebuild knows it, and nobody knows a later one.
    for (version, is_right) in [(3, true), (4, true), (5, false), (2, false)] {
        scene.reported(ORDERS, CANCELLED)["version"] = version.into();
        assert_eq!(scene.broken().is_empty(), is_right, "{version}: {:#?}", scene.broken());
    }
}

#[test]
fn a_line_that_is_reported_otherwise_is_found() {
    let promise = "every line of an order";
    for (column, wrong) in [
        ("units", json!(3)),
        ("revenue", json!(11)),
        ("currency", json!(null)),
        ("sold", json!(false)),
        ("placed_at", json!("2026-11-22T09:30:01.000Z")),
    ] {
        finds(promise, |scene| scene.reported(LINES, CONFIRMED)[column] = wrong);
    }
    finds(promise, |scene| drop(scene.report.get_mut(LINES).unwrap().pop()));
    // Two lines for one product are one.
    let mut scene = Scene::new();
    let price = json!({ "amount": 5, "currency": "EUR" });
    let line = json!({ "product_id": PRODUCT, "quantity": 1, "unit_price": price });
    scene.last("orders", CONFIRMED)["items"] = json!([line, line]);
    let broken = scene.broken();
    assert!(!broken.iter().any(|(broken, _)| broken.contains(promise)), "{broken:#?}");
}

#[test]
fn a_product_that_is_reported_otherwise_is_found() {
    let promise = "every product is reported";
    for (column, wrong) in [("name", json!("Cup")), ("category", json!("garden")), ("deleted", json!(true))] {
        finds(promise, |scene| scene.reported(PRODUCTS, PRODUCT)[column] = wrong);
    }
    finds(promise, |scene| scene.report.get_mut(PRODUCTS).unwrap().clear());
    finds(promise, |scene| scene.remove("products", PRODUCT));
}

#[test]
fn totals_that_are_not_those_of_the_orders_are_found() {
    let promise = "the totals of the reports";
    finds(promise, |scene| scene.reported(ORDERS, CONFIRMED)["total"] = 11.into());
    finds(promise, |scene| scene.reported(ORDERS, REJECTED)["status"] = "CANCELLED".into());
    finds(promise, |scene| scene.reported(ORDERS, CANCELLED)["currency"] = "USD".into());
    finds(promise, |scene| scene.reported(LINES, REJECTED)["units"] = 98.into());
    finds(promise, |scene| scene.reported(LINES, CONFIRMED)["revenue"] = 9.into());
    finds(promise, |scene| scene.reported(LINES, CANCELLED)["sold"] = true.into());
    finds(promise, |scene| scene.reported(PRODUCTS, PRODUCT)["category"] = "garden".into());
}

#[test]
fn a_customer_who_is_gone_and_known_to_a_report_is_found() {
    let promise = "no report knows a customer";
    finds(promise, |scene| scene.reported(ORDERS, CANCELLED)["user_id"] = GONE.into());
    finds(promise, |scene| scene.report.get_mut("public.erased_customers").unwrap().clear());
    finds(promise, |scene| {
        let erased = scene.report.get_mut("public.erased_customers").unwrap();
        erased.push(json!({ "user_id": CUSTOMER }));
    });
}

#[test]
fn a_report_that_says_something_else_is_found() {
    let promise = "the API reports";
    for by in ["day", "product", "category"] {
        finds(promise, |scene| scene.reports.sales.get_mut(by).unwrap()["items"][0]["units"] = 3.into());
        finds(promise, |scene| {
            scene.reports.sales.get_mut(by).unwrap()["items"][0]["revenue"]["amount"] = 11.into();
        });
        finds(promise, |scene| {
            scene.reports.sales.insert(by, json!({ "items": [] }));
        });
    }
    for name in ["placed", "confirmed", "shipped", "delivered", "cancelled", "rejected", "open"] {
        finds(promise, |scene| scene.reports.funnel[name] = json!(7));
    }
}

#[test]
fn what_a_comparison_finds_is_found() {
    finds("`report verify` finds no", |scene| scene.verified.push("order 1: 3 units, not 4".to_owned()));
}
