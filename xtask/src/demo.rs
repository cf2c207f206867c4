use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{
    cloud::Cloud,
    listener::Listener,
    processes::eventually,
    seed::random_password,
    shop::{Answer, Shop, text},
};

/// An order is confirmed within this time, or the story does not hold.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(2);
const DEADLINE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(10);
/// The most units that one line of an order may have.
const MOST_UNITS: u64 = 1000;
/// Characters of an answer that are shown.
const SHOWN: usize = 400;

/// Tells the story of an order: placed, confirmed, cancelled; and of one that can't be supplied.
pub(crate) fn run() -> Result<()> {
    let cloud = Cloud::running().context("the shop is not running: start it with `cargo xtask up`")?;
    let outputs = cloud.outputs()?;
    let shop = cloud.shop(&outputs)?;
    let listener = Listener::start(cloud.aws(), &outputs)?;
    let mut story = Story { shop, listener, token: None, chapter: 0 };
    story.tell().context("the story does not hold")
}

struct Story {
    shop: Shop,
    listener: Listener,
    /// Access token of the customer, once logged in.
    token: Option<String>,
    chapter: u32,
}

impl Story {
    fn tell(&mut self) -> Result<()> {
        let secret = random_password()?;
        let email = format!("{secret}@customer.example");
        let password = random_password()?;

        self.chapter("A customer registers");
        let registration = json!({ "email": email, "password": password, "name": "Ada Customer" });
        let user = self.ask("POST", "/api/users", &[], Some(&registration))?.expect(201)?;
        self.events(&[("user_created", text(&user, "user_id")?)])?;

        self.chapter("logs in");
        let credentials = json!({ "email": email, "password": password });
        let login = self.ask("POST", "/api/users/login", &[], Some(&credentials))?.expect(200)?;
        self.token = Some(text(&login, "access_token")?.to_owned());

        self.chapter("looks at what there is");
        let products = self.ask("GET", "/api/products", &[], None)?.expect(200)?;
        let product = best_stocked(&products)?;
        let name = text(product, "name")?;
        let product_id = text(product, "product_id")?;
        let stock = product["stock"].as_u64().context("a product without stock")?;
        ensure!(
            (2..MOST_UNITS).contains(&stock),
            "the story needs a product with 2 to {} units; {name} has {stock}: restart `cargo xtask up`",
            MOST_UNITS - 1
        );

        self.chapter(&format!("orders two of \"{name}\""));
        let placed_at = Instant::now();
        let order = self.order(product_id, 2)?;
        let order_id = text(&order, "order_id")?;
        let order_path = format!("/api/orders/{order_id}");
        self.await_status(&order_path, "CONFIRMED")?;
        let confirmed_after = placed_at.elapsed();
        println!("     CONFIRMED {} ms after the order was sent", confirmed_after.as_millis());
        self.events(&[
            ("order_placed", order_id),
            ("stock_reserved", order_id),
            ("product_updated", product_id),
            ("order_confirmed", order_id),
        ])?;
        let confirmed = self.ask("GET", &order_path, &[], None)?.expect(200)?;
        ensure!(confirmed["total"]["amount"].is_i64(), "a confirmed order has a total");
        self.expect_stock(product_id, stock - 2)?;

        self.chapter(&format!("orders {} more, which is one too many", stock - 1));
        let too_many = self.order(product_id, stock - 1)?;
        let too_many_id = text(&too_many, "order_id")?;
        let too_many_path = format!("/api/orders/{too_many_id}");
        self.await_status(&too_many_path, "REJECTED")?;
        self.events(&[
            ("order_placed", too_many_id),
            ("stock_rejected", too_many_id),
            ("order_rejected", too_many_id),
        ])?;
        self.ask("GET", &too_many_path, &[], None)?.expect(200)?;
        self.expect_stock(product_id, stock - 2)?;

        self.chapter("cancels the first order, which gives the stock back");
        self.ask("POST", &format!("{order_path}/cancel"), &[], None)?.expect(200)?;
        self.events(&[
            ("order_cancelled", order_id),
            ("stock_released", order_id),
            ("product_updated", product_id),
        ])?;
        self.expect_stock(product_id, stock)?;

        println!(
            "\nThe story holds: confirmed in {} ms, one rejected, {stock} in stock as before.",
            confirmed_after.as_millis()
        );
        ensure!(
            confirmed_after <= CONFIRMED_WITHIN,
            "but the confirmation took longer than {} s",
            CONFIRMED_WITHIN.as_secs()
        );
        Ok(())
    }

    fn chapter(&mut self, title: &str) {
        self.chapter += 1;
        println!("\n{}. {title}", self.chapter);
    }

    fn order(&self, product_id: &str, quantity: u64) -> Result<Value> {
        let body = json!({ "items": [{ "product_id": product_id, "quantity": quantity }] });
        let key = random_password()?;
        self.ask("POST", "/api/orders", &[("idempotency-key", &key)], Some(&body))?.expect(201)
    }

    /// Sends a request and shows it with its answer.
    fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer> {
        let shown_body = body.map(|body| shown(body, &body.to_string())).unwrap_or_default();
        println!("  -> {method} {path}  {shown_body}");
        let answer = self.send(method, path, headers, body)?;
        println!("  <- {}  {}", answer.status, shown(&answer.body, &answer.text));
        Ok(answer)
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer> {
        let authorization = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let mut headers = headers.to_vec();
        headers.extend(authorization.iter().map(|value| ("authorization", value.as_str())));
        self.shop.send(method, path, &headers, body)
    }

    /// Shows the events that a request caused, once all of them were heard.
    fn events(&self, expected: &[(&str, &str)]) -> Result<()> {
        self.listener.hear(expected, |event| {
            println!("  ~~ {:<16} {}  said {}", event.event_type, event.subject, event.source);
        })
    }

    fn await_status(&self, path: &str, wanted: &str) -> Result<()> {
        eventually(&format!("{path} is {wanted}"), DEADLINE, POLL, || {
            let order = self.send("GET", path, &[], None)?.expect(200)?;
            match text(&order, "status")? {
                status if status == wanted => Ok(Some(())),
                "PENDING" => Ok(None),
                other => bail!("the order is {other}, not {wanted}"),
            }
        })
    }

    fn expect_stock(&self, product_id: &str, wanted: u64) -> Result<()> {
        let product = self.send("GET", &format!("/api/products/{product_id}"), &[], None)?.expect(200)?;
        ensure!(product["stock"] == wanted, "the stock is {}, not {wanted}", product["stock"]);
        println!("     {wanted} in stock");
        Ok(())
    }
}

fn best_stocked(products: &Value) -> Result<&Value> {
    let items = products["items"].as_array().context("a list without items")?;
    items.iter().max_by_key(|product| product["stock"].as_u64()).context("the shop is empty")
}

/// A body as the story shows it: without what opens doors, and short.
fn shown(body: &Value, text: &str) -> String {
    let secrets = ["password", "access_token"].into_iter().filter_map(|field| body[field].as_str());
    let text = secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "…"));
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let body = json!({ "access_token": "ey.secret", "expires_in": 900 });
        assert_eq!(shown(&body, &body.to_string()), r#"{"access_token":"…","expires_in":900}"#);
    }

    #[test]
    fn long_bodies_are_cut_between_characters() {
        let text = shown(&Value::Null, &"é".repeat(1000));
        assert_eq!(text.chars().count(), SHOWN + 1);
    }
}
