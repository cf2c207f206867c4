//! The deployed shop under load: customers at a steady rate, then all at once.
//!
//! No common tool does all of it: those that send a constant rate from the moment when each request is due, such as oha,
//! have one set of headers for all requests, and an order without an `Idempotency-Key` of its own is a repetition.

/// Requests.
mod client;
/// The end of what they cause.
mod drain;
/// How requests come.
mod phase;
/// What is printed and written.
mod report;

use std::{env, path::PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use uuid::Uuid;

use self::{
    client::{Address, Client},
    phase::Phase,
};
pub use self::{
    phase::{Phased, Requests},
    report::Report,
};

/// Names the variable with the password of the shop's admin.
const ADMIN_PASSWORD: &str = "SHOP_ADMIN_PASSWORD";
const PASSWORD: &str = "the password of a customer";
/// More than anybody orders.
const STOCK: u32 = 1_000_000;

/// Which shop, and how much.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Address of the shop's API, without /api
    #[arg(long, value_name = "URL", hide = true)]
    pub shop: String,
    /// Address of the local cloud behind it
    #[arg(long, value_name = "URL", hide = true)]
    pub cloud: String,
    /// Address of the shop's admin, whose password is in SHOP_ADMIN_PASSWORD
    #[arg(long, value_name = "EMAIL", hide = true)]
    pub admin: String,
    /// Requests in a second of the steady load; every fifth is an order
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,
    /// How long the steady load lasts
    #[arg(long, value_name = "NUMBER", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    pub seconds: u32,
    /// Requests that come at once after that
    #[arg(long, value_name = "NUMBER", default_value_t = 500)]
    pub burst: usize,
    /// Connections of the burst
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub connections: u16,
    /// Customers
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub customers: u16,
    /// Products that are ordered
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub products: u16,
    /// Take the services as they are in target/lambda
    #[arg(long)]
    pub no_build: bool,
    /// Folder for load.json
    #[arg(long, value_name = "FOLDER", default_value = "target/bench/results")]
    pub out: PathBuf,
}

/// Who orders what, and where.
struct Market {
    shop: Address,
    cloud: Address,
    /// The headers of customers who have logged in.
    customers: Vec<String>,
    /// Ids of products.
    products: Vec<String>,
}

/// Puts the shop under load.
pub fn run(options: &Options) -> Result<Report> {
    let market = Market::open(options)?;
    let steady = Phase {
        name: "steady",
        requests: usize::try_from(u64::from(options.rate) * u64::from(options.seconds))?,
        rate: Some(options.rate),
        connections: options.connections.into(),
    };
    let burst = Phase { name: "burst", requests: options.burst, rate: None, ..steady };
    let mut phases = Vec::new();
    for phase in [steady, burst] {
        eprintln!("  {} load: {} requests, then until all is settled", phase.name, phase.requests);
        let (seconds, kinds) = phase.run(&market)?;
        phases.push(Phased {
            name: phase.name.to_owned(),
            due_per_second: phase.rate,
            connections: phase.connections,
            seconds,
            kinds,
            drain_seconds: drain::drain(&market)?,
        });
    }
    Ok(Report::new(phases, drain::dead_letters(&market)?))
}

impl Market {
    fn open(options: &Options) -> Result<Self> {
        let (shop, cloud) = (Address::of(&options.shop)?, Address::of(&options.cloud)?);
        let mut client = Client::new(&shop);
        let password = env::var(ADMIN_PASSWORD).with_context(|| format!("{ADMIN_PASSWORD} is missing"))?;
        let admin = client.log_in(&options.admin, &password)?;
        let mut products = Vec::new();
        for number in 0..options.products {
            let price = json!({ "amount": 1000 + number, "currency": "EUR" });
            let name = format!("Product {number}");
            let product = json!({ "name": name, "category": "Load", "price": price, "stock": STOCK });
            let product = client.post("/api/products", &admin, &product)?.expect(201)?;
            products.push(product["product_id"].as_str().context("a product without an id")?.to_owned());
        }
        let mut customers = Vec::new();
        for _ in 0..options.customers {
            let email = format!("{}@load.example", Uuid::now_v7());
            let customer = json!({ "email": email, "password": PASSWORD, "name": "A customer" });
            client.post("/api/users", "", &customer)?.expect(201)?;
            customers.push(client.log_in(&email, PASSWORD)?);
        }
        Ok(Self { shop, cloud, customers, products })
    }
}
