//! What an order is and what may happen to it. No async, AWS, HTTP or clock.

/// Where an order goes.
mod address;
/// The one state machine that every trigger asks.
mod saga;

use std::time::Duration;

use deserr::Deserr;
use domain_events::{Money, Timestamp};
use problem_details::{IdempotencyKey, InputErrors, InvalidValue};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

pub(crate) use address::ShippingAddress;
pub(crate) use saga::{Canceller, Command, Decision, Status, decide};

/// A customer's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) order_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) status: Status,
    /// In the order in which the customer listed them; unit prices once the order is confirmed.
    pub(crate) items: Vec<Line>,
    /// Fixed when the order is confirmed.
    pub(crate) total: Option<Money>,
    pub(crate) shipping_address: Option<ShippingAddress>,
    /// Why it was rejected or cancelled.
    pub(crate) reason: Option<String>,
    /// Every status that it has had, oldest first.
    pub(crate) history: Vec<Step>,
    pub(crate) version: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// A status that an order came to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Step {
    /// The status.
    pub(crate) status: Status,
    /// Since when.
    pub(crate) at: Timestamp,
}

/// A quantity of one product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = OrderLine)]
pub(crate) struct Line {
    /// The product's id.
    pub(crate) product_id: Uuid,
    /// Units of it.
    pub(crate) quantity: Quantity,
    /// Price of one unit, once the order is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unit_price: Option<Money>,
}

/// What a customer wants to buy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Basket {
    pub(crate) items: Vec<Line>,
    pub(crate) shipping_address: Option<ShippingAddress>,
}

/// Units of a product in one order: 1 to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Deserr, ToSchema)]
#[serde(transparent)]
#[deserr(error = InputErrors, try_from(i64) = Quantity::try_from -> InvalidValue)]
#[schema(value_type = u32, minimum = 1, maximum = 1000, example = 2)]
pub(crate) struct Quantity(u32);

/// Lines that all have a price, and what they cost together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Priced {
    items: Vec<Line>,
    total: Money,
}

/// The lines have no common price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lines have no total: a price is missing, the currencies differ or the sum is too large")]
pub(crate) struct NoTotal;

impl Order {
    /// The id of the order that this customer places under this key: always the same, and never another's.
    pub(crate) fn id_under(key: &IdempotencyKey, user_id: Uuid) -> Uuid {
        let hash = Sha256::new().chain_update(user_id.as_bytes()).chain_update(key.as_str()).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// A new order, which waits for its stock.
    pub(crate) fn place(order_id: Uuid, user_id: Uuid, basket: Basket, at: Timestamp) -> Self {
        Self {
            order_id,
            user_id,
            status: Status::Pending,
            items: basket.items,
            total: None,
            shipping_address: basket.shipping_address,
            reason: None,
            history: vec![Step { status: Status::Pending, at }],
            version: 1,
            created_at: at,
            updated_at: at,
        }
    }

    /// The time from its placement to its last change. The two were timed by different clocks, perhaps.
    pub(crate) fn age(&self) -> Duration {
        let millis = self.updated_at.as_millis() - self.created_at.as_millis();
        Duration::from_millis(millis.try_into().unwrap_or(0))
    }

    /// Whether something is left to do when the customer's account is gone.
    pub(crate) fn concerns_customer(&self) -> bool {
        self.shipping_address.is_some() || decide(self.status, &Command::CloseAccount) != Decision::Done
    }
}

impl Basket {
    pub(crate) const MAX_LINES: usize = 50;

    /// Tells one request from another under the same key: equal for what was parsed to the same values. It is
    /// kept in rows, so that what goes in and in which order can't change.
    pub(crate) fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        // Every text comes with its length, so that no two baskets are the same bytes.
        let mut text = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        text(&self.items.len().to_string());
        for Line { product_id, quantity, .. } in &self.items {
            text(&product_id.to_string());
            text(&quantity.units().to_string());
        }
        for part in self.shipping_address.iter().flat_map(ShippingAddress::parts) {
            text(part.unwrap_or_default());
        }
        format!("{:x}", hash.finalize())
    }
}

impl Line {
    /// A line as it is ordered.
    pub(crate) fn new(product_id: Uuid, quantity: Quantity) -> Self {
        Self { product_id, quantity, unit_price: None }
    }

    fn unpriced(&self) -> Self {
        Self { unit_price: None, ..self.clone() }
    }
}

