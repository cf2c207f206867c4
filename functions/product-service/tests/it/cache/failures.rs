//! Whatever becomes of Redis, clients read products.

use futures_util::future::join_all;
use product_service::Limits;
use test_support::{Logs, door};
use uuid::Uuid;

use super::{Environment, UNFORGIVING, World, lines_of_the_cache, token};
use crate::mug;

impl World {
    /// Everything that a client can do is done as without a cache.
    async fn works(&self, environment: &Environment, id: Uuid) {
        let version = environment.read(id).await.json()["version"].as_u64().unwrap();
        assert_eq!(environment.change_stock(id, 1).await.status, 200);
        assert_eq!(environment.read(id).await.json()["version"], version + 1);
        let list = door::http_v2("GET", "/api/products");
        let listed = environment.http(list).await.json();
        assert_eq!(listed["items"].as_array().unwrap().len(), 1);
        environment.changes(&self.shop.table.new_stream_records()).await;
    }

    /// Reads until the cache is of use again.
    async fn recovers(&self, environment: &Environment, id: Uuid) {
        loop {
            environment.read(id).await;
            self.reads();
            assert_eq!(environment.read(id).await.status, 200);
            if self.reads() == 0 {
                return;
            }
        }
    }
}

/// One failure is told once, and after it Redis is left alone.
async fn fails(world: &World, environment: &Environment, id: Uuid) {
    let logs = Logs::capture();
    world.works(environment, id).await;
    let lines = lines_of_the_cache(&logs);
    assert!(
        matches!(&lines[..], [line] if line.contains("WARN") && line.contains("left alone")),
        "{lines:?}"
    );
    let accepted = world.redis.line().accepted();
    for _ in 0..10 {
        world.works(environment, id).await;
    }
    assert_eq!(world.redis.line().accepted(), accepted);
    assert_eq!(lines_of_the_cache(&logs), [""; 0]);
}

#[tokio::test]
async fn a_redis_that_refuses_or_hangs_or_talks_nonsense_is_left_alone() {
    let world = World::fragile();
    let id = world.shop.product(3).await;
    let line = world.redis.line();
    // Time limits of real life, where it is time that runs out.
    let hasty = Limits {
        first_pause: UNFORGIVING.first_pause,
        longest_pause: UNFORGIVING.longest_pause,
        ..Limits::default()
    };
    for connected in [false, true] {
        for (limits, trouble) in [
            (UNFORGIVING, &(|| line.refuse()) as &dyn Fn() -> _),
            (UNFORGIVING, &|| line.garbage()),
            (hasty, &|| line.hang()),
        ] {
            line.pass().unwrap();
            let environment = world.environment_within(limits).await;
            if connected {
                // On a busy machine that may take longer than it should.
                environment.read(id).await;
            }
            trouble().unwrap();
            world.works(&environment, id).await;
            let accepted = line.accepted();
            world.works(&environment, id).await;
            assert_eq!(line.accepted(), accepted);
        }
    }
}

#[tokio::test]
async fn a_failure_is_told_once() {
    let world = World::fragile();
    let id = world.shop.product(3).await;
    let environment = world.environment_within(UNFORGIVING).await;
    world.works(&environment, id).await;
    world.redis.line().refuse().unwrap();
    fails(&world, &environment, id).await;
}

#[tokio::test]
async fn what_was_wrong_and_is_well_again_is_told_and_used() {
    let world = World::fragile();
    let id = world.shop.product(3).await;
    let environment = world.environment().await;
    environment.read(id).await;
    world.redis.line().refuse().unwrap();
    let logs = Logs::capture();
    for _ in 0..20 {
        world.works(&environment, id).await;
    }
    world.redis.line().pass().unwrap();
    world.recovers(&environment, id).await;
    let lines = lines_of_the_cache(&logs);
    assert!(
        matches!(&lines[..], [bad, good] if bad.contains("left alone") && good.contains("answers again")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_redis_that_is_killed_and_comes_back_empty_is_filled_again() {
    let world = World::fragile();
    let environment = world.environment().await;
    let id = environment.create(mug(3)).await;
    environment.read(id).await;
    world.redis.stop().unwrap();
    world.works(&environment, id).await;
    world.redis.restart().unwrap();
    world.recovers(&environment, id).await;
    assert_eq!(world.kept_version(id), Some(2));
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_read_again() {
    let world = World::fragile();
    let id = world.shop.product(3).await;
    world.aws.change_secret(token("not the token"));
    let environment = world.environment().await;
    world.aws.change_secret(token(world.redis.auth_token()));
    let logs = Logs::capture();
    world.works(&environment, id).await;
    world.recovers(&environment, id).await;
    let lines = logs.take();
    assert!(lines.iter().any(|line| line.contains("refuses the token")), "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains("not the token")), "{lines:?}");
}

#[tokio::test]
async fn a_wrong_token_is_no_failure_of_a_request() {
    let world = World::fragile();
    let id = world.shop.product(3).await;
    world.aws.change_secret(token("not the token"));
    let environment = world.environment_within(UNFORGIVING).await;
    fails(&world, &environment, id).await;
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_read_later() {
    let world = World::fragile();
    let id = world.shop.product(3).await;
    world.aws.change_secret("{}");
    let environment = world.environment().await;
    world.works(&environment, id).await;
    assert_eq!(world.redis.line().accepted(), 0);
    world.aws.change_secret(token(world.redis.auth_token()));
    world.recovers(&environment, id).await;
}

#[tokio::test]
async fn a_redis_that_is_full_is_left_alone() {
    let world = World::fragile();
    let id = world.shop.product(3).await;
    let environment = world.environment().await;
    for setting in [["maxmemory-policy", "noeviction"], ["maxmemory", "1"]] {
        let _: () = world.ask(&["CONFIG", "SET", setting[0], setting[1]]);
    }
    let logs = Logs::capture();
    for _ in 0..20 {
        world.works(&environment, id).await;
    }
    assert!(lines_of_the_cache(&logs)[0].contains("OOM"));
    let _: () = world.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    world.recovers(&environment, id).await;
}

#[tokio::test]
async fn who_comes_while_redis_fails_is_answered_too() {
    let world = World::fragile();
    let id = world.shop.product(3).await;
    let environment = world.environment_within(UNFORGIVING).await;
    environment.read(id).await;
    world.redis.line().refuse().unwrap();
    let logs = Logs::capture();
    let answers = join_all((0..25).map(|_| environment.read(id))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(lines_of_the_cache(&logs).len(), 1);
}

#[tokio::test]
async fn certificates_of_others_are_not_accepted() {
    let (world, other) = (World::fragile(), World::fragile());
    let id = world.shop.product(3).await;
    let environment = world.environment_trusting(other.redis.roots(), UNFORGIVING).await;
    let logs = Logs::capture();
    world.works(&environment, id).await;
    let lines = lines_of_the_cache(&logs);
    assert!(lines[0].contains("certificate"), "{lines:?}");
}
