use domain_events::{Currency, Event, Money, Payload, Timestamp, payload};
use serde_json::{Value, json};
use uuid::Uuid;

/// 2026-11-22T00:00:00Z.
const MIDNIGHT: i64 = 1_795_305_600_000;

/// That many seconds after midnight.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(MIDNIGHT + seconds * 1000)
}

pub(crate) fn eur(amount: i64) -> Money {
    Money { amount, currency: Currency::try_from("EUR".to_owned()).unwrap() }
}

/// An order and the states that it goes through, one second after the other.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    pub(crate) order_id: Uuid,
    pub(crate) user_id: Uuid,
    /// Product, units, price of each.
    pub(crate) lines: Vec<(Uuid, u32, i64)>,
    pub(crate) states: Vec<&'static str>,
}

impl Story {
    pub(crate) fn new(states: &[&'static str]) -> Self {
        let lines = vec![(Uuid::now_v7(), 2, 1000), (Uuid::now_v7(), 3, 500)];
        Self { order_id: Uuid::now_v7(), user_id: Uuid::now_v7(), lines, states: states.to_vec() }
    }

    /// An order on its way to the customer.
    pub(crate) fn delivered() -> Self {
        Self::new(&["PENDING", "CONFIRMED", "SHIPPED", "DELIVERED"])
    }

    /// All events in their order.
    pub(crate) fn events(&self) -> Vec<String> {
        (0..self.states.len()).map(|step| self.event(step)).collect()
    }

    /// The event of one step.
    pub(crate) fn event(&self, step: usize) -> String {
        let state = self.states[step];
        let order = payload::Order {
            order_id: self.order_id,
            user_id: self.user_id,
            items: self.items(step),
            total: self.is_priced(step).then(|| self.total()),
            reason: matches!(state, "REJECTED" | "CANCELLED").then(|| format!("because of {state}")),
            version: step as u64 + 1,
            created_at: at(0),
        };
        let payload = match state {
            "PENDING" => Payload::OrderPlaced(order),
            "CONFIRMED" => Payload::OrderConfirmed(order),
            "REJECTED" => Payload::OrderRejected(order),
            "CANCELLED" => Payload::OrderCancelled(order),
            "SHIPPED" => Payload::OrderShipped(order),
            "DELIVERED" => Payload::OrderDelivered(order),
            other => panic!("no state {other}"),
        };
        event(payload, at(step as i64))
    }

    /// The row of the order's table after all steps.
    pub(crate) fn row(&self) -> Value {
        let last = self.states.len() - 1;
        let history: Vec<Value> = self
            .states
            .iter()
            .enumerate()
            .map(|(step, status)| json!({ "status": status, "at": at(step as i64) }))
            .collect();
        json!({
            "order_id": self.order_id,
            "user_id": self.user_id,
            "status": self.states[last],
            "items": self.items(last),
            "total": self.is_priced(last).then(|| self.total()),
            "reason": matches!(self.states[last], "REJECTED" | "CANCELLED")
                .then(|| format!("because of {}", self.states[last])),
            "history": history,
            "version": last + 1,
            "created_at": at(0),
        })
    }

    fn items(&self, step: usize) -> Vec<payload::Line> {
        let priced = self.is_priced(step);
        let line = |(product_id, quantity, price): &(Uuid, u32, i64)| payload::Line {
            product_id: *product_id,
            quantity: *quantity,
            unit_price: priced.then(|| eur(*price)),
        };
        self.lines.iter().map(line).collect()
    }

    fn is_priced(&self, step: usize) -> bool {
        self.states[..=step].contains(&"CONFIRMED")
    }

    fn total(&self) -> Money {
        eur(self.lines.iter().map(|(_, units, price)| i64::from(*units) * price).sum())
    }
}

/// The row of a product's table.
pub(crate) fn product_row(product_id: Uuid, version: u64, name: &str) -> Value {
    json!({ "product_id": product_id, "version": version, "name": name, "category": "toys" })
}

fn product(product_id: Uuid, version: u64, name: &str) -> payload::Product {
    payload::Product {
        product_id,
        name: name.to_owned(),
        category: "toys".to_owned(),
        price: eur(1000),
        stock: 10 + u32::try_from(version).unwrap(),
        version,
        created_at: at(0),
    }
}

pub(crate) fn product_created(product_id: Uuid, name: &str) -> String {
    event(Payload::ProductCreated(product(product_id, 1, name)), at(0))
}

pub(crate) fn product_updated(product_id: Uuid, version: u64, name: &str) -> String {
    event(Payload::ProductUpdated(product(product_id, version, name)), at(1))
}

/// Says the version of the row that is gone.
pub(crate) fn product_deleted(product_id: Uuid, version: u64, name: &str) -> String {
    event(Payload::ProductDeleted(product(product_id, version, name)), at(2))
}

pub(crate) fn user_deleted(user_id: Uuid) -> String {
    let user = payload::User { user_id, role: "customer".to_owned(), version: 2, created_at: at(0) };
    event(Payload::UserDeleted(user), at(3))
}

/// An event as another service publishes it.
pub(crate) fn event(payload: Payload, time: Timestamp) -> String {
    let event = Event {
        id: Uuid::now_v7().to_string(),
        source: "/test".to_owned(),
        subject: "test".to_owned(),
        time,
        traceparent: None,
        payload,
    };
    event.to_json().unwrap()
}
