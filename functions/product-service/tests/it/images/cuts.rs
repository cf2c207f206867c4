use serde_json::{Value, json};
use test_support::{Line, Told, cut_every_write};
use uuid::Uuid;

use super::{Upload, png};
use crate::{BUCKET, IMAGE_QUEUE, Shop, types};

/// A product with a picture that is awaited, and one that has arrived.
struct Scene {
    shop: Shop,
    product: Uuid,
    awaited: Upload,
    picture: Upload,
}

impl Scene {
    async fn open(line: &Line) -> Self {
        let shop = Shop::at_the_end_of(line);
        let product = shop.product(1).await;
        let (awaited, picture) = (shop.ask(product).await, shop.picture(product).await);
        shop.publish().await;
        Self { shop, product, awaited, picture }
    }

    async fn arrives(&self) -> Told {
        Told::by_queue(&self.shop.deliver_from(IMAGE_QUEUE, [self.awaited.notification()]).await)
    }

    async fn remove(&self, upload: &Upload, again: bool) -> Told {
        let answer = self.shop.remove(upload).await;
        // Whoever has to ask again may learn that it is gone.
        let status = if again && answer.status == 404 { 204 } else { answer.status };
        Told::by(&answer, |_| json!(status))
    }

    async fn look(&self) -> Value {
        let [awaited, picture] = [&self.awaited, &self.picture];
        let read = self.shop.read(self.product).await.json();
        let events = self.shop.publish().await;
        let mut events = types(&events);
        events.sort_unstable();
        json!([
            self.shop.fate(awaited).await,
            self.shop.fate(picture).await,
            read["version"],
            read["images"].as_array().map(Vec::len),
            self.shop.bucket.keys(BUCKET).len(),
            events,
        ])
    }
}

#[tokio::test]
async fn a_picture_comes_once() {
    let arrive = async |scene: &Scene, _| {
        scene.shop.upload(&scene.awaited);
        scene.arrives().await
    };
    assert_eq!(cut_every_write(Scene::open, arrive, Scene::look).await, 1);
}

#[tokio::test]
async fn a_picture_is_refused_once() {
    let arrive = async |scene: &Scene, again: bool| {
        if !again {
            scene.shop.bucket.put(BUCKET, &scene.awaited.key(), "image/png", png(20_000, 1));
        }
        scene.arrives().await
    };
    assert_eq!(cut_every_write(Scene::open, arrive, Scene::look).await, 1);
}

#[tokio::test]
async fn a_picture_goes_once() {
    let remove = async |scene: &Scene, again| scene.remove(&scene.picture, again).await;
    assert_eq!(cut_every_write(Scene::open, remove, Scene::look).await, 1);
    let give_up = async |scene: &Scene, again| scene.remove(&scene.awaited, again).await;
    assert_eq!(cut_every_write(Scene::open, give_up, Scene::look).await, 1);
}

#[tokio::test]
async fn whoever_asks_again_for_an_upload_awaits_one_that_may_never_come() {
    let ask = async |scene: &Scene, _| {
        let answer = scene.shop.admin(Shop::asking(scene.product)).await;
        Told::by(&answer, |answer| json!(answer.status))
    };
    assert_eq!(cut_every_write(Scene::open, ask, Scene::look).await, 1);
}
