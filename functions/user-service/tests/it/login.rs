use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use access_token::{Claims, Role};
use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use dynamodb_store::{Consistency, Key};
use futures_util::future::join;
use serde_json::{Value, json};
use test_support::door;
use uuid::Uuid;

use crate::{PASSWORD, Shop, assert_problem, now};

#[tokio::test]
async fn a_login_answers_a_token_for_the_account() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let answer = shop.log_in(" ADA@example.com", PASSWORD).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    let token = answer.json();
    assert_eq!((&token["token_type"], &token["expires_in"]), (&json!("Bearer"), &json!(900)));
    let me = shop.me(token["access_token"].as_str().unwrap()).await;
    assert_eq!((me.status, me.header("etag")), (200, Some("\"1\"")));
    assert_eq!(me.json()["user_id"], user.user_id.to_string());
}

#[tokio::test]
async fn no_answer_tells_whether_an_address_or_a_password_was_wrong() {
    let shop = Shop::open();
    shop.register("ada@example.com").await;
    let long = "x".repeat(10_000);
    let mut bodies: Vec<Value> = Vec::new();
    for (email, password) in [
        ("ada@example.com", "pears and plums"),
        ("ada@example.com", ""),
        ("ada@example.com", &long),
        ("eve@example.com", PASSWORD),
        ("no address", PASSWORD),
        (&long, &long),
    ] {
        let answer = shop.log_in(email, password).await;
        assert_problem(&answer, 401, "invalid-credentials", &[]);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        bodies.push(answer.json());
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:#?}");
}

/// What is compared is the processor time of the threads that answer, which no other load of the machine adds to.
#[test]
fn an_unknown_address_takes_as_much_work_as_a_wrong_password() {
    let threads = Arc::new(Mutex::new(vec![fs::read_link("/proc/thread-self").unwrap()]));
    let started = Arc::clone(&threads);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_start(move || started.lock().unwrap().push(fs::read_link("/proc/thread-self").unwrap()))
        .build()
        .unwrap();
    // The first number of schedstat: nanoseconds on a processor.
    let busy = || -> u64 {
        let threads = threads.lock().unwrap();
        let of =
            |thread: &PathBuf| fs::read_to_string(Path::new("/proc").join(thread).join("schedstat")).unwrap();
        threads.iter().map(|thread| of(thread).split(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    };
    runtime.block_on(async {
        let shop = Shop::open();
        shop.register("ada@example.com").await;
        let least = async |email| {
            let mut least = u64::MAX;
            for _ in 0..3 {
                let before = busy();
                assert_eq!(shop.log_in(email, "pears and plums").await.status, 401);
                least = least.min(busy() - before);
            }
            least
        };
        let (known, unknown, no_address) =
            (least("ada@example.com").await, least("eve@example.com").await, least("eve").await);
        assert!(unknown > known / 2 && no_address > known / 2, "{known}, {unknown}, {no_address} ns");
    });
}

#[tokio::test]
async fn credentials_of_a_wrong_shape_are_named() {
    let shop = Shop::open();
    let login = async |body| shop.call(door::http_v2("POST", "/api/users/login").json(&body)).await;
    assert_problem(
        &login(json!({"email": 1, "otp": 1})).await,
        400,
        "invalid-input",
        &["/email", "/otp", "/password"],
    );
}

#[tokio::test]
async fn a_token_says_the_role_that_the_account_has() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let list = async |token: &str| shop.call(door::http_v2("GET", "/api/users").bearer(token)).await.status;
    assert_eq!(list(&user.token).await, 403);
    assert_eq!(shop.change_role(user.user_id, "admin").await.status, 200);
    let token = shop.log_in("ada@example.com", PASSWORD).await.json();
    assert_eq!(list(token["access_token"].as_str().unwrap()).await, 200);
}

#[tokio::test]
async fn only_valid_tokens_open_an_account() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    let sign = |issued_at| shop.tokens.sign(&Claims::new(user.user_id, Role::Customer, issued_at)).unwrap();
    assert_eq!(shop.me(&sign(now())).await.status, 200);

    let other_audience =
        Claims { aud: "another-shop".to_owned(), ..Claims::new(user.user_id, Role::Customer, now()) };
    let mut tampered = user.token.clone().into_bytes();
    let middle = tampered.len() / 2;
    tampered[middle] = if tampered[middle] == b'A' { b'B' } else { b'A' };
    for (case, token) in [
        ("expired", sign(now() - 3600)),
        ("not yet valid", sign(now() + 3600)),
        ("tampered with", String::from_utf8(tampered).unwrap()),
        ("of another audience", shop.tokens.sign(&other_audience).unwrap()),
        ("cut off", user.token.rsplit_once('.').unwrap().0.to_owned()),
        ("made up", "e30.e30.e30".to_owned()),
    ] {
        let answer = shop.me(&token).await;
        assert_eq!(answer.status, 401, "a token that is {case}");
        assert_problem(&answer, 401, "unauthorized", &[]);
        assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer error="invalid_token""#), "{case}");
    }
    let without = shop.call(door::http_v2("GET", "/api/users/me")).await;
    assert_problem(&without, 401, "unauthorized", &[]);
    assert_eq!(without.header("www-authenticate"), Some("Bearer"));
    assert_eq!(shop.me(&shop.token(Uuid::now_v7(), Role::Customer)).await.status, 401, "nobody's token");
}

impl Shop {
    /// Puts a hash of the password into the account as it was made when machines were slower.
    async fn db_weaken_hash(&self, user_id: Uuid) {
        let params = Params::new(64, 1, 1, None).unwrap();
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash = argon2.hash_password(PASSWORD.as_bytes()).unwrap().to_string();
        let row = self.table.update(Key::new("user_id", user_id)).set("password_hash", hash);
        row.send::<Value>().await.unwrap();
    }

    async fn db_account(&self, user_id: Uuid) -> Value {
        let key = Key::new("user_id", user_id);
        self.table.get::<Value>(&key, Consistency::Strong).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_login_brings_a_hash_up_to_the_parameters_of_today_and_nothing_else() {
    let shop = Shop::open();
    let user = shop.register("ada@example.com").await;
    shop.db_weaken_hash(user.user_id).await;
    shop.published().await;
    let before = shop.db_account(user.user_id).await;
    assert_eq!(shop.log_in("ada@example.com", "pears and plums").await.status, 401);
    assert_eq!(shop.db_account(user.user_id).await, before);

    assert_eq!(shop.log_in("ada@example.com", PASSWORD).await.status, 200);
    let mut after = shop.db_account(user.user_id).await;
    assert!(after["password_hash"].as_str().unwrap().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert_eq!(shop.log_in("ada@example.com", PASSWORD).await.status, 200);
    assert_eq!(shop.db_account(user.user_id).await, after, "a hash of today is left as it is");
    assert_eq!(shop.published().await.len(), 1, "that she registered is all that happened");
    after["password_hash"] = before["password_hash"].clone();
    assert_eq!(after, before);
    assert_eq!(shop.log_in("ada@example.com", "pears and plums").await.status, 401);
}

#[tokio::test]
async fn a_login_with_the_old_password_does_not_bring_it_back() {
    for _ in 0..10 {
        let shop = Shop::open();
        let user = shop.register("ada@example.com").await;
        shop.db_weaken_hash(user.user_id).await;
        let body = json!({"current_password": PASSWORD, "new_password": "apples, only apples"});
        let change = door::http_v2("PUT", "/api/users/me/password").bearer(&user.token).json(&body);
        let (changed, _) = join(shop.call(change), shop.log_in("ada@example.com", PASSWORD)).await;
        assert_eq!(changed.status, 204, "{}", changed.body);
        assert_eq!(shop.log_in("ada@example.com", PASSWORD).await.status, 401);
        assert_eq!(shop.log_in("ada@example.com", "apples, only apples").await.status, 200);
    }
}
