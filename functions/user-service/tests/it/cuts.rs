//! Every write of an account, with the connection to the table cut before and after it.

use access_token::Role;
use domain_events::Clock;
use dynamodb_store::Table;
use serde_json::{Value, json};
use test_support::{
    Line, TestTable, Told, cut_every_write,
    door::{self, HttpAnswer, HttpEvent},
};

use crate::{API_KEY, PASSWORD, Registered, Shop, registration};

const ADA: &str = "ada@example.com";
const OTHER_PASSWORD: &str = "apples, only apples";

/// A shop with one user.
struct Scene {
    shop: Shop,
    user: Registered,
    /// Events that were published before.
    published: usize,
}

impl Shop {
    pub(crate) fn at_the_end_of(line: &Line) -> Self {
        let rows = TestTable::users();
        let table = Table::new(&line.sdk_config(), rows.name());
        Self::on(rows, table, Clock::stopped())
    }
}

impl Scene {
    async fn open(line: &Line) -> Self {
        let shop = Shop::at_the_end_of(line);
        let user = shop.register(ADA).await;
        let published = shop.published().await.len();
        Self { shop, user, published }
    }

    async fn ask(&self, request: HttpEvent) -> HttpAnswer {
        self.shop.call(request.bearer(&self.user.token)).await
    }

    /// The users, and what was published since the scene was set.
    async fn look(&self) -> Value {
        let admin = self.shop.token(self.user.user_id, Role::Admin);
        let me = self.shop.me(&admin).await.json();
        let events = self.shop.published().await.split_off(self.published);
        let mut events: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
        events.sort_unstable();
        let rows = self.shop.db_dump_without_counts().await.len();
        json!([me["name"], me["email"], me["role"], me["version"], rows, events])
    }
}

/// The status and version of an answer; for whoever has to ask again, what stands for the first one is it, too.
fn answered(answer: &HttpAnswer, again: bool, stands_for: (u16, u16)) -> Told {
    let (repeated, first) = stands_for;
    let status = if again && answer.status == repeated { first } else { answer.status };
    Told::by(answer, |_| json!(status))
}

#[tokio::test]
async fn an_account_is_opened_once() {
    let register = async |scene: &Scene, again: bool| {
        // Whoever has to ask again may learn that the address is taken, and log in.
        answered(&scene.shop.call(registration("grace@example.com")).await, again, (409, 201))
    };
    assert_eq!(cut_every_write(Scene::open, register, Scene::look).await, 1);
}

#[tokio::test]
async fn an_account_is_changed_once() {
    for version in ["*", "\"1\""] {
        // Whoever has to ask again may learn that the account is at another version by now.
        let rename = async |scene: &Scene, again: bool| {
            let request = door::http_v2("PATCH", "/api/users/me").header("if-match", version);
            answered(
                &scene.ask(request.json(&json!({ "name": "Augusta Ada King" }))).await,
                again,
                (412, 200),
            )
        };
        assert_eq!(cut_every_write(Scene::open, rename, Scene::look).await, 1);
        let promote = async |scene: &Scene, again: bool| {
            let path = format!("/api/users/{}/role", scene.user.user_id);
            let request =
                door::http_v2("PUT", &path).header("x-api-key", API_KEY).header("if-match", version);
            answered(&scene.shop.call(request.json(&json!({ "role": "admin" }))).await, again, (412, 200))
        };
        assert_eq!(cut_every_write(Scene::open, promote, Scene::look).await, 1);
    }
}

#[tokio::test]
async fn an_address_and_a_password_are_changed_once() {
    let move_house = async |scene: &Scene, _| {
        let body = json!({ "email": "countess@example.com", "current_password": PASSWORD });
        let answer = scene.ask(door::http_v2("PATCH", "/api/users/me").json(&body)).await;
        Told::by(&answer, |answer| json!([answer.status, answer.header("etag")]))
    };
    assert_eq!(
        cut_every_write(Scene::open, move_house, Scene::look).await,
        3,
        "two for the count of attempts"
    );
    let change_password = async |scene: &Scene, again: bool| {
        let body = json!({ "current_password": PASSWORD, "new_password": OTHER_PASSWORD });
        let answer = scene.ask(door::http_v2("PUT", "/api/users/me/password").json(&body)).await;
        // Whoever has to ask again may learn that the password is another one by now.
        answered(&answer, again, (403, 204))
    };
    assert_eq!(cut_every_write(Scene::open, change_password, Scene::look).await, 3);
}

#[tokio::test]
async fn an_account_is_closed_once() {
    let delete = async |scene: &Scene, again: bool| {
        // Whoever has to ask again may learn that the account is gone.
        answered(&scene.shop.delete_me(&scene.user.token).await, again, (401, 204))
    };
    let look = async |scene: &Scene| {
        let events = scene.shop.published().await.split_off(scene.published);
        json!([scene.shop.db_dump().await.len(), events.len()])
    };
    assert_eq!(cut_every_write(Scene::open, delete, look).await, 1);
}

#[tokio::test]
async fn whoever_has_to_log_in_again_is_let_in() {
    let log_in = async |scene: &Scene, _| {
        let answer = scene.shop.log_in(ADA, PASSWORD).await;
        Told::by(&answer, |answer| json!(answer.status))
    };
    let look = async |scene: &Scene| json!(scene.shop.log_in(ADA, PASSWORD).await.status);
    assert_eq!(cut_every_write(Scene::open, log_in, look).await, 5);
}
