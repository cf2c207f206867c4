//! A customer of the shop.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::cloud;

/// How long anything may take that the shop does on its own.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body, if the status is the expected one.
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        if self.body.is_empty() { Value::Null } else { self.json() }
    }
}

/// Somebody who calls the API, with or without a token.
#[derive(Debug, Clone, Default)]
pub(crate) struct Client {
    token: Option<String>,
    pub(crate) user_id: String,
    pub(crate) email: String,
}

pub(crate) const PASSWORD: &str = "correct horse battery staple";

impl Client {
    /// Registers somebody new and logs in.
    pub(crate) fn customer() -> Self {
        Self::registered(&format!("{}@shop.example", Uuid::now_v7()), "Grace Hopper")
    }

    /// Registers somebody of this name and logs in.
    pub(crate) fn registered(email: &str, name: &str) -> Self {
        let body = json!({ "email": email, "password": PASSWORD, "name": name });
        let user = Self::default().post("/api/users", &body).expect(201);
        let text = |field: &str| user[field].as_str().unwrap().to_owned();
        let mut client = Self { token: None, user_id: text("user_id"), email: text("email") };
        client.log_in();
        client
    }

    /// Registers somebody and makes an administrator of them, as the first one is made: with the API key.
    pub(crate) fn admin() -> Self {
        let mut client = Self::customer();
        let path = format!("/api/users/{}/role", client.user_id);
        let key = [("x-api-key", cloud::api_key())];
        Self::default().send("PUT", &path, &key, Some(&json!({ "role": "admin" }))).expect(200);
        client.log_in();
        client
    }

    pub(crate) fn log_in(&mut self) {
        let body = json!({ "email": self.email, "password": PASSWORD });
        let answer = self.post("/api/users/login", &body).expect(200);
        self.token = Some(answer["access_token"].as_str().unwrap().to_owned());
    }

    /// The same person with another token.
    pub(crate) fn bearing(&self, token: String) -> Self {
        Self { token: Some(token), ..self.clone() }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], Some(body))
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: Option<&Value>,
    ) -> Answer {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        let agent = ureq::Agent::new_with_config(config.allow_non_standard_methods(true).build());
        let mut request = ureq::http::Request::builder().method(method).uri(cloud::api_url() + path);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = match body {
            Some(body) => {
                let request =
                    request.header("content-type", "application/json").body(body.to_string()).unwrap();
                agent.run(request)
            }
            None => agent.run(request.body(()).unwrap()),
        };
        let mut response = response.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.body_mut().read_to_string().unwrap(),
        }
    }

    /// Offers a new product (administrators only); answers its id.
    pub(crate) fn new_product(&self, stock: u32) -> String {
        let body = json!({
            "name": "Slide rule", "category": "instruments", "stock": stock,
            "price": { "amount": 4200, "currency": "EUR" },
        });
        self.post("/api/products", &body).expect(201)["product_id"].as_str().unwrap().to_owned()
    }

    /// Places an order under a key; answers it as it is then.
    pub(crate) fn place(&self, key: &str, product_id: &str, quantity: u32) -> Answer {
        let body = json!({ "items": [{ "product_id": product_id, "quantity": quantity }] });
        self.send("POST", "/api/orders", &[("idempotency-key", key.to_owned())], Some(&body))
    }

    /// Places an order and answers its id.
    pub(crate) fn order(&self, product_id: &str, quantity: u32) -> String {
        let order = self.place(&Uuid::now_v7().to_string(), product_id, quantity).expect(201);
        order["order_id"].as_str().unwrap().to_owned()
    }

    /// Waits until the order has left PENDING; answers it.
    pub(crate) fn settled(&self, order_id: &str) -> Value {
        let path = format!("/api/orders/{order_id}");
        eventually("the order is settled", || {
            Some(self.get(&path).expect(200)).filter(|order| order["status"] != "PENDING")
        })
    }

    pub(crate) fn stock(&self, product_id: &str) -> i64 {
        self.get(&format!("/api/products/{product_id}")).expect(200)["stock"].as_i64().unwrap()
    }
}

/// Asks until there is an answer; the only place where these tests let time pass.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
