use serde_json::{Value, json};
use test_support::{Line, Told, cut_every_write, door};

use super::{QUEUE, notification, png};
use crate::{Registered, Shop};

/// A user with an avatar, and with another one that is awaited.
struct Scene {
    shop: Shop,
    user: Registered,
    present: String,
    next: String,
    published: usize,
}

impl Scene {
    async fn open(line: &Line) -> Self {
        let shop = Shop::at_the_end_of(line);
        let user = shop.register("ada@example.com").await;
        let present = shop.expect(&user, &png(640, 480)).await;
        shop.upload(&user, &present, png(640, 480)).await;
        let next = shop.expect(&user, &png(64, 64)).await;
        let published = shop.published().await.len();
        Self { shop, user, present, next, published }
    }

    async fn arrives(&self) -> Told {
        let message = notification(&[&self.user.key(&self.next)]);
        Told::by_queue(&door::failures(&self.shop.invoke(door::sqs(QUEUE, [message])).await))
    }

    async fn look(&self) -> Value {
        let me = self.shop.me(&self.user.token).await.json();
        let events = self.shop.published().await.split_off(self.published);
        let mut events: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
        events.sort_unstable();
        json!([
            me["version"],
            self.shop.status(&self.user, &self.present).await,
            self.shop.status(&self.user, &self.next).await,
            self.shop.keys().len(),
            events,
        ])
    }
}

#[tokio::test]
async fn an_avatar_takes_the_place_of_another_once() {
    let arrive = async |scene: &Scene, again: bool| {
        if !again {
            scene.shop.put(&scene.user, &scene.next, png(64, 64));
        }
        scene.arrives().await
    };
    assert_eq!(cut_every_write(Scene::open, arrive, Scene::look).await, 1);
}

#[tokio::test]
async fn an_avatar_is_refused_once() {
    let arrive = async |scene: &Scene, again: bool| {
        if !again {
            scene.shop.put(&scene.user, &scene.next, png(20_000, 1));
        }
        scene.arrives().await
    };
    assert_eq!(cut_every_write(Scene::open, arrive, Scene::look).await, 1);
}

#[tokio::test]
async fn an_avatar_is_deleted_once() {
    let delete = async |scene: &Scene, _| {
        Told::by(&scene.shop.delete_avatar(&scene.user).await, |answer| json!(answer.status))
    };
    // Whoever has to ask again gives up, too, what was asked for meanwhile: that is another version.
    let look = async |scene: &Scene| {
        let present = scene.shop.status(&scene.user, &scene.present).await;
        json!([scene.shop.avatar(&scene.user).await, present])
    };
    assert_eq!(cut_every_write(Scene::open, delete, look).await, 1);
}
