//! Who may do what, with the roles of the template enforced.

use std::{path::Path, process::Command};

use serde_json::json;

use crate::{client::Client, cloud};

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_customer_can_neither_make_products_nor_administrators() {
    let customer = Client::customer();
    let product = json!({ "name": "x", "category": "x", "price": { "amount": 1, "currency": "EUR" } });
    assert_eq!(customer.post("/api/products", &product).status, 403);
    assert_eq!(Client::default().post("/api/products", &product).status, 401);
    let path = format!("/api/users/{}/role", customer.user_id);
    assert_eq!(customer.send("PUT", &path, &[], Some(&json!({ "role": "admin" }))).status, 403);
    let wrong = [("x-api-key", "wrong".to_owned())];
    assert_eq!(Client::default().send("PUT", &path, &wrong, Some(&json!({ "role": "admin" }))).status, 401);
    assert_eq!(customer.get("/api/users").status, 403);
}

/// Everything else here would pass if the cloud did not look at permissions. That it holds functions to their roles is
/// tested with its launcher, in `local-cloud`; this shows that it was started that way.
#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn unknown_credentials_are_refused() {
    assert!(cloud::lets_read("test", "users"), "the account's owner");
    assert!(!cloud::lets_read("AKIASTRANGER00000000", "users"), "a stranger");
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn another_customers_order_does_not_exist() {
    let (admin, owner, stranger) = (Client::admin(), Client::customer(), Client::customer());
    let order = owner.order(&admin.new_product(1), 1);
    owner.settled(&order);
    assert_eq!(stranger.get(&format!("/api/orders/{order}")).status, 404);
    assert_eq!(stranger.post(&format!("/api/orders/{order}/cancel"), &json!({})).status, 404);
    assert_eq!(admin.get(&format!("/api/orders/{order}")).status, 200);
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_missing_secret_stops_the_start_with_one_line_that_names_it() {
    for service in ["user", "product", "order"] {
        let bootstrap = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("../target/lambda/{service}-service/bootstrap"));
        let output = Command::new(bootstrap)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9")
            .env("AWS_LAMBDA_FUNCTION_NAME", "f")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_ENDPOINT_URL", std::env::var("SHOP_CLOUD_URL").unwrap())
            .env("ENVIRONMENT", "dev")
            .env("TABLE_NAME", format!("dev-{service}s"))
            .env("BUCKET_NAME", "none")
            .env("EVENTS_TOPIC_ARN", "arn:aws:sns:us-east-1:000000000000:none")
            .env("STREAM_DLQ_URL", "http://127.0.0.1:9/000000000000/none")
            .env("SECRET_ID", "dev/microservices/missing")
            .output()
            .unwrap();
        assert!(!output.status.success(), "{service}");
        let log = String::from_utf8(output.stdout).unwrap();
        let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
        assert_eq!(errors.len(), 1, "{service}: {log}");
        assert!(errors[0].contains("dev/microservices/missing"), "{service}: {log}");
    }
}
