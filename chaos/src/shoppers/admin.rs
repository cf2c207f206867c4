use std::{sync::Arc, time::Duration};

use access_token::Role;
use rand::RngExt;
use serde_json::json;
use tokio::time::Instant;

use super::{
    client::{IDEMPOTENCY_KEY, Request},
    market::{Market, Offer},
    person::{DOUBLE_CLICKS, Person},
    report::Report,
};
use crate::journal::What;

/// The longest that an admin thinks between two things.
const THINKING: Duration = Duration::from_millis(400);

/// What is on offer from the start: a few products that everybody wants, and little of them.
const FIRST_HOT: usize = 4;
const FIRST_OTHERS: usize = 16;

/// Products beyond which no more are made, and those that stay.
const MOST_OFFERS: usize = 60;
const FEWEST_OFFERS: usize = 15;

/// The lists that products are in.
const CATEGORIES: [&str; 2] = ["Favourites", "Shelf"];

/// Somebody who runs the shop.
pub(super) struct Admin {
    person: Person,
    market: Arc<Market>,
    skewed_tokens: bool,
    /// The last change of a stock that was made, to be asked for once more.
    last_change: Option<StockChange>,
}

#[derive(Clone)]
struct StockChange {
    product_id: String,
    change: i64,
    key: String,
}

impl Admin {
    pub(super) fn new(person: Person, market: &Arc<Market>, skewed_tokens: bool) -> Self {
        Self { person, market: Arc::clone(market), skewed_tokens, last_change: None }
    }

    /// Runs the shop until then.
    pub(super) async fn run(mut self, until: Instant) {
        while self.person.account.is_none() && Instant::now() < until {
            self.person.become_somebody(Role::Admin).await;
        }
        while self.market.offers() < FIRST_HOT + FIRST_OTHERS && Instant::now() < until {
            self.create_product(self.market.offers() < FIRST_HOT).await;
        }
        while Instant::now() < until {
            self.person.think(THINKING).await;
            match self.person.rng.random_range(0..100) {
                0..45 => self.see_to_an_order().await,
                45..68 => self.change_stock().await,
                68..73 => self.change_stock_again().await,
                73..77 => self.edit_product().await,
                77..79 if self.market.offers() > FEWEST_OFFERS => self.delete_product().await,
                79..85 if self.market.offers() < MOST_OFFERS => self.create_product(false).await,
                85..88 => {
                    self.person.renew().await;
                }
                88..91 if self.skewed_tokens => self.person.skew(Role::Admin),
                91..96 => self.read_report().await,
                _ => self.see_to_an_order().await,
            }
        }
    }

    async fn create_product(&mut self, hot: bool) {
        let rng = &mut self.person.rng;
        let (name, category, stock) = if hot {
            ("Slide rule", CATEGORIES[0], rng.random_range(5..25))
        } else {
            ("Coffee mug", CATEGORIES[1], rng.random_range(100..1000))
        };
        let price = json!({ "amount": rng.random_range(100..10_000), "currency": "EUR" });
        let body = json!({ "name": name, "category": category, "price": price, "stock": stock });
        let wanted =
            self.person.ask(What::CreateProduct { stock }, &Request::post("/api/products", body)).await;
        let Some(wanted) = wanted else { return };
        match wanted.reply.text("product_id") {
            Some(product_id) if wanted.reply.status == 201 && wanted.reply.body["stock"] == stock => {
                self.market.offer(Offer { product_id, hot });
            }
            _ => self.person.complain(&wanted, "not the product that was asked for"),
        }
    }

    /// Gives a product another name, and now and then another list to be in.
    async fn edit_product(&mut self) {
        let Some(Offer { product_id, .. }) = self.market.pick(&mut self.person.rng) else { return };
        let rng = &mut self.person.rng;
        let mut body = json!({ "name": format!("Coffee mug no. {}", rng.random_range(1..1000)) });
        if rng.random_bool(0.5) {
            body["category"] = CATEGORIES[rng.random_range(0..CATEGORIES.len())].into();
        }
        let request = Request::patch(format!("/api/products/{product_id}"), body);
        let what = What::EditProduct { product_id: product_id.clone() };
        let Some(wanted) = self.person.ask(what, &request).await else { return };
        let is_so = wanted.reply.body["product_id"] == product_id;
        match wanted.reply.status {
            200 if is_so => self.look_at(&product_id).await,
            404 if self.market.is_withdrawn(&product_id) => {}
            _ => self.person.complain(&wanted, "not the product as it was to be"),
        }
    }

