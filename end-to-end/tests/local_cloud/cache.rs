//! Products through a real Redis, as the deployed functions use it.

use redis::{Commands, Connection};
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client, eventually},
    cloud,
};

/// A look into the cache itself.
fn redis() -> Connection {
    let token = cloud::secret(&format!("{}/microservices/redis", cloud::environment()));
    let address =
        format!("redis://:{}@{}", token["auth_token"].as_str().unwrap(), cloud::variable("SHOP_REDIS"));
    redis::Client::open(address).unwrap().get_connection().unwrap()
}

/// The keys that speak of this.
fn keys(redis: &mut Connection, of: &str) -> Vec<String> {
    let pattern = format!("{}:products:*{of}*", cloud::environment());
    redis.scan_match(pattern).unwrap().collect::<Result<_, _>>().unwrap()
}

fn read(product: &str) -> Answer {
    let answer = Client::default().get(&format!("/api/products/{product}"));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer
}

/// The version in the tag and in the body, which are the same.
fn version(answer: &Answer) -> u64 {
    let version = answer.json()["version"].as_u64().unwrap();
    assert_eq!(answer.header("etag"), Some(format!("\"{version}\"").as_str()));
    version
}

fn rename(admin: &Client, product: &str, name: &str) -> Value {
    let path = format!("/api/products/{product}");
    admin.send("PATCH", &path, &[], Some(&json!({ "name": name }))).expect(200)
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_product_is_read_through_it_and_never_older_than_the_last_change() {
    let (admin, mut redis) = (Client::admin(), redis());
    let product = admin.new_product(5);
    // Environments that met no Redis, or one with another password, while the stack was made leave it alone for a while.
    let key = eventually("a product that is read gets into Redis", || {
        read(&product);
        keys(&mut redis, &product).into_iter().next()
    });
    for name in ["Circular slide rule", "Pocket slide rule"] {
        let changed = rename(&admin, &product, name);
        for _ in 0..3 {
            let answer = read(&product);
            assert_eq!(
                (version(&answer), answer.json()["name"].as_str()),
                (changed["version"].as_u64().unwrap(), Some(name))
            );
        }
    }
    let kept: String = redis.get(&key).unwrap();
    assert!(kept.contains("Pocket slide rule"), "{kept}");
    assert!(redis.ttl::<_, i64>(&key).unwrap() > 0, "an entry that never ends");

    admin.send("DELETE", &format!("/api/products/{product}"), &[], None).expect(204);
    assert_eq!(Client::default().get(&format!("/api/products/{product}")).status, 404);
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_first_page_is_read_through_it() {
    let (admin, mut redis) = (Client::admin(), redis());
    admin.new_product(5);
    eventually("a page that is read gets into Redis", || {
        Client::default().get("/api/products?limit=7").expect(200);
        keys(&mut redis, "page:7:").into_iter().next()
    });
}

/// What is seen when it is gone.
mod lost {
    use super::*;

    #[test]
    #[ignore = "needs the local cloud: cargo xtask test"]
    fn a_shop_without_its_redis_reads_and_changes_products_as_before() {
        let admin = Client::admin();
        let product = admin.new_product(5);
        for name in ["Circular slide rule", "Pocket slide rule"] {
            let changed = rename(&admin, &product, name);
            assert_eq!(version(&read(&product)), changed["version"].as_u64().unwrap());
        }
        let listed = Client::default().get("/api/products?limit=1").expect(200);
        assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    }
}
