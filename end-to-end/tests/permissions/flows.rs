/// What the services do with files.
pub(crate) mod files;
/// What the services do with what is optional.
pub(crate) mod optional;

use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_sdk_dynamodb::types::AttributeValue;
use domain_events::{Event, Payload, Timestamp, payload};
use serde_json::json;
use uuid::Uuid;

use crate::{
    account::{self, Permission},
    client::{Answer, Client, eventually},
    cloud,
    uploads::{Album, File},
};

/// A token of a version of the secret that there never was. Whoever gets it looks into the secret, which might have been
/// rotated since it was read.
const TOKEN_OF_AN_UNKNOWN_VERSION: &str = "Bearer eyJhbGciOiJIUzI1NiIsImtpZCI6Im5ldmVyLW1hZGUifQ.e30.AA";

/// Who takes part.
pub(crate) struct Shop {
    admin: Client,
    customer: Client,
    /// Whose account is deleted, but whose token lives on for some minutes.
    gone: Client,
    product: String,
    /// The customer's refresh token.
    session: String,
}

/// Something that the shop does and for which it needs a permission.
#[derive(Clone, Copy)]
pub(crate) enum Flow {
    /// A request. Without the permission its answer is a 500, whose cause is logged.
    Answer(fn(&Shop) -> Answer),
    /// Something that follows from a request or message later. Without the permission the function logs why it can't go
    /// on, and when it has it again, it does.
    Consequence(fn(&Shop) -> Effect),
    /// The same, when Lambda needs the permission to read the queue or stream: the mapping says why it stands still.
    Reading(fn(&Shop) -> Effect),
    /// A file is sent to where the service said, which S3 asks the service's permission for.
    Upload(fn(&Shop) -> Album<'_>),
    /// A message that can't be understood comes back soon, and so ends in the dead-letter queue of its queue soon.
    Return(&'static str),
    /// A call leaves lines in the log.
    Log,
    /// The service finds out whether its secret was rotated.
    Secret(&'static str, &'static str),
    /// A rotation of the secret, which fails, and then this step of it. Only the last one finishes it: after a second
    /// rotation the tokens of before the first would be refused.
    Rotation(&'static str),
    /// What a function reads when it starts: without the permission a new environment says why it can't, whether it does
    /// without or ends.
    Start(fn(&Shop) -> Effect),
    /// The function, which is in the VPC of this deployment, is told to join it.
    Network,
}

/// What is to come about.
pub(crate) struct Effect {
    what: &'static str,
    there: Box<dyn FnMut() -> bool>,
}

impl Effect {
    fn new(what: &'static str, there: impl FnMut() -> bool + 'static) -> Self {
        Self { what, there: Box::new(there) }
    }

    /// Waits until it has come about.
    pub(crate) fn wait(mut self) {
        eventually(self.what, || (self.there)().then_some(()));
    }
}

impl Flow {
    /// Sees it fail for want of the permission and then work again. What takes long to do so is answered, so that others
    /// need not wait for it.
    pub(crate) fn fails_without(self, permission: &Permission, shop: &Shop) -> Option<Effect> {
        let (service, since) = (permission.service(), now());
        let refusal = format!("not authorized to perform: {} ", permission.action);
        let is_logged = |of: &str| {
            let lines = account::log(service, since);
            lines.iter().any(|line| line.contains(&refusal) && line.contains(of)).then_some(())
        };

        let withdrawn = permission.withdraw();
        match self {
            Self::Answer(send) => {
                let answer = send(shop);
                assert_eq!(answer.status, 500, "without {permission}: {answer:?}");
                eventually(&format!("the cause is logged: {refusal}"), || is_logged(request_id(&answer)));
                drop(withdrawn);
                let answer = send(shop);
                assert!((200..300).contains(&answer.status), "with {permission}: {answer:?}");
                None
            }
            Self::Consequence(start) => {
                let effect = start(shop);
                eventually(&format!("{service} logs {refusal:?}"), || is_logged(""));
                drop(withdrawn);
                effect.wait();
                None
            }
            Self::Reading(start) => {
                let effect = start(shop);
                let problem = format!("does not allow {} ", permission.action);
                eventually(&format!("the mapping of {} says {problem:?}", permission.resource), || {
                    let result = account::last_result_of_mapping(&permission.resource);
                    (result.starts_with("PROBLEM") && result.contains(&problem)).then_some(())
                });
                drop(withdrawn);
                effect.wait();
                None
            }
            Self::Upload(album) => {
                let (album, file) = (album(shop), File::png());
                let upload = album.ask(&file);
                let answer = upload.send(&file).expect(403).text();
                assert!(answer.contains(&refusal), "the cause is not {refusal:?}: {answer}");
                drop(withdrawn);
                upload.send(&file).expect(200);
                None
            }
            Self::Return(queue) => {
                // The message would come back at last, after minutes.
                let hurried = account::hurry(queue);
                let mark = Uuid::now_v7().to_string();
                let poison = format!(r#"{{"specversion":"1.0","type":"user_deleted","poison":"{mark}"}}"#);
                account::send_now(queue, &poison);
                eventually(&format!("{service} logs {refusal:?}"), || is_logged(""));
                drop((hurried, withdrawn));
                let dead_letters = format!("{queue}-dlq");
                Some(Effect::new("the message is in the dead-letter queue", move || {
                    cloud::receive_messages(&dead_letters).iter().any(|body| body.contains(&mark))
                }))
            }
            Self::Log => {
                let is_logged = |id: &str| account::log(service, since).iter().any(|line| line.contains(id));
                assert!(!is_logged(&call(service)), "without {permission}");
                drop(withdrawn);
                let id = call(service);
                eventually(&format!("{service} logs {id}"), || is_logged(&id).then_some(()));
                None
            }
            Self::Secret(method, path) => {
                let unchecked = move |status| {
                    let token = [("authorization", TOKEN_OF_AN_UNKNOWN_VERSION.to_owned())];
                    Client::default().send(method, path, &token, None).status == status
                };
                // The service looks at most once in ten seconds, and may have done so just now.
                eventually(&format!("a token can't be checked for want of {}", permission.action), || {
                    if unchecked(503) { is_logged("") } else { None }
                });
                drop(withdrawn);
                Some(Effect::new("the token can be checked", move || unchecked(401)))
            }
            Self::Rotation(step) => {
                let version = account::rotate_secret();
                eventually(&format!("{service} logs {refusal:?}"), || is_logged(&version));
                drop(withdrawn);
                cloud::invoke(service, &rotation_step(step, &permission.resource, &version)).unwrap();
                if step != "finishSecret" {
                    account::forget_rotation(&version);
                }
                None
            }
            Self::Start(begin) => {
                account::restart(service);
                let mut effect = begin(shop);
                // What can't start has no log on the local cloud; its last words are the answer to whoever calls it.
                let is_answered = || {
                    let error = cloud::invoke(service, &json!({})).err()?;
                    error.contains(&refusal).then_some(())
                };
                eventually(&format!("{service} says {refusal:?}"), || {
                    (effect.there)();
                    is_logged("").or_else(is_answered)
                });
                drop(withdrawn);
                effect.wait();
                None
            }
            Self::Network => {
                let refusal = account::rejoin_vpc(service).unwrap_err();
                let problem = format!("does not allow {} ", permission.action);
                assert!(refusal.contains(&problem), "the cause is not {problem:?}: {refusal}");
                drop(withdrawn);
                account::rejoin_vpc(service).unwrap();
                None
            }
        }
    }
}

/// Calls a service's function, in a way that changes nothing; answers what its log calls that.
fn call(service: &str) -> String {
    if service == "secret-rotation" {
        let invented = Uuid::now_v7().to_string();
        cloud::invoke(service, &rotation_step("setSecret", "another secret", &invented)).unwrap_err();
        return invented;
    }
    let path = format!("/api/{}s/health/live", service.trim_end_matches("-service"));
    request_id(&Client::default().get(&path)).to_owned()
}

/// What Secrets Manager sends to the function that rotates a secret.
fn rotation_step(step: &str, secret: &str, version: &str) -> serde_json::Value {
    json!({ "Step": step, "SecretId": secret, "ClientRequestToken": version })
}

/// What the function's log calls a request.
fn request_id(answer: &Answer) -> &str {
    answer.header("x-request-id").unwrap_or_else(|| panic!("no id: {answer:?}"))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

impl Shop {
    /// Makes what the flows start from.
    pub(crate) fn open() -> Self {
        let (admin, gone) = (Client::admin(), Client::customer());
        delete(&gone).expect(204);
        account_is_forgotten(&gone).wait();
        let customer = Client::customer();
        let credentials = json!({ "email": customer.email, "password": crate::client::PASSWORD });
        let answer = customer.post("/api/users/login", &credentials).expect(200);
        let session = answer["refresh_token"].as_str().unwrap().to_owned();
        Self { product: admin.new_product(1_000), customer, session, admin, gone }
    }

    fn place(&self, customer: &Client) -> String {
        // A product that nobody has ordered before has to be looked up.
        customer.order(&self.admin.new_product(1), 1)
    }
}

// Accounts

pub(crate) fn register(_: &Shop) -> Answer {
    let email = format!("{}@shop.example", Uuid::now_v7());
    let body = json!({ "email": email, "password": crate::client::PASSWORD, "name": "Grace Hopper" });
    Client::default().post("/api/users", &body)
}

/// A session goes on, for which its token can be used once.
pub(crate) fn refresh(shop: &Shop) -> Answer {
    Client::default().post("/api/users/token/refresh", &json!({ "refresh_token": shop.session }))
}

pub(crate) fn read_account(shop: &Shop) -> Answer {
    shop.customer.get("/api/users/me")
}

pub(crate) fn rename(shop: &Shop) -> Answer {
    // Another one each time: the same name again would not be written.
    let name = Uuid::now_v7().to_string();
    shop.customer.send("PATCH", "/api/users/me", &[], Some(&json!({ "name": name })))
}

pub(crate) fn delete_account(_: &Shop) -> Answer {
    delete(&Client::customer())
}

fn delete(customer: &Client) -> Answer {
    customer.send("DELETE", "/api/users/me", &[], None)
}

pub(crate) fn find_account(shop: &Shop) -> Answer {
    shop.admin.get(&format!("/api/users?email={}", shop.customer.email))
}

pub(crate) fn list_accounts(shop: &Shop) -> Answer {
    shop.admin.get("/api/users")
}

/// The orders of somebody who is gone are told.
pub(crate) fn deletion_is_heard(_: &Shop) -> Effect {
    let customer = Client::customer();
    delete(&customer).expect(204);
    account_is_forgotten(&customer)
}

fn account_is_forgotten(customer: &Client) -> Effect {
    let tombstone = format!("deleted-user#{}", customer.user_id);
    Effect::new("the orders know that the account is deleted", move || account::orders_have(&tombstone))
}

// Products

pub(crate) fn create_product(shop: &Shop) -> Answer {
    let price = json!({ "amount": 4200, "currency": "EUR" });
    let body = json!({ "name": "Slide rule", "category": "instruments", "stock": 1, "price": price });
    shop.admin.post("/api/products", &body)
}

/// Whose product is looked at in the table itself: to read one, the cache may be enough.
pub(crate) fn ask_for_image(shop: &Shop) -> Answer {
    Album::Product(&shop.admin, &shop.product).try_asking(&File::png())
}

pub(crate) fn change_product(shop: &Shop) -> Answer {
    let body = json!({ "description": "For all who calculate" });
    shop.admin.send("PATCH", &format!("/api/products/{}", shop.product), &[], Some(&body))
}

pub(crate) fn delete_product(shop: &Shop) -> Answer {
    let path = format!("/api/products/{}", shop.admin.new_product(0));
    shop.admin.send("DELETE", &path, &[], None)
}

pub(crate) fn list_products(shop: &Shop) -> Answer {
    shop.customer.get(&format!("/api/products?limit={}", odd_limit()))
}

pub(crate) fn list_category(shop: &Shop) -> Answer {
    shop.customer.get(&format!("/api/products?category=instruments&limit={}", odd_limit()))
}

/// The length of a page that nobody has asked for: others are in the cache.
fn odd_limit() -> u128 {
    21 + Uuid::now_v7().as_u128() % 80
}

// Orders

pub(crate) fn place_order(shop: &Shop) -> Answer {
    shop.customer.place(&Uuid::now_v7().to_string(), &shop.product, 1)
}

pub(crate) fn read_order(shop: &Shop) -> Answer {
    let order = shop.place(&shop.customer);
    shop.customer.get(&format!("/api/orders/{order}"))
}

pub(crate) fn cancel_order(shop: &Shop) -> Answer {
    let order = shop.place(&shop.customer);
    shop.customer.post(&format!("/api/orders/{order}/cancel"), &json!({}))
}

pub(crate) fn list_orders(shop: &Shop) -> Answer {
    shop.customer.get("/api/orders")
}

/// An order gets its stock.
pub(crate) fn order_is_confirmed(shop: &Shop) -> Effect {
    has_status("CONFIRMED", &shop.customer, shop.place(&shop.customer))
}

/// The order of somebody who was gone when they placed it ends at its deadline.
pub(crate) fn deadline_passes(shop: &Shop) -> Effect {
    let order = shop.place(&shop.gone);
    let now = Timestamp::now();
    let event = Event {
        id: Uuid::now_v7().to_string(),
        source: "/order-service".to_owned(),
        subject: order.clone(),
        time: now,
        traceparent: None,
        payload: Payload::OrderPlaced(payload::Order {
            order_id: order.parse().unwrap(),
            user_id: shop.gone.user_id.parse().unwrap(),
            items: Vec::new(),
            total: None,
            reason: None,
            version: 1,
            created_at: now,
        }),
    };
    account::send_now("order-deadlines", &event.to_json().unwrap());
    has_status("CANCELLED", &shop.admin, order)
}

fn has_status(status: &'static str, reader: &Client, order: String) -> Effect {
    let (reader, path) = (reader.clone(), format!("/api/orders/{order}"));
    Effect::new(status, move || reader.get(&path).expect(200)["status"] == status)
}

// Rows that can't become events

pub(crate) fn odd_user_is_set_aside(_: &Shop) -> Effect {
    set_aside("users", "user_id", "email")
}

pub(crate) fn odd_product_is_set_aside(_: &Shop) -> Effect {
    set_aside("products", "product_id", "name")
}

pub(crate) fn odd_order_is_set_aside(_: &Shop) -> Effect {
    set_aside("orders", "order_id", "status")
}

/// Writes a row that has nothing but its key and the attribute by which its kind is known.
fn set_aside(table: &'static str, key: &str, mark: &str) -> Effect {
    let id = Uuid::now_v7().to_string();
    let row = [(key, id.as_str()), (mark, "odd")];
    let row = row.map(|(name, text)| (name.to_owned(), AttributeValue::S(text.to_owned())));
    cloud::put_row(table, HashMap::from(row));
    Effect::new("the row is in the stream's dead-letter queue", move || {
        cloud::receive_messages(&format!("{table}-stream-dlq")).iter().any(|record| record.contains(&id))
    })
}
