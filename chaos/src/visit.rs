use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use anyhow::{Result, anyhow};
use serde_json::Value;

use crate::{
    shoppers::{ApiClient, Reply, Request, Secret, days},
    world::World,
};

/// How long somebody waits for an answer when nothing fails any more.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many products are asked for of a list.
pub(crate) const PAGE: usize = 10;

/// What the shop shows to somebody who comes when everything is over.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visit {
    /// The answer to each product's id.
    pub(crate) products: BTreeMap<String, (u16, Value)>,
    /// The first page of each list: of a category's, or of all products'.
    pub(crate) lists: BTreeMap<Option<String>, Vec<Value>>,
}

/// What admins are told of the orders when everything is over.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reports {
    /// Sales by what they are summed by: `day`, `product`, `category`.
    pub(crate) sales: BTreeMap<&'static str, Value>,
    pub(crate) funnel: Value,
}

/// What sales are summed by.
pub(crate) const SALES: [&str; 3] = ["day", "product", "category"];
/// More than a run has of anything.
const ROWS: usize = 1000;

impl Visit {
    /// Looks at all these products and lists.
    pub(crate) async fn pay(world: &World, products: &[&str], categories: &BTreeSet<&str>) -> Result<Self> {
        let visitor = Visitor::new(world, None);
        let mut visit = Self::default();
        for product in products {
            let reply = visitor.get(&format!("/api/products/{product}")).await?;
            visit.products.insert((*product).to_owned(), (reply.status, reply.body));
        }
        let categories = categories.iter().map(|category| Some((*category).to_owned()));
        for category in categories.chain([None]) {
            let filter = category.as_ref().map(|category| format!("&category={category}"));
            let path = format!("/api/products?limit={PAGE}{}", filter.unwrap_or_default());
            let reply = visitor.get(&path).await?;
            let items = reply.body["items"].as_array().cloned().unwrap_or_default();
            visit.lists.insert(category, items);
        }
        Ok(visit)
    }
}

impl Reports {
    /// Reads them.
    pub(crate) async fn read(world: &World) -> Result<Self> {
        let admin = Visitor::new(world, Some(Secret::read(world).await?.of_an_admin()?));
        let days = days();
        let mut reports = Self::default();
        for by in SALES {
            let path = format!("/api/reports/sales?{days}&by={by}&limit={ROWS}");
            reports.sales.insert(by, admin.get(&path).await?.body);
        }
        reports.funnel = admin.get(&format!("/api/reports/funnel?{days}")).await?.body;
        Ok(reports)
    }
}

/// Somebody who looks, with a token or without.
struct Visitor {
    client: ApiClient,
    token: Option<String>,
}

impl Visitor {
    fn new(world: &World, token: Option<String>) -> Self {
        Self { client: ApiClient::new(&world.api, IpAddr::V4(Ipv4Addr::LOCALHOST), PATIENCE), token }
    }

    async fn get(&self, path: &str) -> Result<Reply> {
        let reply = self.client.send(&Request::get(path), self.token.as_deref()).await;
        reply.map_err(|error| anyhow!("GET {path} was not answered: {error}"))
    }
}
