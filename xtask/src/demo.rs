use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    cloud::{Cloud, State},
    listener::Listener,
    processes::eventually,
    seed::{ADMIN, random_password},
    shop::{Answer, Shop, text},
};

/// What the customer looks like.
const AVATAR: Picture =
    Picture { content_type: "image/webp", bytes: include_bytes!("../../end-to-end/samples/picture.webp") };
/// What a product looks like.
const IMAGE: Picture =
    Picture { content_type: "image/png", bytes: include_bytes!("../../end-to-end/samples/picture.png") };
/// Images that a product shows at most.
const MOST_IMAGES: usize = 10;

/// An order is confirmed within this time, or the story does not hold.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(2);
const DEADLINE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(10);
/// The most units that one line of an order may have.
const MOST_UNITS: u64 = 1000;
/// Characters of an answer that are shown.
const SHOWN: usize = 400;

/// Tells the story of an order: placed, confirmed, cancelled; and of one that can't be supplied. Before that, of two
/// pictures.
pub(crate) fn run() -> Result<()> {
    let cloud = Cloud::running().context("the shop is not running: start it with `cargo xtask up`")?;
    let outputs = cloud.outputs()?;
    let shop = cloud.shop(&outputs)?;
    let listener = Listener::start(cloud.aws(), &outputs)?;
    let state = State::load().context("the local cloud's password is lost: restart `cargo xtask up`")?;
    let admin = shop.log_in(ADMIN, &state.admin_password)?;
    let mut story = Story { shop, listener, token: None, admin, chapter: 0 };
    story.tell().context("the story does not hold")
}

struct Story {
    shop: Shop,
    listener: Listener,
    /// Access token of the customer, once logged in.
    token: Option<String>,
    /// Access token of the administrator.
    admin: String,
    chapter: u32,
}

struct Picture {
    content_type: &'static str,
    bytes: &'static [u8],
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

        self.chapter("shows what they look like");
        self.upload("/api/users/me/avatar", &AVATAR)?;
        self.events(&[("user_updated", text(&user, "user_id")?)])?;
        let me = self.ask("GET", "/api/users/me", &[], None)?.expect(200)?;
        println!("     {}", text(&me["avatar"], "url")?);

        self.chapter("looks at what there is");
        let products = self.ask("GET", "/api/products", &[], None)?.expect(200)?;
        let product = best_stocked(&products)?;
        let bare = self.barest(&products)?;
        let name = text(product, "name")?;
        let product_id = text(product, "product_id")?;
        let stock = product["stock"].as_u64().context("a product without stock")?;
        ensure!(
            (2..MOST_UNITS).contains(&stock),
            "the story needs a product with 2 to {} units; {name} has {stock}: restart `cargo xtask up`",
            MOST_UNITS - 1
        );

        self.chapter(&format!("An administrator shows what \"{}\" looks like", text(&bare, "name")?));
        let customer = self.token.replace(self.admin.clone());
        let path = format!("/api/products/{}", text(&bare, "product_id")?);
        self.upload(&format!("{path}/images"), &IMAGE)?;
        self.events(&[("product_updated", text(&bare, "product_id")?)])?;
        self.token = customer;
        let product_with_image = self.ask("GET", &path, &[], None)?.expect(200)?;
        let images = product_with_image["images"].as_array().context("a product without images")?;
        println!("     {}", text(images.last().context("the image is not there")?, "url")?);

        self.chapter(&format!("The customer orders two of \"{name}\""));
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

    /// Asks for an upload, sends the file, and waits until it was looked at and attached.
    fn upload(&self, path: &str, picture: &Picture) -> Result<()> {
        let Picture { content_type, bytes } = picture;
        let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let wish = json!({ "content_type": content_type, "size": bytes.len(), "sha256": sha256 });
        let upload = self.ask("POST", path, &[], Some(&wish))?;
        let location = upload.location.clone().context("an upload without a location")?;
        let upload = upload.expect(201)?;
        println!("  -> PUT …  {} bytes of {content_type}", bytes.len());
        let status = self.shop.upload(&upload, bytes)?;
        println!("  <- {status}");
        ensure!(status == 200, "the bucket did not take the file");
        self.await_status(&location, "attached")?;
        self.ask("GET", &location, &[], None)?.expect(200).map(drop)
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

    /// Waits until something is no longer pending, and is what it should be then.
    fn await_status(&self, path: &str, wanted: &str) -> Result<()> {
        eventually(&format!("{path} is {wanted}"), DEADLINE, POLL, || {
            let answer = self.send("GET", path, &[], None)?.expect(200)?;
            match text(&answer, "status")? {
                status if status == wanted => Ok(Some(())),
                "PENDING" | "pending" => Ok(None),
                other => bail!("{path} is {other}, not {wanted}"),
            }
        })
    }

    /// The product with the fewest images, of which a list does not show all.
    fn barest(&self, products: &Value) -> Result<Value> {
        let mut barest = None;
        for listed in products["items"].as_array().context("a list without items")? {
            let path = format!("/api/products/{}", text(listed, "product_id")?);
            let product = self.send("GET", &path, &[], None)?.expect(200)?;
            let images = product["images"].as_array().context("a product without images")?.len();
            if barest.as_ref().is_none_or(|(fewest, _)| images < *fewest) {
                barest = Some((images, product));
            }
        }
        let (images, product) = barest.context("the shop is empty")?;
        ensure!(images < MOST_IMAGES, "the products have all the images they may: restart `cargo xtask up`");
        Ok(product)
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
    let fields = ["password", "access_token", "refresh_token", "url"];
    let secrets = fields.into_iter().filter_map(|field| body[field].as_str());
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
        let body = json!({ "access_token": "ey.secret", "expires_in": 900, "refresh_token": "long" });
        let expected = r#"{"access_token":"…","expires_in":900,"refresh_token":"…"}"#;
        assert_eq!(shown(&body, &body.to_string()), expected);
    }

    #[test]
    fn long_bodies_are_cut_between_characters() {
        let text = shown(&Value::Null, &"é".repeat(1000));
        assert_eq!(text.chars().count(), SHOWN + 1);
    }
}
