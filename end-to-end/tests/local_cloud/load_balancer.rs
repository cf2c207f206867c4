//! The second front door: the same requests get the same answers through the load balancer as through API Gateway.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    client::{PASSWORD, eventually},
    cloud,
    uploads::{File, Upload},
    visit::{Header, Visit, bearer, compare, header},
};

#[test]
#[ignore = "needs the local cloud with a load balancer: cargo xtask test"]
fn malformed_and_unknown_requests_get_the_same_answers_through_either_front_door() {
    compare(|visit| {
        unknown_paths(visit);
        health_and_documents(visit);
        wrong_methods(visit);
        bodies(visit);
        addresses(visit);
        credentials(visit);
    });
}

#[test]
#[ignore = "needs the local cloud with a load balancer: cargo xtask test"]
fn a_whole_visit_gets_the_same_answers_through_either_front_door() {
    compare(|visit| {
        let admin = account(visit, true);
        let customer = account(visit, false);
        let product = products(visit, &admin);
        picture(visit, &customer, "/api/users/me/avatar", "/api/users/me");
        let product_path = format!("/api/products/{product}");
        picture(visit, &admin, &format!("{product_path}/images"), &product_path);
        orders(visit, &admin, &customer, &product);
        visit.send("DELETE", "/api/users/me", &[bearer(&customer)], "");
        visit.send("GET", "/api/users/me", &[bearer(&customer)], "");
    });
}

#[test]
#[ignore = "needs the local cloud with a load balancer: cargo xtask test"]
fn pages_of_other_origins_get_the_same_answers_through_either_front_door() {
    compare(|visit| {
        for (origin, is_allowed) in
            [("http://localhost:3000", true), ("https://elsewhere.example", false), ("null", false)]
        {
            let allowed = is_allowed.then_some(origin);
            let origin = header("origin", origin);
            preflights(visit, &origin, allowed);
            for path in [
                "/",
                "/api/products?category=none",
                "/api/products/no-id",
                "/api/users/me",
                "/api/orders/health/ready",
            ] {
                let answer = visit.send("GET", path, std::slice::from_ref(&origin), "");
                assert_eq!(answer.header("access-control-allow-origin"), allowed);
            }
            visit.json("POST", "/api/users/login", std::slice::from_ref(&origin), &json!({}));
            visit.send("DELETE", "/api/products", &[origin], "");
        }
    });
}

fn preflights(visit: &mut Visit, origin: &Header, allowed: Option<&str>) {
    for path in ["/", "/api/nothing", "/api/users", "/api/products/no-id", "/api/orders"] {
        let preflight = [
            origin.clone(),
            header("access-control-request-method", "PUT"),
            header("access-control-request-headers", "x-a"),
        ];
        for headers in [&preflight[..], &preflight[..2]] {
            let answer = visit.send("OPTIONS", path, headers, "");
            assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, allowed));
        }
        for headers in [&preflight[..1], &preflight[1..], &[]] {
            let status = visit.send("OPTIONS", path, headers, "").status;
            assert!(
                [404, 405].contains(&status),
                "what is no preflight is a request like any other: {status}"
            );
        }
    }
}

fn unknown_paths(visit: &mut Visit) {
    for path in [
        "/",
        "/api",
        "/api/nothing",
        "/api/usersx",
        "/api/productsx/1",
        "/API/users",
        "/api/users/",
        "/api/products/",
        "/api/orders/",
        "/api/users/nothing/here",
        "/api/orders/x/y/z",
    ] {
        visit.send("GET", path, &[], "");
    }
}

fn health_and_documents(visit: &mut Visit) {
    for collection in ["users", "products", "orders"] {
        for path in ["health/live", "health/ready", "openapi.json"] {
            visit.send("GET", &format!("/api/{collection}/{path}"), &[], "");
        }
        visit.send("HEAD", &format!("/api/{collection}/health/ready"), &[], "");
    }
    visit.send("GET", "/health/ready", &[], "");
}

fn wrong_methods(visit: &mut Visit) {
    for (method, path) in [
        ("DELETE", "/api/users"),
        ("DELETE", "/api/products"),
        ("PUT", "/api/orders"),
        ("POST", "/api/users/me"),
        ("PATCH", "/api/users/health/live"),
        ("HEAD", "/api/users/login"),
    ] {
        visit.send(method, path, &[], "");
    }
}

