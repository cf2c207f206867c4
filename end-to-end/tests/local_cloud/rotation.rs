//! The key that signs access tokens is replaced while the shop is open.
//!
//! Only once in a run of these tests, because no more than one version before is kept: after two rotations within
//! minutes the tokens of the other tests would be refused, as they should be. The function's own tests show the rest.

use access_token::{AccessTokens, Role};
use aws_sdk_secretsmanager::Client as SecretsManager;
use serde_json::{Value, json};
use service_config::{ApiSecret, DEFAULT_TTL, SecretCache, Version, Versions};

use crate::{
    client::{Client, PASSWORD, eventually},
    cloud,
};

const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_rotation_takes_effect_without_a_deployment_and_ends_no_session() {
    let (admin, customer) = (Client::admin(), Client::customer());
    let session = log_in(&customer);
    let (before, api_key) = (version("AWSCURRENT"), cloud::api_key());

    let rotated = cloud::block_on(secrets().rotate_secret().secret_id(cloud::secret_id()).send()).unwrap();
    let id = rotated.version_id().unwrap();
    let after = eventually("the new version is the current one and nothing is pending", || {
        let current = Some(version("AWSCURRENT")).filter(|version| version.id == id);
        current.filter(|_| !is_pending())
    });
    assert_eq!(version("AWSPREVIOUS"), before);
    let [old, new] = [&before, &after].map(Kept::members);
    assert_eq!(new["api_key"], old["api_key"]);
    assert_eq!(cloud::api_key(), api_key);
    assert_ne!(new["jwt_secret"], old["jwt_secret"]);
    let key = new["jwt_secret"].as_str().unwrap();
    assert!(key.len() == 64 && key.bytes().all(|letter| letter.is_ascii_alphanumeric()));

    steps_that_come_late_or_from_elsewhere_change_nothing(&after);
    assert_eq!(version("AWSCURRENT"), after);

    // What was signed before is as good as ever.
    the_shop_is_open_to(&admin, &customer);

    // What a function signs that starts now: it reads the secret as it is. The others meet it with the secret that they
    // read when they started, minutes before they would look again.
    let config = cloud::config();
    let fresh = SecretCache::<ApiSecret>::load(&config, cloud::secret_id(), DEFAULT_TTL);
    let fresh = AccessTokens::new(cloud::block_on(fresh).unwrap());
    let with_new_token =
        |of: &Client, role| of.bearing(fresh.issue(of.user_id.parse().unwrap(), role).unwrap().token);
    let (admin, customer) = (with_new_token(&admin, Role::Admin), with_new_token(&customer, Role::Customer));
    // Each looks at most once in ten seconds, and may just have done so.
    eventually("the new version is known to all", || {
        let known = customer.get("/api/users/me").status == 200
            && customer.get("/api/orders").status == 200
            && admin.post("/api/products", &json!({})).status == 400;
        known.then_some(())
    });
    the_shop_is_open_to(&admin, &customer);

    // Having met it, they sign with it.
    let only_new = after.alone();
    eventually("a login is signed with the new version", || {
        customer.get("/api/users/me").expect(200);
        let answer = log_in(&customer);
        cloud::block_on(only_new.verify(answer["access_token"].as_str().unwrap())).is_ok().then_some(())
    });
    let body = json!({ "refresh_token": session["refresh_token"] });
    let refreshed = Client::default().post("/api/users/token/refresh", &body).expect(200);
    customer.bearing(refreshed["access_token"].as_str().unwrap().to_owned()).get("/api/users/me").expect(200);
}

fn log_in(customer: &Client) -> Value {
    let credentials = json!({ "email": customer.email, "password": PASSWORD });
    Client::default().post("/api/users/login", &credentials).expect(200)
}

/// What a customer and an admin may do, at each of the services.
fn the_shop_is_open_to(admin: &Client, customer: &Client) {
    assert_eq!(customer.get("/api/users/me").expect(200)["user_id"], customer.user_id);
    customer.settled(&customer.order(&admin.new_product(1), 1));
}

fn steps_that_come_late_or_from_elsewhere_change_nothing(current: &Kept) {
    let event = |step: &str, secret: &str, version: &str| json!({ "Step": step, "SecretId": secret, "ClientRequestToken": version });
    let other = "arn:aws:secretsmanager:us-east-1:000000000000:secret:other-a1b2c3";
    for step in STEPS {
        cloud::invoke("secret-rotation", &event(step, &current.arn, &current.id)).unwrap();
        let invented = uuid::Uuid::now_v7().to_string();
        let refusal = cloud::invoke("secret-rotation", &event(step, &current.arn, &invented)).unwrap_err();
        assert_eq!(refusal, format!("version {invented} is not pending"));
        let refusal = cloud::invoke("secret-rotation", &event(step, other, &current.id)).unwrap_err();
        assert_eq!(refusal, format!("this function does not rotate {other}"));
    }
    let unknown = event("dropSecret", &current.arn, &current.id);
    assert!(cloud::invoke("secret-rotation", &unknown).is_err());
}

/// A version of the secret as it is kept.
#[derive(PartialEq)]
struct Kept {
    arn: String,
    id: String,
    text: String,
}

/// No value belongs into the output of a test that fails.
impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.id)
    }
}

impl Kept {
    fn members(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// Verifies what is signed with this version, and nothing else.
    fn alone(&self) -> AccessTokens {
        let current = Version { id: self.id.clone(), value: self.text.parse().unwrap() };
        AccessTokens::new(SecretCache::fixed(Versions { current, previous: None }))
    }
}

fn version(stage: &str) -> Kept {
    let request = secrets().get_secret_value().secret_id(cloud::secret_id()).version_stage(stage);
    let answer = cloud::block_on(request.send()).unwrap();
    Kept { arn: answer.arn.unwrap(), id: answer.version_id.unwrap(), text: answer.secret_string.unwrap() }
}

/// Whether a version is to become the current one, for Secrets Manager.
fn is_pending() -> bool {
    let described =
        cloud::block_on(secrets().describe_secret().secret_id(cloud::secret_id()).send()).unwrap();
    described.version_ids_to_stages.unwrap().values().flatten().any(|stage| stage == "AWSPENDING")
}

fn secrets() -> SecretsManager {
    SecretsManager::new(&cloud::config())
}
