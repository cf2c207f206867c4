//! Pictures of products and users, from the request for an upload until nothing is left of the file.

use access_token::Role;
use serde_json::{Value, json};
use test_support::door::HttpEvent;
use uuid::Uuid;

use crate::shop::{Shop, id, of_type};

const PICTURE: &[u8] = include_bytes!("../../samples/picture.png");
const QUEUE: &str = "image-uploads";
const AVATARS: &str = "avatar-uploads";

fn plain(request: HttpEvent) -> HttpEvent {
    request
}

fn request() -> Value {
    json!({ "content_type": "image/png", "size": PICTURE.len(), "sha256": "0".repeat(64) })
}

pub(crate) async fn of_products(shop: &mut Shop) {
    let admin = shop.token(Uuid::now_v7(), Role::Admin);
    let product = shop.new_product(&admin, "kitchen").await;
    shop.stream("products", None).await;
    let path = format!("/api/products/{product}");
    let images = format!("{path}/images");
    let ask = |request: HttpEvent| request.json(&self::request());

    let asked = shop.route("POST /api/products/{id}/images", "", &admin, &images, ask).await.json();
    let image = id(&asked["upload_id"]);
    let told = [shop.file("product-service", &format!("images/{product}/{image}"), PICTURE)];
    shop.queue(QUEUE, Some(""), &told).await;
    shop.stream("products", Some("")).await;
    shop.queue(QUEUE, Some("again"), &told).await;
    let status = format!("{images}/{image}/upload");
    shop.route("GET /api/products/{id}/images/{image_id}/upload", "", &admin, &status, plain).await;
    shop.route("GET /api/products/{id}", "with a picture", "", &path, plain).await;

    let refused = id(&shop.prepare("POST", &admin, &images, ask).await.json()["upload_id"]);
    let told = shop.file("product-service", &format!("images/{product}/{refused}"), &[0; 2]);
    shop.queue(QUEUE, Some("refused"), &[told]).await;
    let awaited = id(&shop.prepare("POST", &admin, &images, ask).await.json()["upload_id"]);

    let route = "DELETE /api/products/{id}/images/{image_id}";
    shop.route(route, "before it arrives", &admin, &format!("{images}/{awaited}"), plain).await;
    shop.stream("products", None).await;
    shop.route(route, "", &admin, &format!("{images}/{image}"), plain).await;
    let removed = of_type(&shop.stream("products", Some("")).await, "product_image_removed");
    shop.queue(QUEUE, Some(""), &removed).await;

    // The product goes with a picture.
    let last = id(&shop.prepare("POST", &admin, &images, ask).await.json()["upload_id"]);
    let told = shop.file("product-service", &format!("images/{product}/{last}"), PICTURE);
    shop.queue(QUEUE, None, &[told]).await;
    shop.prepare("DELETE", &admin, &path, plain).await;
    let deleted = of_type(&shop.stream("products", None).await, "product_deleted");
    shop.queue(QUEUE, Some(""), &deleted).await;
}

pub(crate) async fn of_users(shop: &mut Shop) {
    let body =
        json!({ "email": "grace@example.com", "password": "a long enough password", "name": "Grace Hopper" });
    let user = shop.prepare("POST", "", "/api/users", |request| request.json(&body)).await.json();
    let user = id(&user["user_id"]);
    let token = shop.token(user, Role::Customer);
    shop.stream("users", None).await;
    let path = "/api/users/me/avatar";
    let ask = |request: HttpEvent| request.json(&self::request());

    let asked = shop.route("POST /api/users/me/avatar", "", &token, path, ask).await.json();
    let avatar = id(&asked["upload_id"]);
    let told = [shop.file("user-service", &format!("avatars/{user}/{avatar}"), PICTURE)];
    shop.queue(AVATARS, Some(""), &told).await;
    shop.stream("users", None).await;
    shop.queue(AVATARS, Some("again"), &told).await;
    let status = format!("{path}/uploads/{avatar}");
    shop.route("GET /api/users/me/avatar/uploads/{id}", "", &token, &status, plain).await;
    shop.route("GET /api/users/me", "with an avatar", &token, "/api/users/me", plain).await;

    let refused = id(&shop.prepare("POST", &token, path, ask).await.json()["upload_id"]);
    let told = shop.file("user-service", &format!("avatars/{user}/{refused}"), &[0; 2]);
    shop.queue(AVATARS, Some("refused"), &[told]).await;
    let next = id(&shop.prepare("POST", &token, path, ask).await.json()["upload_id"]);
    let told = shop.file("user-service", &format!("avatars/{user}/{next}"), PICTURE);
    shop.queue(AVATARS, Some("in the place of another"), &[told]).await;
    let removed = of_type(&shop.stream("users", None).await, "user_avatar_removed");
    shop.queue(AVATARS, Some(""), &removed).await;
    shop.route("DELETE /api/users/me/avatar", "", &token, path, plain).await;
    shop.stream("users", Some("")).await;

    // The account goes with a file that has not been looked at.
    let last = id(&shop.prepare("POST", &token, path, ask).await.json()["upload_id"]);
    shop.file("user-service", &format!("avatars/{user}/{last}"), PICTURE);
    shop.prepare("DELETE", &token, "/api/users/me", plain).await;
    let deleted = of_type(&shop.stream("users", None).await, "user_deleted");
    shop.queue(AVATARS, Some(""), &deleted).await;
}
