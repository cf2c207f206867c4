//! Products read through Redis.

mod coherence;
mod failures;
mod lists;
mod orders_of_things;

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
    time::Duration,
};

use access_token::Role;
use futures_util::future::join_all;
use lambda_dispatch::Dispatcher;
use local_servers::Redis;
use product_service::{Cache, CacheSecret, CacheSettings, Limits, ProductService};
use redis::{FromRedisValue, IntoConnectionInfo, RedisConnectionInfo};
use serde_json::{Value, json};
use test_support::{
    CountingEndpoint, Logs,
    door::{self, HttpAnswer, HttpEvent},
};
use uuid::Uuid;

use crate::{Shop, dispatcher, mug, path, secret, send};

/// One for all tests that do it no harm: each has keys of its own.
static REDIS: LazyLock<Arc<Redis>> = LazyLock::new(|| Arc::new(Redis::start().unwrap()));

/// Time enough for anything on a busy machine.
const PATIENT: Limits = Limits {
    connect: Duration::from_secs(20),
    command: Duration::from_secs(20),
    first_pause: Duration::from_millis(20),
    longest_pause: Duration::from_millis(50),
};

/// One failure and it is over.
const UNFORGIVING: Limits =
    Limits { first_pause: Duration::from_secs(3600), longest_pause: Duration::from_secs(3600), ..PATIENT };

/// A shop without a cache, and a Redis for environments of it that have one.
struct World {
    shop: Shop,
    redis: Arc<Redis>,
    /// What environments with a cache call.
    aws: CountingEndpoint,
    /// The name of the deployment.
    name: String,
}

/// A process of the service with a cache.
struct Environment {
    dispatcher: Dispatcher<ProductService>,
    token: String,
}

impl World {
    fn open() -> Self {
        Self::on(Arc::clone(&REDIS))
    }

    /// With a Redis of its own, to be broken.
    fn fragile() -> Self {
        Self::on(Arc::new(Redis::start().unwrap()))
    }

    fn on(redis: Arc<Redis>) -> Self {
        let aws = CountingEndpoint::start(token(redis.auth_token()));
        Self { shop: Shop::open(), redis, aws, name: format!("test-{}", Uuid::now_v7()) }
    }

    async fn environment(&self) -> Environment {
        self.environment_within(PATIENT).await
    }

    async fn environment_within(&self, limits: Limits) -> Environment {
        self.environment_trusting(self.redis.roots(), limits).await
    }

    async fn environment_trusting(&self, roots: &str, limits: Limits) -> Environment {
        let config = test_support::sdk_config(self.aws.endpoint());
        let settings = CacheSettings {
            url: self.redis.url(),
            environment: self.name.clone(),
            roots: Cow::Owned(roots.to_owned()),
            secret: CacheSecret::load(&config, "dev/microservices/redis".to_owned()).await,
            limits,
        };
        let cache = Cache::new(settings, self.shop.clock.clone()).unwrap();
        let table = dynamodb_store::Table::new(&config, self.shop.table.name());
        let service = ProductService::new(
            table,
            self.shop.images.clone(),
            secret("a signing secret that is long enough", None),
            self.shop.clock.clone(),
        );
        self.aws.take();
        Environment {
            dispatcher: dispatcher(service.with_cache(cache), &self.shop.topic),
            token: self.shop.token(Role::Admin),
        }
    }

    /// How often the table was read since this was asked last.
    fn reads(&self) -> usize {
        let reads = ["GetItem", "BatchGetItem", "Query"];
        self.aws.take().iter().filter(|call| reads.contains(&call.operation.as_str())).count()
    }

    /// Asks Redis itself.
    fn ask<T: FromRedisValue>(&self, command: &[&str]) -> T {
        let login = RedisConnectionInfo::default().set_password(self.redis.auth_token());
        let address = self.redis.plain_address();
        let info = (address.ip().to_string(), address.port()).into_connection_info().unwrap();
        let client = redis::Client::open(info.set_redis_settings(login)).unwrap();
        let (name, arguments) = command.split_first().unwrap();
        redis::cmd(name).arg(arguments).query(&mut client.get_connection().unwrap()).unwrap()
    }

