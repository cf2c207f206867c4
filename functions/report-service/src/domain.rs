//! What is known of orders and products, as far as reports need it. No async, AWS, HTTP or clock.

use std::collections::BTreeMap;

use domain_events::{Money, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Characters of a reason that are kept.
const REASON_LIMIT: usize = 200;

/// An order as one event, or one row of its table, tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) order_id: Uuid,
    pub(crate) version: i64,
    /// Whose it is, if that is known.
    pub(crate) user_id: Option<Uuid>,
    pub(crate) status: Status,
    /// Why it was rejected or cancelled.
    pub(crate) reason: Option<String>,
    pub(crate) total: Option<Money>,
    pub(crate) placed_at: Timestamp,
    /// When it came to have a status, as far as that is told here.
    pub(crate) steps: Vec<Step>,
    pub(crate) lines: Lines,
}

/// A status, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct Step {
    pub(crate) status: Status,
    pub(crate) at: Timestamp,
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Status {
    Pending,
    Confirmed,
    Rejected,
    Cancelled,
    Shipped,
    Delivered,
}

/// The lines of an order, one for each product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lines(Vec<Line>);

/// What an order has of one product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) product_id: Uuid,
    pub(crate) units: i64,
    /// What they cost in all, once that is known.
    pub(crate) revenue: Option<Money>,
}

/// A product as one event, or one row of its table, tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) product_id: Uuid,
    pub(crate) version: i64,
    pub(crate) name: String,
    pub(crate) category: String,
    pub(crate) deleted: bool,
}

/// What can't be counted, and never will be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Uncountable {
    #[error("product {0} costs more than can be counted")]
    Amount(Uuid),
    #[error("product {0} has prices in several currencies, or only for some of its units")]
    Prices(Uuid),
    #[error("version {0} is out of range")]
    Version(u64),
}

impl Status {
    /// Whether an order that stands there was sold.
    pub(crate) fn is_sale(self) -> bool {
        match self {
            Self::Confirmed | Self::Shipped | Self::Delivered => true,
            Self::Pending | Self::Rejected | Self::Cancelled => false,
        }
    }
}

impl Order {
    /// When it came to have a status, if that is told here.
    pub(crate) fn reached(&self, status: Status) -> Option<Timestamp> {
        self.steps.iter().filter(|step| step.status == status).map(|step| step.at).min()
    }
}

impl Lines {
    /// Sums lines of the same product: product, units, and the price of each unit.
    pub(crate) fn sum(
        lines: impl IntoIterator<Item = (Uuid, u32, Option<Money>)>,
    ) -> Result<Self, Uncountable> {
        let mut sums = BTreeMap::<Uuid, Line>::new();
        for (product_id, units, unit_price) in lines {
            let revenue = unit_price
                .map(|price| price.times(units).ok_or(Uncountable::Amount(product_id)))
                .transpose()?;
            let line = Line { product_id, units: i64::from(units), revenue };
            let sum = match sums.remove(&product_id) {
                None => line,
                Some(before) => before.plus(line)?,
            };
            sums.insert(product_id, sum);
        }
        Ok(Self(sums.into_values().collect()))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Line> {
        self.0.iter()
    }

    /// All units of all products.
    pub(crate) fn units(&self) -> i64 {
        self.iter().map(|line| line.units).sum()
    }
}

impl Line {
    fn plus(self, other: Self) -> Result<Self, Uncountable> {
        let product_id = self.product_id;
        let revenue = match (self.revenue, other.revenue) {
            (None, None) => None,
            (Some(one), Some(two)) if one.currency == two.currency => {
                Some(one.plus(two).ok_or(Uncountable::Amount(product_id))?)
            }
            _ => return Err(Uncountable::Prices(product_id)),
        };
        Ok(Self { units: self.units + other.units, revenue, product_id })
    }
}

/// A version as the database counts.
pub(crate) fn version(version: u64) -> Result<i64, Uncountable> {
    i64::try_from(version).map_err(|_| Uncountable::Version(version))
}

/// A reason, as much of it as tells reasons apart: reports count by it, and no index takes a long text.
pub(crate) fn reason(reason: String) -> String {
    text(reason).chars().take(REASON_LIMIT).collect()
}

/// A text as the database takes it, which knows every character but one.
pub(crate) fn text(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCT: Uuid = Uuid::from_u128(1);

    fn price(amount: i64, currency: &str) -> Option<Money> {
        Some(Money { amount, currency: currency.to_owned().try_into().unwrap() })
    }

    #[test]
    fn lines_of_one_product_are_summed() {
        let other = Uuid::from_u128(2);
        let lines =
            [(other, 1, price(5, "EUR")), (PRODUCT, 2, price(10, "EUR")), (PRODUCT, 3, price(7, "EUR"))];
        let sums = Lines::sum(lines).unwrap();
        let sum = |product_id, units, amount| Line { product_id, units, revenue: price(amount, "EUR") };
        assert_eq!(sums.0, [sum(PRODUCT, 5, 41), sum(other, 1, 5)]);
        assert_eq!(sums.units(), 6);
        assert_eq!(Lines::sum([(PRODUCT, 2, None), (PRODUCT, 3, None)]).unwrap().units(), 5);
    }

    #[test]
    fn what_can_not_be_summed_is_said() {
        let sum = |lines: &[(u32, Option<Money>)]| {
            Lines::sum(lines.iter().map(|(units, price)| (PRODUCT, *units, *price))).unwrap_err()
        };
        assert_eq!(sum(&[(2, price(i64::MAX, "EUR"))]), Uncountable::Amount(PRODUCT));
        assert_eq!(sum(&[(1, price(i64::MAX, "EUR")), (1, price(1, "EUR"))]), Uncountable::Amount(PRODUCT));
        assert_eq!(sum(&[(1, price(1, "EUR")), (1, price(1, "USD"))]), Uncountable::Prices(PRODUCT));
        assert_eq!(sum(&[(1, price(1, "EUR")), (1, None)]), Uncountable::Prices(PRODUCT));
        assert_eq!(version(u64::MAX), Err(Uncountable::Version(u64::MAX)));
    }
}
