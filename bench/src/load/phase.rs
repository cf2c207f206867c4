use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::{
    Market,
    client::{Answer, Client},
};
use crate::stats::{Summary, summary};

/// What customers do, in the order in which they do it: they look at more than they buy.
const MIX: [Kind; 10] = [
    Kind::Browse,
    Kind::Product,
    Kind::Order,
    Kind::Browse,
    Kind::Product,
    Kind::Browse,
    Kind::OwnOrders,
    Kind::Product,
    Kind::Order,
    Kind::Browse,
];

/// Something that a customer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Browse,
    Product,
    Order,
    OwnOrders,
}

/// How requests come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Phase {
    pub(super) name: &'static str,
    pub(super) requests: usize,
    /// Requests in a second; all at once, if there is none.
    pub(super) rate: Option<u32>,
    pub(super) connections: usize,
}

/// What came of a phase.
#[derive(Debug, Clone, Serialize)]
pub struct Phased {
    /// Its name.
    pub name: String,
    /// Requests in a second, as they were due; all were due at once, if there is none.
    pub due_per_second: Option<u32>,
    /// Connections.
    pub connections: usize,
    /// From the first request until the last answer.
    pub seconds: f64,
    /// Each kind of request.
    pub kinds: BTreeMap<String, Requests>,
    /// From the last answer until every queue was empty and no order was pending, in seconds.
    pub drain_seconds: f64,
}

/// Requests of one kind.
#[derive(Debug, Clone, Serialize)]
pub struct Requests {
    /// From the moment when it was due until its answer, in microseconds.
    pub latency: Summary,
    /// How many were not answered as they should be.
    pub errors: usize,
    /// What was wrong with one of them.
    pub an_error: Option<String>,
}

/// One request.
struct Done {
    kind: Kind,
    nanos: u64,
    error: Option<String>,
}

impl Phase {
    /// Sends the requests, each when it is due, and as soon as a connection is free.
    ///
    /// A latency begins when the request was due: a server that is behind does not thin out what it is asked.
    pub(super) fn run(self, market: &Market) -> Result<(f64, BTreeMap<String, Requests>)> {
        let next = AtomicUsize::new(0);
        let start = Instant::now();
        let done: Vec<Done> = thread::scope(|scope| {
            let connections: Vec<_> = (0..self.connections)
                .map(|_| scope.spawn(|| self.connection(market, &next, start)))
                .collect();
            let joined = connections.into_iter().map(|connection| connection.join());
            joined.collect::<Result<Vec<_>, _>>().map_err(|_| anyhow!("a connection's thread panicked"))
        })?
        .into_iter()
        .flatten()
        .collect();
        let seconds = start.elapsed().as_secs_f64();
        let mut kinds = BTreeMap::new();
        for kind in [Kind::Browse, Kind::Product, Kind::Order, Kind::OwnOrders] {
            let of_kind: Vec<&Done> = done.iter().filter(|done| done.kind == kind).collect();
            let latencies: Vec<u64> = of_kind.iter().map(|done| done.nanos).collect();
            let Some(latency) = summary(&latencies) else { continue };
            let mut errors = of_kind.iter().filter_map(|done| done.error.clone());
            let an_error = errors.next();
            let errors = errors.count() + usize::from(an_error.is_some());
            kinds.insert(kind.name().to_owned(), Requests { latency, errors, an_error });
        }
        Ok((seconds, kinds))
    }

    fn connection(self, market: &Market, next: &AtomicUsize, start: Instant) -> Vec<Done> {
        let mut client = Client::new(&market.shop);
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= self.requests || crate::interrupted() {
                return done;
            }
            let due = match self.rate {
                Some(rate) => start + Duration::from_secs_f64(number as f64 / f64::from(rate)),
                None => start,
            };
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let kind = MIX[number % MIX.len()];
            let error = match kind.send(&mut client, market, number) {
                Ok(answer) if answer.status == kind.status() => None,
                Ok(answer) => Some(format!("{} {}", answer.status, answer.body)),
                Err(error) => Some(format!("{error:#}")),
            };
            let nanos = due.elapsed().as_nanos().try_into().unwrap_or(u64::MAX);
            done.push(Done { kind, nanos, error });
        }
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Browse => "a page of products",
            Self::Product => "a product",
            Self::Order => "place an order",
            Self::OwnOrders => "own orders",
        }
    }

    fn status(self) -> u16 {
        if self == Self::Order { 201 } else { 200 }
    }

    fn send(self, client: &mut Client, market: &Market, number: usize) -> Result<Answer> {
        let customer = &market.customers[number % market.customers.len()];
        let product = &market.products[number / MIX.len() % market.products.len()];
        match self {
            Self::Browse => client.send("GET", "/api/products?limit=20", "", ""),
            Self::Product => client.send("GET", &format!("/api/products/{product}"), "", ""),
            Self::OwnOrders => client.send("GET", "/api/orders?limit=20", customer, ""),
            Self::Order => {
                let headers = format!("{customer}idempotency-key: {}\r\n", Uuid::now_v7());
                let order = json!({ "items": [{ "product_id": product, "quantity": 1 }] });
                client.post("/api/orders", &headers, &order)
            }
        }
    }
}
