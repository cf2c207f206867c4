//! The doors of the services, with the cloud behind them that they know.
//!
//! An input is an event; what is no JSON, Lambda would not hand over. In place of what nobody can know beforehand stand
//! the words of the samples: `ACCESS_TOKEN`, `ADMIN_TOKEN`, `REFRESH_TOKEN` and `API_KEY`, and the ids of the samples'
//! user, product and uploads.

/// What an answer has to be.
mod answers;

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use access_token::{AccessTokens, Role};
use domain_events::Clock;
use dynamodb_store::Table;
use image_uploads::{ImageUploads, Kind};
use lambda_dispatch::{Dispatcher, HandlerError, Outbox, Service, Trigger};
use lambda_runtime::Context;
use order_service::OrderService;
use product_service::{IMAGES, ProductService};
use serde_json::{Value, value::RawValue};
use service_config::{ApiSecret, SecretCache, Version, Versions};
use test_support::{TestTable, door, samples};
use user_service::{AVATARS, UserService};
use uuid::Uuid;

use self::answers::{Batch, check_answer, check_messages, check_records};
use crate::{cloud::Cloud, run::block_on};

const API_KEY: &str = "the key of the first admin";
pub(crate) const JWT_SECRET: &str = "a signing secret of more than 32 bytes";
const PRODUCT_BUCKET: &str = "dev-product-images-123456789012";
const AVATAR_BUCKET: &str = "dev-user-avatars-000000000000";
/// Whom the samples are about.
const USER: &str = "01a203e8-5c00-7a1b-9c3d-4e5f60718293";
const AVATAR: &str = "01a203e9-1a00-7d4b-8c2f-3a5e7b9d1f22";
const PRODUCT: &str = "019ab0c4-5f00-7c3a-9b1e-2f4d6a8c0e11";
const IMAGE: &str = "019ab0c5-1a00-7d4b-8c2f-3a5e7b9d1f22";
pub(crate) const CUSTOMER: &str = "0198b2c4-7d1e-7a3b-9c55-0d2f6a1b8e01";

/// As many inputs meet the same tables, so that they find what others left, and not for so long that tokens expire.
const INPUTS_PER_SHOP: usize = 2_000;
const AGE_OF_A_SHOP: Duration = Duration::from_secs(600);

/// Any event at the door of user-service.
pub fn user_service(input: &[u8]) {
    thread_local!(static SHOP: RefCell<Option<Shop<UserService>>> = const { RefCell::new(None) });
    SHOP.with_borrow_mut(|shop| Shop::check(shop, open_users, input));
}

/// Any event at the door of product-service.
pub fn product_service(input: &[u8]) {
    thread_local!(static SHOP: RefCell<Option<Shop<ProductService>>> = const { RefCell::new(None) });
    SHOP.with_borrow_mut(|shop| Shop::check(shop, open_products, input));
}

/// Any event at the door of order-service.
pub fn order_service(input: &[u8]) {
    thread_local!(static SHOP: RefCell<Option<Shop<OrderService>>> = const { RefCell::new(None) });
    SHOP.with_borrow_mut(|shop| Shop::check(shop, open_orders, input));
}

/// A service in its cloud, and what it is about.
pub(crate) struct Shop<S> {
    dispatcher: Dispatcher<S>,
    cloud: Cloud,
    tokens: AccessTokens,
    /// What stands in samples for what came about here.
    words: Vec<(&'static str, String)>,
    opened: Instant,
    inputs: usize,
}

impl<S: Service> Shop<S> {
    /// Checks an input, in a shop that is not too old.
    fn check(shop: &mut Option<Self>, open: fn() -> Self, input: &[u8]) {
        let shop = Self::recent(shop, open);
        let Ok(text) = std::str::from_utf8(input) else { return };
        let text = shop.words.iter().fold(text.to_owned(), |text, (word, real)| text.replace(word, real));
        // Whatever else comes, the runtime refuses.
        let Ok(event) = RawValue::from_string(text) else { return };
        match Trigger::of(&event) {
            Ok(Trigger::Http(source)) => {
                let answer = shop.handle(&event).expect("no request fails an invocation");
                check_answer(source, &answer);
            }
            Ok(Trigger::Sqs) => {
                let batch = Batch::with_a_good_message(&event, S::NAME);
                check_messages(&batch, shop.handle(batch.event()));
            }
            Ok(Trigger::DynamoDbStream) => {
                let batch = Batch::with_a_good_record(&event);
                check_records(&batch, shop.handle(batch.event()));
            }
            Ok(Trigger::Task) | Err(_) => {
                assert!(shop.handle(&event).is_err(), "what nobody asked for is done")
            }
        }
    }

    pub(crate) fn recent(shop: &mut Option<Self>, open: fn() -> Self) -> &mut Self {
        shop.take_if(|shop| shop.inputs == INPUTS_PER_SHOP || shop.opened.elapsed() > AGE_OF_A_SHOP);
        let shop = shop.get_or_insert_with(open);
        shop.inputs += 1;
        shop
    }

    /// One invocation.
    fn handle(&self, event: &RawValue) -> Result<Box<RawValue>, HandlerError> {
        block_on(self.dispatcher.handle(event.to_owned(), Context::default()))
    }