fn bodies(visit: &mut Visit) {
    let json = header("content-type", "application/json");
    let text = header("content-type", "text/plain");
    for body in [
        "",
        "{",
        "null",
        "{\"email\":\"\u{e4}\"}",
        r#"{"email":"no address","password":"short","name":"","role":"admin","a/b~c":1}"#,
    ] {
        visit.send("POST", "/api/users", std::slice::from_ref(&json), body);
        visit.send("POST", "/api/users", std::slice::from_ref(&text), body);
        visit.send("POST", "/api/users", &[], body);
    }
    for body in [b"\0\x01\x02", b"\x1f\x8b\x08"] {
        visit.send("POST", "/api/users/login", std::slice::from_ref(&json), body);
    }
    for bytes in [lambda_dispatch::BODY_LIMIT, lambda_dispatch::BODY_LIMIT + 1, 500_000] {
        visit.send("POST", "/api/users/login", std::slice::from_ref(&json), " ".repeat(bytes));
    }
}

fn addresses(visit: &mut Visit) {
    for query in [
        "limit=0",
        "limit=101",
        "limit=1&limit=2",
        "limit",
        "limit=",
        "%6Cimit=1000",
        "colour=red",
        "colour=%C3%A4&shade=%FF",
        "category=",
        "category=no%20such+category%21",
        "category=a%26limit%3D0",
        "category=a%2Bb%25",
        "category=a=b",
        "category=none&",
        "&&category=none",
        "cursor=forged",
        "cursor=%00",
    ] {
        visit.send("GET", &format!("/api/products?{query}"), &[], "");
    }
    for path in [
        "/api/products/no-id",
        "/api/products/%20",
        "/api/products/%2F",
        "/api/products/a%2Fb",
        "/api/products/%2541",
        "/api/products/%C3%A4",
        "/api/products/%FF",
        "/api/products/a%3Fb%23c",
        "/api/products/a;b=c,d",
        "/api/products/01a203e8-5c00-7a1b-9c3d-4e5f60718293",
        "/api/products/01a203e8%2D5c00-7a1b-9c3d-4e5f60718293",
        "/api/products/he%61lth/live",
        "/api/users/%6De",
    ] {
        visit.send("GET", path, &[], "");
    }
}

fn credentials(visit: &mut Visit) {
    for authorization in ["Bearer", "Bearer forged", "Basic YTpi", "bearer a.b.c"] {
        visit.send("GET", "/api/users/me", &[header("authorization", authorization)], "");
    }
    let order = json!({ "items": [{ "product_id": Uuid::nil(), "quantity": 1 }] });
    visit.json("POST", "/api/orders", &[], &order);
    visit.json("POST", "/api/products", &[], &json!({}));
    visit.send("GET", "/api/users", &[], "");
    let role = format!("/api/users/{}/role", Uuid::nil());
    visit.json("PUT", &role, &[header("x-api-key", "wrong")], &json!({ "role": "admin" }));
}

/// Registers and logs in; answers the access token.
fn account(visit: &mut Visit, is_admin: bool) -> String {
    let id = visit.new_id();
    let user =
        json!({ "email": format!("{id}@shop.example"), "password": PASSWORD, "name": "Grace \u{1f41b}" });
    let registered = visit.json("POST", "/api/users", &[], &user).json();
    visit.json("POST", "/api/users", &[], &user);
    if is_admin {
        let path = format!("/api/users/{}/role", registered["user_id"].as_str().unwrap());
        visit.json("PUT", &path, &[header("x-api-key", cloud::api_key())], &json!({ "role": "admin" }));
    }
    let mut login = json!({ "email": user["email"], "password": "another password" });
    visit.json("POST", "/api/users/login", &[], &login);
    login["password"] = PASSWORD.into();
    let token = session(visit, &login);
    visit.send("GET", "/api/users/me", &[bearer(&token)], "");
    visit.json("PATCH", "/api/users/me", &[bearer(&token)], &json!({ "name": "Ada" }));
    if is_admin {
        visit.send(
            "GET",
            &format!("/api/users/{}", registered["user_id"].as_str().unwrap()),
            &[bearer(&token)],
            "",
        );
    } else {
        visit.send("GET", "/api/users", &[bearer(&token)], "");
    }
    token
}

/// Logs in, goes on with that, and logs out of one of two sessions; answers the other's access token.
fn session(visit: &mut Visit, login: &Value) -> String {
    let mut opened = || visit.json("POST", "/api/users/login", &[], login).json();
    let (kept, left) = (opened(), opened());
    let token = |session: &Value| json!({ "refresh_token": session["refresh_token"] });
    let mut refresh = |body: &Value| visit.json("POST", "/api/users/token/refresh", &[], body).json();
    let (kept, _superseded) = (refresh(&token(&kept)), refresh(&token(&kept)));
    for body in [json!({}), json!({ "refresh_token": "no token" }), json!({ "refresh_token": 1 })] {
        for path in ["/api/users/token/refresh", "/api/users/logout"] {
            visit.json("POST", path, &[], &body);
        }
    }
    visit.json("POST", "/api/users/logout", &[], &token(&left));
    visit.json("POST", "/api/users/token/refresh", &[], &token(&left));
    visit.send("POST", "/api/users/logout-all", &[], "");
    kept["access_token"].as_str().unwrap().to_owned()
}

