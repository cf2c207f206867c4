//! The second front door: the same requests get the same answers through the load balancer as through API Gateway.
//!
//! `SHOP_LOAD_BALANCER_URL` is its address, where the stack is deployed with `LoadBalancer=true`.

use std::thread;

use serde_json::{Value, json};
use ureq::http::{HeaderMap, Method, Request};
use uuid::Uuid;

use crate::{
    client::{Answer, PASSWORD, PATIENCE, eventually},
    cloud,
};

/// Headers that a front door adds for itself, and those that say which answer it is, or which requests get the same.
const OF_THE_TRANSPORT: [&str; 9] = [
    "apigw-requestid",
    "connection",
    "content-length",
    "date",
    "server",
    "transfer-encoding",
    "vary",
    "x-amzn-trace-id",
    "x-request-id",
];

fn load_balancer_url() -> String {
    std::env::var("SHOP_LOAD_BALANCER_URL").expect(
        "SHOP_LOAD_BALANCER_URL is not set: deploy with LoadBalancer=true, or leave these tests out by \
         `--skip load_balancer::`",
    )
}

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
    let token = visit.json("POST", "/api/users/login", &[], &login).json();
    let token = token["access_token"].as_str().unwrap().to_owned();
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

/// Makes the same visit through both front doors and compares all that came back.
fn compare(visit: impl Fn(&mut Visit) + Sync) {
    let through = |url: String| {
        let mut made = Visit::new(url);
        visit(&mut made);
        made.seen
    };
    let (api, balancer) = thread::scope(|scope| {
        let api = scope.spawn(|| through(cloud::api_url()));
        (api.join().unwrap(), through(load_balancer_url()))
    });
    assert!(!api.is_empty() && api.len() == balancer.len());
    let differences: Vec<String> = api
        .iter()
        .zip(&balancer)
        .filter(|(api, balancer)| api != balancer)
        .map(|(api, balancer)| format!("through the API:\n{api}\nthrough the load balancer:\n{balancer}"))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

type Header = (&'static str, String);

fn header(name: &'static str, value: impl Into<String>) -> Header {
    (name, value.into())
}

fn bearer(token: &str) -> Header {
    header("authorization", format!("Bearer {token}"))
}

/// Requests through one front door, and the answers without what is another each time.
struct Visit {
    url: String,
    agent: ureq::Agent,
    /// Ids and the like in the order in which they were first seen; the answers show their place in here.
    ids: Vec<String>,
    seen: Vec<String>,
}

impl Visit {
    fn new(url: String) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        let agent = config.allow_non_standard_methods(true).build().into();
        Self { url, agent, ids: Vec::new(), seen: Vec::new() }
    }

    /// An id for something that is about to be made.
    fn new_id(&mut self) -> String {
        self.known(&Uuid::now_v7().to_string())
    }

    fn known(&mut self, id: &str) -> String {
        self.ids.push(id.to_owned());
        id.to_owned()
    }

    fn json(&mut self, method: &str, path: &str, headers: &[Header], body: &Value) -> Answer {
        let content_type = header("content-type", "application/json");
        let headers: Vec<Header> = headers.iter().cloned().chain([content_type]).collect();
        self.send(method, path, &headers, body.to_string())
    }

    /// One request, of which the answer is kept for the comparison.
    fn send(&mut self, method: &str, path: &str, headers: &[Header], body: impl AsRef<[u8]>) -> Answer {
        let answer = self.request(method, path, headers, body.as_ref());
        assert!(answer.header("x-request-id").is_some(), "{method} {path}: {answer:?}");
        let body = match serde_json::from_str(&answer.body) {
            Ok(mut json) => {
                self.generalise(&mut json, &answer);
                json.to_string()
            }
            Err(_) => answer.body.clone(),
        };
        let mut lines = vec![format!("{method} {path}"), answer.status.to_string()];
        let mut names: Vec<_> = answer.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        // An HTTP API names the type of a body also where there is none; a list's tag is made of its ids.
        let is_list = body.starts_with("{\"items\"") && method == "GET" && answer.status == 200;
        let of_the_answer = |name: &str| match name {
            "content-type" => !body.is_empty(),
            "etag" => !is_list,
            name => !OF_THE_TRANSPORT.contains(&name),
        };
        let own = names.into_iter().filter(|name| of_the_answer(name));
        lines.extend(own.map(|name| format!("{name}: {}", all(&answer.headers, name))));
        lines.push(body);
        let mut text = lines.join("\n");
        for (place, id) in self.ids.iter().enumerate() {
            text = text.replace(id, &format!("id-{place}"));
        }
        self.seen.push(text);
        answer
    }

    fn request(&self, method: &str, path: &str, headers: &[Header], body: &[u8]) -> Answer {
        let method: Method = method.parse().unwrap();
        let mut request = Request::builder().method(&method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = if body.is_empty() {
            self.agent.run(request.body(()).unwrap())
        } else {
            self.agent.run(request.body(body).unwrap())
        };
        let mut response = response.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.body_mut().read_to_string().unwrap(),
        }
    }

    /// Puts what stays the same in place of times, tokens and cursors, and notes new ids.
    fn generalise(&mut self, json: &mut Value, answer: &Answer) {
        match json {
            Value::Object(members) => {
                for (name, value) in members {
                    match name.as_str() {
                        "created_at" | "updated_at" | "at" | "expires_at" | "url" => {
                            *value = name.as_str().into()
                        }
                        "access_token" | "refresh_token" => *value = name.as_str().into(),
                        "next_cursor" if value.is_string() => *value = name.as_str().into(),
                        "request_id" if value.is_string() => {
                            assert_eq!(value.as_str(), answer.header("x-request-id"));
                            *value = name.as_str().into();
                        }
                        _ => self.generalise(value, answer),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.generalise(item, answer)),
            Value::String(text) if Uuid::parse_str(text).is_ok() && !self.ids.contains(text) => {
                self.ids.push(text.clone());
            }
            _ => {}
        }
    }
}

fn all(headers: &HeaderMap, name: &str) -> String {
    let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    values.collect::<Vec<_>>().join(", ")
}