    /// Answers a request that the service is known to accept.
    pub(crate) fn send(&self, request: &door::HttpEvent) -> door::HttpAnswer {
        let event = RawValue::from_string(request.build()).expect("an event is JSON");
        door::HttpAnswer::parse(self.handle(&event).expect("no request fails an invocation").get())
    }

    fn new(service: S, cloud: Cloud, secret: SecretCache<ApiSecret>) -> Self {
        let outbox = Outbox::new(
            &cloud.sdk_config(),
            "arn:aws:sns:us-east-1:123456789012:dev-events".to_owned(),
            "http://cloud.invalid/123456789012/dev-stream-dlq".to_owned(),
        );
        Self {
            dispatcher: Dispatcher::new(service, outbox, "dev"),
            cloud,
            tokens: AccessTokens::new(secret),
            words: vec![("API_KEY", API_KEY.to_owned())],
            opened: Instant::now(),
            inputs: 0,
        }
    }

    fn knows(&mut self, word: &'static str, real: impl Into<String>) {
        self.words.push((word, real.into()));
    }

    pub(crate) fn token(&self, user_id: Uuid, role: Role) -> String {
        self.tokens.issue(user_id, role).expect("a token").token
    }

    /// Hands over a sample; answers the body.
    fn tell(&self, service: &str, sample: &str) -> Value {
        let text = samples(service)[sample].clone();
        let text = self.words.iter().fold(text, |text, (word, real)| text.replace(word, real));
        let event = RawValue::from_string(text).expect("a sample is JSON");
        let answer = self.handle(&event).expect("a sample is handled");
        let answer: Value = serde_json::from_str(answer.get()).expect("an answer is JSON");
        serde_json::from_str(answer["body"].as_str().unwrap_or("null")).expect("a body is JSON")
    }
}

/// A shop where the samples' user is registered, has a session, and has asked for an avatar.
fn open_users() -> Shop<UserService> {
    let (cloud, table, secret) = (Cloud::default(), TestTable::users(), secret());
    let (table, images) = store(&cloud, &table, AVATARS, AVATAR_BUCKET);
    let service = UserService::new(table, images, secret.clone(), Clock::default());
    let mut shop = Shop::new(service, cloud, secret);
    let user = text(&shop.tell("user-service", "register"), "user_id");
    shop.knows(USER, user.clone());
    shop.knows("ADMIN_TOKEN", shop.token(user.parse().expect("an id"), Role::Admin));
    let session = shop.tell("user-service", "login");
    shop.knows("ACCESS_TOKEN", text(&session, "access_token"));
    shop.knows("REFRESH_TOKEN", text(&session, "refresh_token"));
    let upload = text(&shop.tell("user-service", "upload-avatar"), "upload_id");
    shop.cloud.put(AVATAR_BUCKET, &format!("avatars/{user}/{upload}"), "image/png", &[0; 48_213]);
    shop.knows(AVATAR, upload);
    shop
}

/// A shop with one product, of which there is enough.
fn open_products() -> Shop<ProductService> {
    let (cloud, table, secret) = (Cloud::default(), TestTable::products(), secret());
    let (table, images) = store(&cloud, &table, IMAGES, PRODUCT_BUCKET);
    let service = ProductService::new(table, images, secret.clone(), Clock::default());
    let mut shop = Shop::new(service, cloud, secret);
    let admin = shop.token(Uuid::now_v7(), Role::Admin);
    shop.knows("ACCESS_TOKEN", admin);
    let product = text(&shop.tell("product-service", "create-product"), "product_id");
    shop.knows(PRODUCT, product.clone());
    let upload = text(&shop.tell("product-service", "upload-image"), "upload_id");
    shop.cloud.put(PRODUCT_BUCKET, &format!("images/{product}/{upload}"), "image/jpeg", &[0; 48_213]);
    shop.knows(IMAGE, upload);
    shop
}

/// A shop with the order of the samples.
pub(crate) fn open_orders() -> Shop<OrderService> {
    let (cloud, table, secret) = (Cloud::default(), TestTable::orders(), secret());
    let table = Table::new(&cloud.sdk_config(), table.name());
    let mut shop = Shop::new(OrderService::new(table, secret.clone()), cloud, secret);
    shop.knows("ACCESS_TOKEN", shop.token(CUSTOMER.parse().expect("an id"), Role::Customer));
    shop.knows("ADMIN_TOKEN", shop.token(Uuid::now_v7(), Role::Admin));
    shop.tell("order-service", "place-order");
    shop
}

/// A secret that never changes.
pub(crate) fn secret() -> SecretCache<ApiSecret> {
    let value = ApiSecret::new(API_KEY, JWT_SECRET).expect("a strong secret");
    SecretCache::fixed(Versions { current: Version { id: "v1".to_owned(), value }, previous: None })
}

fn store(cloud: &Cloud, table: &TestTable, kind: Kind, bucket: &str) -> (Table, ImageUploads) {
    let table = Table::new(&cloud.sdk_config(), table.name());
    let images = ImageUploads::new(&cloud.sdk_config(), table.clone(), kind, bucket, None);
    (table, images)
}

fn text(answer: &Value, member: &str) -> String {
    let text = answer[member].as_str();
    text.unwrap_or_else(|| panic!("an answer without {member}: {answer}")).to_owned()
}