/// Uploads a picture, waits until it is shown, and deletes it.
fn picture(visit: &mut Visit, token: &str, path: &str, shown_in: &str) {
    let (file, authorization) = (File::png(), bearer(token));
    let authorization = std::slice::from_ref(&authorization);
    visit.json("POST", path, &[], &file.request());
    for body in [json!({}), json!({ "content_type": "text/html", "size": 0, "sha256": "x", "key": "mine" })] {
        visit.json("POST", path, authorization, &body);
    }
    let upload = Upload::of(&visit.json("POST", path, authorization, &file.request()));
    visit.send("GET", &upload.location, authorization, "");
    upload.send(&file).expect(200);
    eventually("the picture is shown", || {
        let status = visit.request("GET", &upload.location, authorization, b"").json();
        (status["status"] != "pending").then_some(())
    });
    visit.send("GET", &upload.location, authorization, "");
    visit.send("GET", &upload.location, &[], "");
    let shown = visit.send("GET", shown_in, authorization, "");
    let deleted = match shown.header("etag") {
        Some(_) => {
            (format!("{path}/{}", upload.id), vec![header("if-match", "\"0\""), authorization[0].clone()])
        }
        None => (path.to_owned(), authorization.to_vec()),
    };
    visit.send("DELETE", &deleted.0, &deleted.1, "");
    visit.send("DELETE", &deleted.0, authorization, "");
    visit.send("GET", shown_in, authorization, "");
}

/// Offers a product and changes it in every way; answers its id.
fn products(visit: &mut Visit, admin: &str) -> String {
    let category = visit.new_id();
    let mut product = json!({
        "name": "Slide rule \u{2116} 1", "category": category, "stock": 10,
        "price": { "amount": 4200, "currency": "EUR" },
    });
    let offered = visit.json("POST", "/api/products", &[bearer(admin)], &product);
    let tag = offered.header("etag").unwrap().to_owned();
    let id = offered.json()["product_id"].as_str().unwrap().to_owned();
    let path = format!("/api/products/{id}");
    visit.json("POST", "/api/products", &[bearer(admin)], &product);
    visit.send("GET", &path, &[], "");
    for if_none_match in [tag.clone(), format!("\"x\", {tag}"), "*".to_owned(), "\"x\"".to_owned()] {
        visit.send("GET", &path, &[header("if-none-match", if_none_match)], "");
    }
    visit.send("HEAD", &path, &[], "");
    product["name"] = "Slide rule".into();
    visit.json("PUT", &path, &[bearer(admin), header("if-match", "\"99\"")], &product);
    visit.json("PUT", &path, &[bearer(admin), header("if-match", tag)], &product);
    visit.json("PATCH", &path, &[bearer(admin)], &json!({ "description": "Logarithms, side by side" }));
    visit.json("POST", &format!("{path}/stock"), &[bearer(admin)], &json!({ "change": -3 }));
    visit.json("POST", &format!("{path}/stock"), &[bearer(admin)], &json!({ "change": -30 }));
    let list = format!("/api/products?category={category}&limit=1");
    let first = visit.send("GET", &list, &[], "").json();
    let cursor = visit.known(first["next_cursor"].as_str().unwrap());
    visit.send("GET", &format!("{list}&cursor={cursor}"), &[], "");
    id
}

fn orders(visit: &mut Visit, admin: &str, customer: &str, product: &str) {
    let key = header("idempotency-key", visit.new_id());
    let mut body = json!({ "items": [{ "product_id": product, "quantity": 2 }] });
    visit.json("POST", "/api/orders", &[bearer(customer)], &body);
    let placed = visit.json("POST", "/api/orders", &[bearer(customer), key.clone()], &body).json();
    let path = format!("/api/orders/{}", placed["order_id"].as_str().unwrap());
    eventually("the order is settled", || {
        let order = visit.request("GET", &path, &[bearer(customer)], b"").json();
        (order["status"] != "PENDING").then_some(())
    });
    visit.json("POST", "/api/orders", &[bearer(customer), key.clone()], &body);
    body["items"][0]["quantity"] = 3.into();
    visit.json("POST", "/api/orders", &[bearer(customer), key], &body);
    visit.send("GET", &path, &[bearer(customer)], "");
    visit.send("GET", "/api/orders?status=CONFIRMED", &[bearer(customer)], "");
    visit.json("POST", &format!("{path}/ship"), &[bearer(customer)], &json!({}));
    visit.json("POST", &format!("{path}/ship"), &[bearer(admin)], &json!({}));
    visit.json("POST", &format!("{path}/cancel"), &[bearer(customer)], &json!({}));
    visit.json("POST", &format!("{path}/deliver"), &[bearer(admin)], &json!({}));
    visit.send("DELETE", &format!("/api/products/{product}"), &[bearer(admin)], "");
}