    fn entry_key(&self, id: Uuid) -> String {
        format!("{}:products:v1:entry:{id}", self.name)
    }

    /// The version that Redis has of a product.
    fn kept_version(&self, id: Uuid) -> Option<u64> {
        let entry: Option<String> = self.ask(&["GET", &self.entry_key(id)]);
        Some(entry?[..20].parse().unwrap())
    }
}

impl Environment {
    async fn http(&self, request: HttpEvent) -> HttpAnswer {
        HttpAnswer::parse(&send(&self.dispatcher, request.build()).await)
    }

    async fn admin(&self, request: HttpEvent) -> HttpAnswer {
        self.http(request.bearer(&self.token)).await
    }

    async fn read(&self, id: Uuid) -> HttpAnswer {
        self.http(door::http_v2("GET", &path(id))).await
    }

    async fn create(&self, body: Value) -> Uuid {
        let answer = self.admin(door::http_v2("POST", "/api/products").json(&body)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()["product_id"].as_str().unwrap().parse().unwrap()
    }

    async fn patch(&self, id: Uuid, body: Value) -> HttpAnswer {
        self.admin(door::http_v2("PATCH", &path(id)).json(&body)).await
    }

    async fn change_stock(&self, id: Uuid, change: i64) -> HttpAnswer {
        let path = format!("{}/stock", path(id));
        self.admin(door::http_v2("POST", &path).json(&json!({ "change": change }))).await
    }

    async fn remove(&self, id: Uuid) -> HttpAnswer {
        self.admin(door::http_v2("DELETE", &path(id))).await
    }

    async fn changes(&self, records: &[Value]) {
        if !records.is_empty() {
            let answer = send(&self.dispatcher, door::stream(records.to_vec())).await;
            assert_eq!(door::failures(&answer), [""; 0]);
        }
    }
}

/// The secret that has this token.
fn token(token: &str) -> String {
    json!({ "auth_token": token }).to_string()
}

/// An answer as far as it says something.
fn said(answer: &HttpAnswer) -> (u16, String, Option<String>) {
    (answer.status, answer.body.clone(), answer.header("etag").map(str::to_owned))
}

#[tokio::test]
async fn a_hit_is_answered_like_a_read_of_the_table() {
    let world = World::open();
    let mut body = mug(3);
    body["description"] = "\"Große\" Tasse\n\t0,3 l \\ ☕".into();
    let id: Uuid = world.shop.create(body).await.json()["product_id"].as_str().unwrap().parse().unwrap();
    let table = world.shop.read(id).await;
    let environment = world.environment().await;
    assert_eq!(said(&environment.read(id).await), said(&table));
    assert_eq!(world.reads(), 1);
    let hit = environment.read(id).await;
    assert_eq!((said(&hit), hit.header("cache-control")), (said(&table), table.header("cache-control")));
    let known = door::http_v2("GET", &path(id)).header("if-none-match", table.header("etag").unwrap());
    assert_eq!(said(&environment.http(known.clone()).await), said(&world.shop.http(known).await));
    assert_eq!(world.reads(), 0);
}

#[tokio::test]
async fn an_entry_is_shown_for_a_while() {
    let world = World::open();
    let (id, environment) = (world.shop.product(3).await, world.environment().await);
    environment.read(id).await;
    world.shop.clock.advance(Duration::from_secs(23));
    environment.read(id).await;
    assert_eq!(world.reads(), 1);
    // Nobody tells of this.
    world.shop.admin(door::http_v2("PATCH", &path(id)).json(&json!({"name": "Cup"}))).await;
    world.shop.clock.advance(Duration::from_secs(13));
    assert_eq!(environment.read(id).await.json()["name"], "Cup");
    assert_eq!(world.reads(), 1);
}

#[tokio::test]
async fn that_there_is_no_product_is_remembered_briefly() {
    let world = World::open();
    let (id, environment) = (Uuid::now_v7(), world.environment().await);
    for _ in 0..3 {
        assert_eq!(said(&environment.read(id).await).0, said(&world.shop.read(id).await).0);
    }
    assert_eq!(world.reads(), 1);
    world.shop.clock.advance(Duration::from_secs(10));
    assert_eq!(environment.read(id).await.status, 404);
    assert_eq!(world.reads(), 1);
}

#[tokio::test]
async fn many_who_miss_at_once_read_the_table_once() {
    let world = World::open();
    let (id, environment) = (world.shop.product(3).await, world.environment().await);
    let answers = join_all((0..25).map(|_| environment.read(id))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(world.reads(), 1);
    let nothing = Uuid::now_v7();
    let answers = join_all((0..25).map(|_| environment.read(nothing))).await;
    assert!(answers.iter().all(|answer| answer.status == 404));
    assert_eq!(world.reads(), 1);
}

#[tokio::test]
async fn a_failed_read_of_the_table_is_told_to_all_and_kept_by_nobody() {
    let world = World::open();
    let (id, environment) = (world.shop.product(3).await, world.environment().await);
    // An attempt, and all that the SDK makes of it.
    (0..3).for_each(|_| world.aws.lose_answer("GetItem"));
    let answers = join_all((0..5).map(|_| environment.read(id))).await;
    assert!(answers.iter().all(|answer| answer.status == 503), "{:?}", answers[0]);
    assert_eq!(world.reads(), 3);
    assert_eq!(environment.read(id).await.status, 200);
}

#[tokio::test]
async fn the_connection_is_made_when_it_is_needed_and_once() {
    let world = World::fragile();
    let environment = world.environment().await;
    let id = world.shop.product(3).await;
    environment.http(door::http_v2("GET", "/api/products/health/live")).await;
    assert_eq!(world.redis.line().accepted(), 0);
    join_all((0..10).map(|_| environment.read(id))).await;
    environment.patch(id, json!({"name": "Cup"})).await;
    assert_eq!(world.redis.line().accepted(), 1);
}

#[tokio::test]
async fn deployments_and_shapes_do_not_see_each_other() {
    let (one, other) = (World::open(), World::open());
    let id = one.shop.product(3).await;
    one.environment().await.read(id).await;
    assert_eq!(other.environment().await.read(id).await.status, 404);
    let keys: Vec<String> = one.ask(&["KEYS", &format!("{}:*", one.name)]);
    assert_eq!(keys, [one.entry_key(id)]);
}

#[tokio::test]
async fn every_key_has_an_end() {
    let world = World::open();
    let environment = world.environment().await;
    let id = environment.create(mug(1)).await;
    environment.read(Uuid::now_v7()).await;
    for _ in 0..2 {
        environment.http(door::http_v2("GET", "/api/products").query("category", "Kitchen")).await;
    }
    environment.remove(id).await;
    let keys: Vec<String> = world.ask(&["KEYS", &format!("{}:*", world.name)]);
    assert_eq!(keys.len(), 5, "{keys:?}");
    for key in keys {
        let left: i64 = world.ask(&["PTTL", &key]);
        assert!(left > 0 && left <= 120_000, "{key} {left}");
    }
}

#[tokio::test]
async fn without_tls_there_is_no_cache() {
    let world = World::open();
    let config = test_support::sdk_config(world.aws.endpoint());
    for url in ["redis://localhost:6379", "rediss://localhost", "rediss://localhost:port", ""] {
        let settings = CacheSettings {
            url: url.to_owned(),
            environment: world.name.clone(),
            roots: Cow::Borrowed(""),
            secret: CacheSecret::load(&config, "dev/microservices/redis".to_owned()).await,
            limits: PATIENT,
        };
        let error = Cache::new(settings, world.shop.clock.clone()).unwrap_err().to_string();
        assert!(error.contains("rediss://host:port"), "{error}");
    }
}

/// Lines that say something of the cache.
fn lines_of_the_cache(logs: &Logs) -> Vec<String> {
    logs.take().into_iter().filter(|line| line.contains("the cache")).collect()
}
