use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use access_token::Role;
use http::header::IF_NONE_MATCH;
use rand::RngExt;
use serde_json::json;
use tokio::time::Instant;

use super::{
    client::{IDEMPOTENCY_KEY, Request},
    market::Market,
    own_order::OwnOrder,
    person::{DOUBLE_CLICKS, Person, Wanted},
};
use crate::journal::What;

/// The longest that somebody thinks between two things.
const THINKING: Duration = Duration::from_millis(500);

/// What somebody does before the account is left or deleted.
const LEAST_DEEDS: u32 = 15;
const MOST_DEEDS: u32 = 60;

const MOST_LINES: usize = 5;
const MOST_PAGES: usize = 3;

/// One customer after the other, each with an account of their own.
pub(super) struct Customer {
    person: Person,
    market: Arc<Market>,
    skewed_tokens: bool,
    orders: Vec<OwnOrder>,
    /// Products that were read, with their tags.
    read: HashMap<String, String>,
}

impl Customer {
    pub(super) fn new(person: Person, market: &Arc<Market>, skewed_tokens: bool) -> Self {
        let (orders, read) = (Vec::new(), HashMap::new());
        Self { person, market: Arc::clone(market), skewed_tokens, orders, read }
    }

    /// Uses the shop until then.
    pub(super) async fn run(mut self, until: Instant) {
        while Instant::now() < until {
            self.orders.clear();
            if self.person.become_somebody(Role::Customer).await.is_some() {
                self.use_account(until).await;
            }
        }
    }

    /// Everything that one customer does.
    async fn use_account(&mut self, until: Instant) {
        for _ in 0..self.person.rng.random_range(LEAST_DEEDS..MOST_DEEDS) {
            if Instant::now() >= until {
                return;
            }
            self.person.think(THINKING).await;
            match self.person.rng.random_range(0..100) {
                0..14 => self.browse().await,
                14..30 => self.read_product().await,
                30..58 => self.place().await,
                58..62 => self.place_again().await,
                62..78 => self.read_order().await,
                78..81 => self.list_orders().await,
                81..91 => self.cancel().await,
                91..94 => {
                    self.person.renew().await;
                }
                94..98 if self.skewed_tokens => self.person.skew(Role::Customer),
                _ => self.read_product().await,
            }
        }
        // Many accounts stay, with whatever is open in them.
        if self.person.rng.random_bool(0.6) && self.person.leave().await {
            // The access token outlives the account. What is ordered with it nobody waits for.
            if self.person.rng.random_bool(0.4) {
                self.place().await;
            }
        }
    }

    /// Looks through the newest products, of all or of one category.
    async fn browse(&mut self) {
        let limit = self.person.rng.random_range(3..20);
        let category = if self.person.rng.random_bool(0.5) { "&category=Favourites" } else { "" };
        let mut path = format!("/api/products?limit={limit}{category}");
        let (mut seen, mut last) = (HashSet::new(), None::<String>);
        for _ in 0..MOST_PAGES {
            let Some(wanted) = self.person.ask_openly(What::Browse, Request::get(&path)).await else {
                return;
            };
            let Some(items) = wanted.reply.body["items"].as_array().filter(|_| wanted.reply.status == 200)
            else {
                return self.person.complain(&wanted, "no page of products");
            };
            for item in items {
                let (Some(id), Some(at)) = (item["product_id"].as_str(), item["created_at"].as_str()) else {
                    return self.person.complain(&wanted, "a product without id or time");
                };
                if !seen.insert(id.to_owned()) || last.as_deref().is_some_and(|last| last < at) {
                    return self.person.complain(&wanted, "a product twice, or not newest first");
                }
                last = Some(at.to_owned());
            }
            let Some(cursor) = wanted.reply.text("next_cursor") else { return };
            path = format!("/api/products?limit={limit}{category}&cursor={cursor}");
        }
    }

    async fn read_product(&mut self) {
        let Some(offer) = self.market.pick(&mut self.person.rng) else { return };
        let id = offer.product_id;
        let mut request = Request::get(format!("/api/products/{id}"));
        let known = self.read.get(&id).cloned();
        if let Some(tag) = &known {
            request = request.with(IF_NONE_MATCH, tag);
        }
        let what = What::ReadProduct { product_id: id.clone() };
        let Some(wanted) = self.person.ask_openly(what, request).await else { return };
        match (wanted.reply.status, wanted.reply.etag.clone()) {
            (304, tag) if tag == known => {}
            (200, Some(tag)) if wanted.reply.body["product_id"] == id && Some(&tag) != known.as_ref() => {
                self.read.insert(id, tag);
            }
            (404, _) if self.market.is_withdrawn(&id) => {
                self.read.remove(&id);
            }
            _ => self.person.complain(&wanted, "not the product as it is"),
        }
    }

