use domain_events::{Currency, Money, Payload, Timestamp, payload};
use uuid::Uuid;

use crate::story;

/// An order at a time and in a currency of the test's choice.
#[derive(Debug, Clone)]
pub(super) struct Sale {
    pub(super) order_id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) placed_at: Timestamp,
    pub(super) currency: &'static str,
    /// Product, units, price of each.
    pub(super) lines: Vec<(Uuid, u32, i64)>,
    /// What became of it, after how many milliseconds.
    pub(super) steps: Vec<(&'static str, i64)>,
    pub(super) reason: &'static str,
}

impl Sale {
    /// An order that is confirmed a second after it was placed.
    pub(super) fn new(placed_at: &str, currency: &'static str, lines: &[(Uuid, u32, i64)]) -> Self {
        Self {
            order_id: Uuid::now_v7(),
            user_id: Uuid::now_v7(),
            placed_at: Timestamp::try_from(placed_at.to_owned()).unwrap(),
            currency,
            lines: lines.to_vec(),
            steps: vec![("CONFIRMED", 1000)],
            reason: "out_of_stock",
        }
    }

    pub(super) fn by(self, user_id: Uuid) -> Self {
        Self { user_id, ..self }
    }

    /// What becomes of it instead.
    pub(super) fn steps(self, steps: &[(&'static str, i64)]) -> Self {
        Self { steps: steps.to_vec(), ..self }
    }

    pub(super) fn rejected(self, reason: &'static str, after: i64) -> Self {
        Self { reason, ..self }.steps(&[("REJECTED", after)])
    }

    /// The events of all steps, and before them that of the placement.
    pub(super) fn events(&self) -> Vec<String> {
        (0..=self.steps.len()).map(|step| self.event(step)).collect()
    }

    fn event(&self, step: usize) -> String {
        let (status, after) = if step == 0 { ("PENDING", 0) } else { self.steps[step - 1] };
        let confirmed = self.steps[..step].iter().any(|(status, _)| *status == "CONFIRMED");
        let money =
            |amount| Money { amount, currency: Currency::try_from(self.currency.to_owned()).unwrap() };
        let line = |(product_id, quantity, price): &(Uuid, u32, i64)| payload::Line {
            product_id: *product_id,
            quantity: *quantity,
            unit_price: confirmed.then(|| money(*price)),
        };
        let order = payload::Order {
            order_id: self.order_id,
            user_id: self.user_id,
            items: self.lines.iter().map(line).collect(),
            total: confirmed.then(|| money(self.amount())),
            reason: matches!(status, "REJECTED" | "CANCELLED").then(|| self.reason.to_owned()),
            version: step as u64 + 1,
            created_at: self.placed_at,
        };
        let payload = match status {
            "PENDING" => Payload::OrderPlaced(order),
            "CONFIRMED" => Payload::OrderConfirmed(order),
            "REJECTED" => Payload::OrderRejected(order),
            "CANCELLED" => Payload::OrderCancelled(order),
            "SHIPPED" => Payload::OrderShipped(order),
            "DELIVERED" => Payload::OrderDelivered(order),
            other => panic!("no status {other}"),
        };
        story::event(payload, Timestamp::from_millis(self.placed_at.as_millis() + after))
    }

    /// What it costs in all.
    pub(super) fn amount(&self) -> i64 {
        self.lines.iter().map(|(_, units, price)| i64::from(*units) * price).sum()
    }

    /// Whether it is confirmed, shipped or delivered in the end.
    pub(super) fn is_sold(&self) -> bool {
        matches!(self.steps.last(), Some(("CONFIRMED" | "SHIPPED" | "DELIVERED", _)))
    }
}

/// The event of a product, in a version of it.
pub(super) fn product(product_id: Uuid, version: u64, name: &str, category: &str) -> String {
    let product = payload::Product {
        product_id,
        name: name.to_owned(),
        category: category.to_owned(),
        price: story::eur(100),
        stock: 1,
        version,
        created_at: story::at(0),
    };
    story::event(Payload::ProductUpdated(product), story::at(0))
}
