//! Every write, with the connection to the table cut before and after it.

use serde_json::{Value, json};
use test_support::{Line, Told, cut_every_write, door::HttpAnswer};

use crate::harness::{Shop, User, basket, order_placed, stock_rejected, stock_reserved, user_deleted};

/// A shop with one order.
struct Scene {
    shop: Shop,
    customer: User,
    order: Value,
}

impl Scene {
    async fn with_an_order(line: &Line) -> Self {
        let shop = Shop::at_the_end_of(line);
        let customer = shop.customer();
        let order = shop.order(&customer, &basket()).await;
        shop.publish().await;
        Self { shop, customer, order }
    }

    async fn confirmed(line: &Line) -> Self {
        let scene = Self::with_an_order(line).await;
        scene.deliver("order-processing", stock_reserved(&scene.order)).await;
        scene.shop.publish().await;
        scene
    }

    async fn shipped(line: &Line) -> Self {
        let scene = Self::confirmed(line).await;
        scene.shop.send(scene.shop.admin().does("ship", &scene.order)).await;
        scene.shop.publish().await;
        scene
    }

    async fn deliver(&self, queue: &str, message: String) -> Told {
        Told::by_queue(&self.shop.deliver(queue, [message]).await)
    }

    /// What is in the table, and what was published since the scene was set.
    async fn look(&self) -> Value {
        let known = |row: &Value| {
            json!([
                row["status"],
                row["version"],
                row["history"].as_array().map(Vec::len),
                row["reason"],
                row["shipping_address"].is_null(),
                row["expires_at"].is_null()
            ])
        };
        let mut rows: Vec<Value> = self.shop.db_rows().await.iter().map(known).collect();
        rows.sort_by_key(Value::to_string);
        let events = self.shop.publish().await;
        let mut events: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
        events.sort_unstable();
        json!([rows, events])
    }
}

fn answered(answer: &HttpAnswer) -> Told {
    Told::by(answer, |answer| json!([answer.status, answer.header("etag"), answer.json()["status"]]))
}

#[tokio::test]
async fn an_order_is_placed_once() {
    let open = async |line: &Line| {
        let shop = Shop::at_the_end_of(line);
        let customer = shop.customer();
        Scene { shop, customer, order: Value::Null }
    };
    let place = async |scene: &Scene, again: bool| {
        let answer = scene.shop.send(scene.customer.places("key", &basket())).await;
        assert!(again || answer.header("idempotency-replayed").is_none());
        answered(&answer)
    };
    assert_eq!(cut_every_write(open, place, Scene::look).await, 1);
}

#[tokio::test]
async fn an_order_is_cancelled_shipped_and_delivered_once() {
    let ask = async |scene: &Scene, what: &str, version: &str| {
        let request = scene.shop.admin().does(what, &scene.order).header("if-match", version);
        answered(&scene.shop.send(request).await)
    };
    let cancel = async |scene: &Scene, _| ask(scene, "cancel", "\"1\"").await;
    assert_eq!(cut_every_write(Scene::with_an_order, cancel, Scene::look).await, 1);
    let ship = async |scene: &Scene, _| ask(scene, "ship", "\"2\"").await;
    assert_eq!(cut_every_write(Scene::confirmed, ship, Scene::look).await, 1);
    let deliver = async |scene: &Scene, _| ask(scene, "deliver", "\"3\"").await;
    assert_eq!(cut_every_write(Scene::shipped, deliver, Scene::look).await, 1);
}

#[tokio::test]
async fn a_message_has_its_effect_once() {
    for message in [stock_reserved, stock_rejected] {
        let deliver = async |scene: &Scene, _| scene.deliver("order-processing", message(&scene.order)).await;
        assert_eq!(cut_every_write(Scene::with_an_order, deliver, Scene::look).await, 1);
    }
    let expire = async |scene: &Scene, _| scene.deliver("order-deadlines", order_placed(&scene.order)).await;
    assert_eq!(cut_every_write(Scene::with_an_order, expire, Scene::look).await, 1);
}

#[tokio::test]
async fn a_customer_who_is_gone_is_forgotten_once() {
    let open = async |line: &Line| {
        let scene = Scene::shipped(line).await;
        scene.shop.order(&scene.customer, &basket()).await;
        scene.shop.publish().await;
        scene
    };
    let forget = async |scene: &Scene, _| scene.deliver("user-events", user_deleted(&scene.customer)).await;
    assert_eq!(cut_every_write(open, forget, Scene::look).await, 3, "the deletion and two orders");
}
