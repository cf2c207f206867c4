//! Every write, with the connection to the table cut before and after it.

use access_token::Role;
use domain_events::Payload;
use serde_json::{Value, json};
use test_support::{
    Line, Told, cut_every_write,
    door::{self, HttpAnswer, HttpEvent},
};
use uuid::Uuid;

use crate::{Shop, cancelled, mug, path, placed};

/// A shop with two products of five units each.
struct Scene {
    shop: Shop,
    admin: String,
    products: [Uuid; 2],
    order: Uuid,
}

impl Scene {
    async fn open(line: &Line) -> Self {
        let shop = Shop::at_the_end_of(line);
        let products = [shop.product(5).await, shop.product(5).await];
        shop.publish().await;
        Self { admin: shop.token(Role::Admin), shop, products, order: Uuid::now_v7() }
    }

    /// With an order that has its stock.
    async fn reserved(line: &Line) -> Self {
        let scene = Self::open(line).await;
        scene.deliver(scene.placed()).await;
        scene.shop.publish().await;
        scene
    }

    fn placed(&self) -> String {
        placed(self.order, &self.products.map(|product| (product, 2)))
    }

    fn request(&self, method: &str, after: &str) -> HttpEvent {
        door::http_v2(method, &format!("{}{after}", path(self.products[0])))
    }

    async fn ask(&self, request: HttpEvent) -> HttpAnswer {
        self.shop.http(request.bearer(&self.admin)).await
    }

    async fn deliver(&self, message: String) -> Told {
        Told::by_queue(&self.shop.deliver([message]).await)
    }

    /// What is on offer, what became of the order, and what was published since the scene was set.
    async fn look(&self) -> Value {
        let list = self.shop.http(door::http_v2("GET", "/api/products")).await.json();
        let known = |product: &Value| json!([product["name"], product["stock"], product["version"]]);
        let mut products: Vec<Value> = list["items"].as_array().unwrap().iter().map(known).collect();
        products.sort_by_key(Value::to_string);
        let events = self.shop.publish().await;
        let known = |payload: &Payload| match payload {
            Payload::ProductUpdated(product) => format!("product_updated {}", product.version),
            other => other.event_type().to_owned(),
        };
        let mut events: Vec<String> = events.iter().map(|event| known(&event.payload)).collect();
        events.sort_unstable();
        json!([products, self.shop.db_state(self.order).await, events])
    }
}

fn answered(answer: &HttpAnswer) -> Told {
    let outcome = |answer: &HttpAnswer| match answer.body.as_str() {
        "" => json!(answer.status),
        _ => json!([answer.status, answer.header("etag"), answer.json()["name"], answer.json()["stock"]]),
    };
    Told::by(answer, outcome)
}

/// Whether an answer says that it is that to a repetition, which it may say only when there was one.
fn honest(answer: &HttpAnswer, again: bool) -> bool {
    again || answer.header("idempotency-replayed").is_none()
}

#[tokio::test]
async fn a_product_is_made_once() {
    let create = async |scene: &Scene, again: bool| {
        let request = door::http_v2("POST", "/api/products").header("idempotency-key", "cup");
        let answer = scene.ask(request.json(&mug(1))).await;
        assert!(honest(&answer, again));
        answered(&answer)
    };
    assert_eq!(cut_every_write(Scene::open, create, Scene::look).await, 1);
}

#[tokio::test]
async fn a_product_is_changed_once() {
    let mut whole = mug(5);
    whole.as_object_mut().unwrap().remove("stock");
    whole["name"] = json!("Cup");
    for version in ["*", "\"1\""] {
        for (method, body) in [("PUT", whole.clone()), ("PATCH", json!({ "name": "Cup" }))] {
            let change = async |scene: &Scene, again: bool| {
                let request = scene.request(method, "").header("if-match", version);
                let answer = scene.ask(request.json(&body)).await;
                // Whoever has to ask again may learn that the product is at another version by now.
                if again && answer.status == 412 {
                    return answered(&scene.shop.read(scene.products[0]).await);
                }
                answered(&answer)
            };
            assert_eq!(cut_every_write(Scene::open, change, Scene::look).await, 1);
        }
    }
}

#[tokio::test]
async fn a_product_is_removed_once() {
    let remove = async |scene: &Scene, again: bool| {
        let answer = scene.ask(scene.request("DELETE", "")).await;
        // Whoever has to ask again may learn that it is gone.
        if again && answer.status == 404 { Told::Outcome(json!(204)) } else { answered(&answer) }
    };
    assert_eq!(cut_every_write(Scene::open, remove, Scene::look).await, 1);
}

#[tokio::test]
async fn stock_is_changed_once() {
    let under_a_key = async |scene: &Scene, again: bool| {
        let request = scene.request("POST", "/stock").header("idempotency-key", "delivery");
        let answer = scene.ask(request.json(&json!({ "change": 3 }))).await;
        assert!(honest(&answer, again));
        answered(&answer)
    };
    assert_eq!(cut_every_write(Scene::open, under_a_key, Scene::look).await, 1);
    // Without a key, the version tells whoever has to ask again whether that is needed.
    let at_a_version = async |scene: &Scene, again: bool| {
        let request = scene.request("POST", "/stock").header("if-match", "\"1\"");
        let answer = scene.ask(request.json(&json!({ "change": 3 }))).await;
        if again && answer.status == 412 {
            return answered(&scene.shop.read(scene.products[0]).await);
        }
        answered(&answer)
    };
    assert_eq!(cut_every_write(Scene::open, at_a_version, Scene::look).await, 1);
}

#[tokio::test]
async fn an_order_takes_its_stock_once_and_gives_it_back_once() {
    let place = async |scene: &Scene, _| scene.deliver(scene.placed()).await;
    assert_eq!(cut_every_write(Scene::open, place, Scene::look).await, 1);
    let release = async |scene: &Scene, _| scene.deliver(cancelled(scene.order)).await;
    assert_eq!(cut_every_write(Scene::reserved, release, Scene::look).await, 1);
}

#[tokio::test]
async fn an_order_is_refused_or_given_up_once() {
    let refuse = async |scene: &Scene, _| {
        scene.deliver(placed(scene.order, &scene.products.map(|product| (product, 9)))).await
    };
    assert_eq!(cut_every_write(Scene::open, refuse, Scene::look).await, 1);
    let give_up = async |scene: &Scene, _| scene.deliver(cancelled(scene.order)).await;
    assert_eq!(cut_every_write(Scene::open, give_up, Scene::look).await, 1);
}
