use std::{fs::File, io::Read};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{
    aws::Aws,
    cloud::ENVIRONMENT,
    shop::{Shop, text},
};

/// Who administers a local shop.
pub(crate) const ADMIN: &str = "admin@shop.example";

/// Makes the admin and, in an empty shop, some products. What is there already stays as it is.
pub(crate) fn fill(shop: &Shop, aws: &Aws, admin_password: &str) -> Result<()> {
    let admin = json!({ "email": ADMIN, "password": admin_password, "name": "Admin" });
    let registered = shop.send("POST", "/api/users", &[], Some(&admin))?;
    if registered.status != 409 {
        let user = registered.expect(201).context("can't register the admin")?;
        let secret = aws.secret(&format!("{ENVIRONMENT}/microservices/api-gateway"))?;
        let path = format!("/api/users/{}/role", text(&user, "user_id")?);
        let key = [("x-api-key", text(&secret, "api_key")?)];
        let promoted = shop.send("PUT", &path, &key, Some(&json!({ "role": "admin" })))?;
        promoted.expect(200).context("can't make the admin an admin")?;
    }

    let offered = shop.send("GET", "/api/products?limit=1", &[], None)?.expect(200)?;
    if offered["items"].as_array().is_some_and(Vec::is_empty) {
        let authorization = format!("Bearer {}", shop.log_in(ADMIN, admin_password)?);
        for product in products() {
            let headers = [("authorization", authorization.as_str())];
            let created = shop.send("POST", "/api/products", &headers, Some(&product))?;
            created.expect(201).context("can't create a product")?;
        }
    }
    Ok(())
}

/// Has the admin order some of the products, unless that was done before.
pub(crate) fn order(shop: &Shop, admin_password: &str) -> Result<()> {
    let authorization = format!("Bearer {}", shop.log_in(ADMIN, admin_password)?);
    let offered = shop.send("GET", "/api/products?limit=3", &[], None)?.expect(200)?;
    let products = offered["items"].as_array().context("a list of products")?;
    for (number, product) in products.iter().enumerate() {
        // The same order again is answered as it was, and placed no second time.
        let key = format!("seed-{number}");
        let headers = [("authorization", authorization.as_str()), ("idempotency-key", &key)];
        let item = json!({ "product_id": text(product, "product_id")?, "quantity": number + 1 });
        let placed = shop.send("POST", "/api/orders", &headers, Some(&json!({ "items": [item] })))?;
        ensure!(matches!(placed.status, 200..=299 | 409 | 422), "can't order: {placed}");
    }
    Ok(())
}

/// A password that nobody can guess.
pub(crate) fn random_password() -> Result<String> {
    let mut bytes = [0; 12];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn products() -> [Value; 5] {
    let product = |category: &str, name: &str, description: &str, cents: i64, stock: i64| {
        let price = json!({ "amount": cents, "currency": "EUR" });
        json!({ "category": category, "name": name, "description": description, "price": price, "stock": stock })
    };
    [
        product("kitchen", "Cast-iron pan", "26 cm, seasoned with rapeseed oil.", 4490, 20),
        product("kitchen", "Ceramic mug", "Holds 300 ml, glazed inside.", 1290, 60),
        product("kitchen", "Bread knife", "Serrated, with a handle of olive wood.", 3650, 25),
        product("books", "Field guide to garden birds", "120 species with their songs.", 2450, 30),
        product("books", "Pocket atlas", "Every country on 200 pages.", 1495, 40),
    ]
}
