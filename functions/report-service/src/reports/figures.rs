//! What reports are about: stretches of time, and what was sold in them.

use std::fmt;

use domain_events::{Currency, Money, Timestamp};
use uuid::Uuid;

const MILLIS_PER_DAY: i64 = 24 * 60 * 60 * 1000;

/// A stretch of time that a report is about: its start is part of it, its end is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

/// Why two moments are no range of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidRange {
    /// It ends before it begins, or at once.
    Empty,
    /// It has more days than a report may be about.
    TooLong,
}

impl Range {
    /// A leap year.
    const MAX_DAYS: i64 = 366;

    pub(crate) fn new(from: Timestamp, to: Timestamp) -> Result<Self, InvalidRange> {
        match to.as_millis() - from.as_millis() {
            ..=0 => Err(InvalidRange::Empty),
            length if length > Self::MAX_DAYS * MILLIS_PER_DAY => Err(InvalidRange::TooLong),
            _ => Ok(Self { from, to }),
        }
    }
}

impl Funnel {
    /// Sums up orders by status and reason: how many there are, and how many of these were settled.
    pub(crate) fn of(
        orders: impl IntoIterator<Item = (String, Option<String>, i64, i64)>,
        settled_after: Option<[i64; 2]>,
    ) -> Self {
        let mut funnel = Self { settled_after, ..Self::default() };
        for (status, reason, orders, settled) in orders {
            funnel.placed += orders;
            let (confirmed, shipped, delivered) = match status.as_str() {
                "CONFIRMED" => (orders, 0, 0),
                "SHIPPED" => (orders, orders, 0),
                "DELIVERED" => (orders, orders, orders),
                // Those that were settled before were not rejected.
                "CANCELLED" => (settled, 0, 0),
                _ => (0, 0, 0),
            };
            funnel.confirmed += confirmed;
            funnel.shipped += shipped;
            funnel.delivered += delivered;
            match status.as_str() {
                "PENDING" => funnel.open[0] += orders,
                "CONFIRMED" => funnel.open[1] += orders,
                "SHIPPED" => funnel.open[2] += orders,
                "REJECTED" => funnel.rejected.push((reason.unwrap_or_default(), orders)),
                "CANCELLED" => funnel.cancelled += orders,
                _ => {}
            }
        }
        funnel.rejected.sort_by(|(reason, orders), other| (other.1, reason).cmp(&(*orders, &other.0)));
        funnel
    }
}

impl fmt::Display for InvalidRange {
    /// Completes "to …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("must be after from"),
            Self::TooLong => write!(f, "must be at most {} days after from", Range::MAX_DAYS),
        }
    }
}

/// What time is divided into, in UTC. Weeks are those of ISO 8601: they begin on Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Period {
    Day,
    Week,
    Month,
}

/// How much was sold of something, in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sold {
    pub(crate) orders: i64,
    pub(crate) units: i64,
    pub(crate) revenue: Money,
}

/// What was sold in one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeriodSales {
    /// `2026-11-22`, `2026-W47` or `2026-11`.
    pub(crate) period: String,
    /// Its first day, as `2026-11-22`.
    pub(crate) starts: String,
    pub(crate) sold: Sold,
}

/// What was sold of one product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProductSales {
    pub(crate) product: Named,
    pub(crate) sold: Sold,
}

/// What was sold of all products that are in one category now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CategorySales {
    /// `None`: of products that nobody has told of yet.
    pub(crate) category: Option<String>,
    pub(crate) units: i64,
    pub(crate) revenue: Money,
}

/// A product as it is called now; without a name, if nobody has told of it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) product_id: Uuid,
    pub(crate) name: Option<String>,
    pub(crate) category: Option<String>,
}

/// By what products are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ranking {
    /// How many were sold, for whatever currency, or for one alone.
    Units(Option<Currency>),
    /// What they brought, in one currency: amounts of several can't be compared.
    Revenue(Currency),
}

/// One of the products that were sold most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopProduct {
    pub(crate) product: Named,
    pub(crate) orders: i64,
    pub(crate) units: i64,
    /// If the ranking is of one currency.
    pub(crate) revenue: Option<Money>,
}

/// What became of the orders that were placed in a range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Funnel {
    pub(crate) placed: i64,
    /// That were confirmed, whatever became of them then; so with the next two.
    pub(crate) confirmed: i64,
    pub(crate) shipped: i64,
    pub(crate) delivered: i64,
    /// Why, and how many.
    pub(crate) rejected: Vec<(String, i64)>,
    pub(crate) cancelled: i64,
    /// That wait for their stock, for being shipped, for being delivered.
    pub(crate) open: [i64; 3],
    /// Milliseconds from placed to confirmed or rejected: the median, and what 95 of 100 orders don't exceed.
    pub(crate) settled_after: Option<[i64; 2]>,
}

/// What one customer has ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CustomerOrders {
    pub(crate) by_status: Vec<(String, i64)>,
    /// For sales, per currency.
    pub(crate) spent: Vec<Money>,
    pub(crate) first_order_at: Timestamp,
    pub(crate) last_order_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_a_moment_up_to_366_days() {
        let at = |millis| Timestamp::from_millis(1_795_000_000_000 + millis);
        let range = |millis| Range::new(at(0), at(millis)).map(|range| range.to);
        let longest = 366 * MILLIS_PER_DAY;
        assert_eq!([range(1), range(longest)], [Ok(at(1)), Ok(at(longest))]);
        assert_eq!([range(0), range(-1)], [Err(InvalidRange::Empty); 2]);
        assert_eq!(range(longest + 1), Err(InvalidRange::TooLong));
    }
}