    /// Takes a product out of the shop for good.
    async fn delete_product(&mut self) {
        let Some(Offer { product_id, hot: false }) = self.market.pick(&mut self.person.rng) else { return };
        self.market.withdraw(&product_id);
        let request = Request::delete(format!("/api/products/{product_id}"));
        let what = What::DeleteProduct { product_id: product_id.clone() };
        let Some(wanted) = self.person.ask(what, &request).await else { return };
        match wanted.reply.status {
            204 => self.look_at(&product_id).await,
            // An earlier try had done it.
            404 if self.person.was_unknown(&wanted) => {}
            _ => self.person.complain(&wanted, "the product is not deleted"),
        }
    }

    /// Somebody looks at what has just been changed.
    async fn look_at(&mut self, product_id: &str) {
        let what = What::ReadProduct { product_id: product_id.to_owned() };
        let request = Request::get(format!("/api/products/{product_id}"));
        let Some(wanted) = self.person.ask_openly(what, request).await else { return };
        match wanted.reply.status {
            200 if wanted.reply.body["product_id"] == product_id => {}
            404 if self.market.is_withdrawn(product_id) => {}
            _ => self.person.complain(&wanted, "not the product as it is"),
        }
    }

    async fn change_stock(&mut self) {
        let Some(Offer { product_id, hot }) = self.market.pick(&mut self.person.rng) else { return };
        let (most, share_of_losses) = if hot { (12, 0.25) } else { (40, 0.5) };
        let units = self.person.rng.random_range(1..=most);
        let change = if self.person.rng.random_bool(share_of_losses) { -units } else { units };
        let key = self.person.new_id().to_string();
        self.submit(StockChange { product_id, change, key }).await;
    }

    /// The change that was answered is asked for once more: it is the same change.
    async fn change_stock_again(&mut self) {
        if let Some(change) = self.last_change.clone() {
            self.submit(change).await;
        }
    }

    async fn submit(&mut self, wish: StockChange) {
        let StockChange { product_id, change, key } = wish.clone();
        let path = format!("/api/products/{product_id}/stock");
        let request = Request::post(path, json!({ "change": change })).with(IDEMPOTENCY_KEY, &key);
        let what = What::ChangeStock { product_id: product_id.clone(), change, key };
        let answers = if self.person.rng.random_bool(DOUBLE_CLICKS) {
            self.person.ask_twice(what, &request).await
        } else {
            [self.person.ask(what, &request).await, None]
        };
        for wanted in answers.into_iter().flatten() {
            match wanted.reply.status {
                200 if wanted.reply.body["product_id"] == product_id => {
                    self.last_change = Some(wish.clone());
                    self.look_at(&product_id).await;
                }
                409 if change < 0 => {}
                404 if self.market.is_withdrawn(&product_id) => {}
                _ => self.person.complain(&wanted, "neither changed nor too little in stock"),
            }
        }
    }

    async fn read_report(&mut self) {
        let customer = self.person.account.as_ref().map(|account| account.user_id.clone());
        let report = Report::any(&mut self.person.rng, customer.as_deref());
        let what = What::ReadReport { path: report.path.clone() };
        let Some(wanted) = self.person.ask(what, &report.request()).await else { return };
        if let Some(complaint) = report.complaint(&wanted.reply) {
            self.person.complain(&wanted, complaint);
        }
    }

    /// Ships, delivers or cancels an order, mostly after a look at it.
    async fn see_to_an_order(&mut self) {
        let Some(order_id) = self.market.order(&mut self.person.rng) else { return };
        if self.person.rng.random_bool(0.2) {
            return self.command(order_id, "ship").await;
        }
        let request = Request::get(format!("/api/orders/{order_id}"));
        let what = What::ReadOrder { order_id: order_id.clone() };
        let Some(wanted) = self.person.ask(what, &request).await else { return };
        if wanted.reply.status != 200 {
            return self.person.complain(&wanted, "an order that was placed can't be read");
        }
        match wanted.reply.body["status"].as_str() {
            Some("PENDING") => {}
            Some("CONFIRMED") if self.person.rng.random_bool(0.15) => self.command(order_id, "cancel").await,
            Some("CONFIRMED") => self.command(order_id, "ship").await,
            Some("SHIPPED") => self.command(order_id, "deliver").await,
            _ => self.market.settled(&order_id),
        }
    }

    async fn command(&mut self, order_id: String, verb: &str) {
        let request = Request::command(format!("/api/orders/{order_id}/{verb}"));
        let (what, becomes) = match verb {
            "ship" => (What::Ship { order_id }, "SHIPPED"),
            "deliver" => (What::Deliver { order_id }, "DELIVERED"),
            _ => (What::Cancel { order_id }, "CANCELLED"),
        };
        let Some(wanted) = self.person.ask(what, &request).await else { return };
        match wanted.reply.status {
            200 if wanted.reply.body["status"] == becomes => {}
            // Somebody else was faster.
            409 => {}
            _ => self.person.complain(&wanted, "neither done nor too late for it"),
        }
    }
}