    async fn place(&mut self) {
        let Some(account) = &self.person.account else { return };
        let (user_id, mark) = (account.user_id.clone(), account.mark);
        let mut items: Vec<(String, i64)> = Vec::new();
        for _ in 0..self.person.rng.random_range(1..=MOST_LINES) {
            let Some(offer) = self.market.pick(&mut self.person.rng) else { return };
            let quantity = self.person.rng.random_range(1..=if offer.hot { 6 } else { 3 });
            if items.iter().all(|(id, _)| *id != offer.product_id) {
                items.push((offer.product_id, quantity));
            }
        }
        if self.person.rng.random_bool(0.02) {
            items.push((self.person.new_id().to_string(), 1));
        }
        let address = self.person.rng.random_bool(0.4).then(|| {
            json!({
                "name": format!("Ada {mark}"), "line1": format!("{mark} Lane"),
                "postal_code": "SW1Y 4JH", "city": "London", "country": "GB",
            })
        });
        let key = self.person.new_id().to_string();
        self.orders.push(OwnOrder::new(user_id, key, items, address));
        self.submit(self.orders.len() - 1).await;
    }

    /// Somebody pushes the button twice.
    async fn place_again(&mut self) {
        if let Some(order) = self.some_order() {
            self.submit(order).await;
        }
    }

    async fn submit(&mut self, index: usize) {
        let order = &self.orders[index];
        let request = Request::post("/api/orders", order.body()).with(IDEMPOTENCY_KEY, &order.key);
        let mut answers = if self.person.rng.random_bool(DOUBLE_CLICKS) {
            self.person.ask_twice(order.what(), &request).await
        } else {
            [self.person.ask(order.what(), &request).await, None]
        };
        // Which of two was given first, nobody knows.
        answers
            .sort_by_key(|wanted| wanted.as_ref().and_then(|wanted| wanted.reply.body["version"].as_u64()));
        for wanted in answers.into_iter().flatten() {
            self.take_placed(index, &wanted);
        }
    }

    fn take_placed(&mut self, index: usize, wanted: &Wanted) {
        let order = &mut self.orders[index];
        let is_new = order.order_id.is_none();
        // Who repeats the order of an account that is gone may find that the shop has forgotten what was asked for.
        let forgotten =
            wanted.reply.status == 422 && self.person.was_unknown(wanted) && self.person.is_leaving();
        if wanted.reply.status == 201 {
            if let Some(complaint) = order.placed(&wanted.reply.body) {
                return self.person.complain(wanted, complaint);
            }
            if let Some(id) = order.order_id.clone().filter(|_| is_new) {
                self.market.placed(id);
            }
        } else if !forgotten {
            self.person.complain(wanted, "the order is not placed");
        }
    }

    async fn read_order(&mut self) {
        if let Some(index) = self.some_order() {
            self.look_at(index).await;
        }
    }

    async fn look_at(&mut self, index: usize) {
        let Some(order_id) = self.orders.get(index).and_then(|order| order.order_id.clone()) else { return };
        let request = Request::get(format!("/api/orders/{order_id}"));
        let Some(wanted) = self.person.ask(What::ReadOrder { order_id }, &request).await else { return };
        self.take_note(index, &wanted);
    }

    async fn list_orders(&mut self) {
        let wanted = self.person.ask(What::ListOrders, &Request::get("/api/orders?limit=20")).await;
        let Some(wanted) = wanted else { return };
        let own = self.person.account.as_ref().map(|account| account.user_id.clone());
        let items = wanted.reply.body["items"].as_array().filter(|_| wanted.reply.status == 200);
        if items.is_none_or(|items| items.iter().any(|item| item["user_id"].as_str() != own.as_deref())) {
            self.person.complain(&wanted, "not a page of one's own orders");
        }
    }

    async fn cancel(&mut self) {
        let Some(index) = self.some_order() else { return };
        let Some(order_id) = self.orders[index].order_id.clone() else { return };
        let request = Request::command(format!("/api/orders/{order_id}/cancel"));
        let Some(wanted) = self.person.ask(What::Cancel { order_id }, &request).await else { return };
        match wanted.reply.status {
            200 if wanted.reply.body["status"] == "CANCELLED" => self.take_note(index, &wanted),
            // Too late: it is as it is, and stays so.
            409 => {
                self.orders[index].too_late_to_cancel = true;
                self.look_at(index).await;
            }
            _ => self.person.complain(&wanted, "neither cancelled nor too late for it"),
        }
    }

    /// An order that this customer was told is placed.
    fn some_order(&mut self) -> Option<usize> {
        (!self.orders.is_empty()).then(|| self.person.rng.random_range(0..self.orders.len()))
    }

    fn take_note(&mut self, index: usize, wanted: &Wanted) {
        let found = self.orders[index].found(wanted.reply.status, &wanted.reply.body);
        if let Some(complaint) = found {
            self.person.complain(wanted, complaint);
        }
    }
}