impl Quantity {
    pub(crate) fn units(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for Quantity {
    type Error = InvalidValue;

    fn try_from(units: i64) -> Result<Self, InvalidValue> {
        match u32::try_from(units) {
            Ok(units @ 1..=1000) => Ok(Self(units)),
            _ => Err(InvalidValue::new("must be 1 to 1000")),
        }
    }
}

impl Priced {
    /// Adds the lines up.
    pub(crate) fn new(items: Vec<Line>) -> Result<Self, NoTotal> {
        let cost = |line: &Line| line.unit_price?.times(line.quantity.units());
        let costs: Option<Vec<Money>> = items.iter().map(cost).collect();
        let total =
            costs.and_then(|costs| costs.into_iter().map(Some).reduce(|sum, cost| sum?.plus(cost?))?);
        Ok(Self { total: total.ok_or(NoTotal)?, items })
    }

    pub(crate) fn items(&self) -> &[Line] {
        &self.items
    }

    pub(crate) fn total(&self) -> Money {
        self.total
    }

    /// The lines as they were ordered.
    pub(crate) fn unpriced(&self) -> Vec<Line> {
        self.items.iter().map(Line::unpriced).collect()
    }

    /// The same lines in the sequence that they have in the order; `None` if they are not the order's.
    pub(crate) fn in_sequence_of(&self, ordered: &[Line]) -> Option<Self> {
        let priced =
            |line: &Line| self.items.iter().find(|priced| priced.unpriced() == line.unpriced()).cloned();
        let items: Option<Vec<Line>> = ordered.iter().map(priced).collect();
        // No product stands in an order twice, so that as many lines are the very lines.
        items.filter(|items| items.len() == self.items.len()).map(|items| Self { items, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use domain_events::Currency;

    use super::*;

    fn line(product: u128, quantity: i64, price: Option<(i64, &str)>) -> Line {
        let money = |(amount, code): (i64, &str)| Money {
            amount,
            currency: Currency::try_from(code.to_owned()).unwrap(),
        };
        Line {
            unit_price: price.map(money),
            ..Line::new(Uuid::from_u128(product), Quantity::try_from(quantity).unwrap())
        }
    }

    #[test]
    fn a_quantity_is_1_to_1000() {
        for units in [i64::MIN, -1, 0, 1001, i64::from(u32::MAX) + 2, i64::MAX] {
            assert!(Quantity::try_from(units).is_err(), "{units}");
        }
        assert_eq!(Quantity::try_from(1000).unwrap().units(), 1000);
    }

    #[test]
    fn an_order_id_belongs_to_one_customer_and_key() {
        let id = |user: u128, key: &str| Order::id_under(&key.try_into().unwrap(), Uuid::from_u128(user));
        assert_eq!(id(1, "key"), id(1, "key"));
        assert_ne!(id(1, "key"), id(2, "key"));
        assert_ne!(id(1, "key"), id(1, "key2"));
        assert_eq!((id(1, "key").get_version_num(), id(1, "key").get_variant()), (8, uuid::Variant::RFC4122));
    }

    #[test]
    fn a_fingerprint_tells_baskets_apart() {
        let basket = |items: &[Line], address| Basket { items: items.to_vec(), shipping_address: address };
        let address = ShippingAddress::example();
        let other = ShippingAddress { line2: None, ..address.clone() };
        let baskets = [
            basket(&[line(1, 2, None)], None),
            basket(&[line(1, 3, None)], None),
            basket(&[line(2, 2, None)], None),
            basket(&[line(1, 2, None), line(2, 2, None)], None),
            basket(&[line(2, 2, None), line(1, 2, None)], None),
            basket(&[line(1, 2, None)], Some(address)),
            basket(&[line(1, 2, None)], Some(other)),
        ];
        let prints: std::collections::HashSet<String> = baskets.iter().map(Basket::fingerprint).collect();
        assert_eq!(prints.len(), baskets.len());
        assert_eq!(baskets[0].fingerprint(), baskets[0].clone().fingerprint());
    }

    #[test]
    fn a_total_is_the_sum_of_all_lines() {
        let priced =
            Priced::new(vec![line(1, 2, Some((1999, "EUR"))), line(2, 1, Some((1, "EUR")))]).unwrap();
        assert_eq!(priced.total().amount, 3999);
        for lines in [
            vec![],
            vec![line(1, 1, None)],
            vec![line(1, 1, Some((1, "EUR"))), line(2, 1, Some((1, "USD")))],
            vec![line(1, 2, Some((i64::MAX, "EUR")))],
            vec![line(1, 1, Some((i64::MAX, "EUR"))), line(2, 1, Some((1, "EUR")))],
        ] {
            assert_eq!(Priced::new(lines.clone()), Err(NoTotal), "{lines:?}");
        }
    }

    #[test]
    fn priced_lines_take_the_sequence_of_the_order_or_are_not_its_lines() {
        let price = Some((5, "EUR"));
        let priced = Priced::new(vec![line(1, 1, price), line(2, 2, price)]).unwrap();
        let turned = priced.in_sequence_of(&[line(2, 2, None), line(1, 1, None)]).unwrap();
        assert_eq!(turned.items(), [line(2, 2, price), line(1, 1, price)]);
        for others in [
            vec![line(1, 1, None)],
            vec![line(1, 1, None), line(2, 3, None)],
            vec![line(1, 1, None), line(3, 2, None)],
            vec![line(1, 1, None), line(2, 2, None), line(3, 1, None)],
        ] {
            assert_eq!(priced.in_sequence_of(&others), None, "{others:?}");
        }
    }
}
