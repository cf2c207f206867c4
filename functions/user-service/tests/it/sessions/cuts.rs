use serde_json::{Value, json};
use test_support::{Line, Told, cut_every_write};

use super::token;
use crate::{Registered, Shop};

/// A user with two sessions.
struct Scene {
    shop: Shop,
    user: Registered,
    session: String,
}

impl Scene {
    async fn open(line: &Line) -> Self {
        let shop = Shop::at_the_end_of(line);
        let user = shop.register("ada@example.com").await;
        shop.session("ada@example.com").await;
        let session = token(&shop.session("ada@example.com").await);
        Self { shop, user, session }
    }

    async fn look(&self) -> Value {
        json!(self.shop.db_count_sessions(self.user.user_id).await)
    }
}

#[tokio::test]
async fn a_token_is_exchanged_once() {
    let refresh = async |scene: &Scene, again: bool| {
        let answer = scene.shop.refresh(&scene.session).await;
        // Whoever has to ask again may learn that it was exchanged, and log in: a copy of the token looks the same.
        let superseded = again && answer.status == 401;
        Told::by(&answer, |answer| json!(if superseded { 200 } else { answer.status }))
    };
    assert_eq!(cut_every_write(Scene::open, refresh, Scene::look).await, 1);
}

#[tokio::test]
async fn a_session_is_ended_once() {
    let log_out = async |scene: &Scene, _| {
        Told::by(&scene.shop.log_out(&scene.session).await, |answer| json!(answer.status))
    };
    assert_eq!(cut_every_write(Scene::open, log_out, Scene::look).await, 1);
    let log_out_everywhere = async |scene: &Scene, _| {
        Told::by(&scene.shop.log_out_everywhere(&scene.user).await, |answer| json!(answer.status))
    };
    assert_eq!(cut_every_write(Scene::open, log_out_everywhere, Scene::look).await, 1);
}
