use std::collections::{BTreeMap, HashMap};

use domain_events::{Money, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Offer;

/// Units of one product in an order, with the price of one unit once it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) product_id: Uuid,
    pub(crate) quantity: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unit_price: Option<Money>,
}

/// The stock of one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reservation {
    pub(crate) order_id: Uuid,
    pub(crate) state: ReservationState,
    /// Reserved, and released after that: what was taken. Rejected: what could not be. Empty if the order was
    /// given up before it came here.
    pub(crate) lines: Vec<Line>,
    pub(crate) reason: Option<RejectionReason>,
    pub(crate) version: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// Where a reservation stands. The last two are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ReservationState {
    /// The units are out of stock and belong to the order.
    Reserved,
    /// The order was given up; what it had taken is back in stock.
    Released,
    /// The order can't be supplied; nothing was taken.
    Rejected,
}

/// Why an order can't be supplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RejectionReason {
    /// There is no such product, or not any more.
    UnknownProduct,
    /// There are fewer units than were ordered.
    OutOfStock,
    /// The products are sold in different currencies, so that there is no total.
    MixedCurrencies,
    /// The total is beyond any amount that can be written.
    TotalTooLarge,
}

impl RejectionReason {
    /// The reason as events name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UnknownProduct => "unknown_product",
            Self::OutOfStock => "out_of_stock",
            Self::MixedCurrencies => "mixed_currencies",
            Self::TotalTooLarge => "total_too_large",
        }
    }
}

impl Reservation {
    /// What becomes of an order whose products are on offer as given: all of its lines are reserved at these prices, or
    /// it is rejected for the lines that stand in the way.
    pub(crate) fn decide(
        order_id: Uuid,
        lines: &[Line],
        offers: &HashMap<Uuid, Offer>,
        at: Timestamp,
    ) -> Self {
        let decision = |state, reason, lines| Self {
            order_id,
            state,
            lines,
            reason,
            version: 1,
            created_at: at,
            updated_at: at,
        };
        let wanted = units_by_product(lines);
        let offer = |line: &Line| offers.get(&line.product_id);
        let in_stock =
            |line: &Line| offer(line).is_some_and(|offer| u64::from(offer.stock) >= wanted[&line.product_id]);
        let reject = |reason, lines| decision(ReservationState::Rejected, Some(reason), lines);
        let without = |has: &dyn Fn(&Line) -> bool| -> Vec<Line> {
            lines.iter().filter(|line| !has(line)).map(Line::unpriced).collect()
        };

        let unknown = without(&|line| offer(line).is_some());
        if !unknown.is_empty() {
            return reject(RejectionReason::UnknownProduct, unknown);
        }
        let short = without(&in_stock);
        if !short.is_empty() {
            return reject(RejectionReason::OutOfStock, short);
        }
        let priced: Vec<Line> = lines
            .iter()
            .map(|line| Line { unit_price: offer(line).map(|offer| offer.price), ..*line })
            .collect();
        match total(&priced) {
            Ok(()) => decision(ReservationState::Reserved, None, priced),
            Err(reason) => reject(reason, without(&|_| false)),
        }
    }

    /// What stands for an order that was given up before it was placed here: nothing will be taken for it.
    pub(crate) fn tombstone(order_id: Uuid, at: Timestamp) -> Self {
        Self {
            order_id,
            state: ReservationState::Released,
            lines: Vec::new(),
            reason: None,
            version: 1,
            created_at: at,
            updated_at: at,
        }
    }
}

impl Line {
    fn unpriced(&self) -> Self {
        Self { unit_price: None, ..*self }
    }
}

/// How many units of each product an order takes in all: a product may be on several of its lines.
pub(crate) fn units_by_product(lines: &[Line]) -> BTreeMap<Uuid, u64> {
    lines.iter().fold(BTreeMap::new(), |mut units, line| {
        *units.entry(line.product_id).or_default() += u64::from(line.quantity);
        units
    })
}

/// Whether the lines add up to an amount of money.
fn total(lines: &[Line]) -> Result<(), RejectionReason> {
    let mut prices = lines.iter().filter_map(|line| line.unit_price);
    let first = prices.next().map(|price| price.currency);
    if prices.any(|price| Some(price.currency) != first) {
        return Err(RejectionReason::MixedCurrencies);
    }
    let amounts = lines.iter().filter_map(|line| line.unit_price?.times(line.quantity));
    let sum = amounts.clone().try_fold(0_i64, |sum, amount| sum.checked_add(amount.amount));
    match sum {
        Some(_) if amounts.count() == lines.len() => Ok(()),
        _ => Err(RejectionReason::TotalTooLarge),
    }
}

#[cfg(test)]
mod tests {
    use domain_events::Currency;

    use super::*;

    fn money(amount: i64, code: &str) -> Money {
        Money { amount, currency: Currency::try_from(code.to_owned()).unwrap() }
    }

    fn offer(number: u128, price: Money, stock: u32) -> (Uuid, Offer) {
        (Uuid::from_u128(number), Offer { price, stock })
    }

    fn line(number: u128, quantity: u32) -> Line {
        Line { product_id: Uuid::from_u128(number), quantity, unit_price: None }
    }

    fn decide(lines: &[Line], offers: impl IntoIterator<Item = (Uuid, Offer)>) -> Reservation {
        let offers = offers.into_iter().collect();
        Reservation::decide(Uuid::from_u128(9), lines, &offers, Timestamp::from_millis(0))
    }

    #[test]
    fn an_order_within_stock_is_reserved_at_present_prices() {
        let offers = [offer(1, money(500, "EUR"), 2), offer(2, money(0, "EUR"), 9)];
        let reservation = decide(&[line(1, 2), line(2, 1)], offers);
        assert_eq!(reservation.state, ReservationState::Reserved);
        let prices: Vec<_> = reservation.lines.iter().map(|line| line.unit_price.unwrap().amount).collect();
        assert_eq!(prices, [500, 0]);
    }

    #[test]
    fn a_product_on_two_lines_is_counted_once_for_all() {
        let one = || offer(1, money(500, "EUR"), 3);
        assert_eq!(decide(&[line(1, 2), line(1, 1)], [one()]).state, ReservationState::Reserved);
        let reservation = decide(&[line(1, 2), line(1, 2)], [one()]);
        assert_eq!(reservation.reason, Some(RejectionReason::OutOfStock));
        assert_eq!(reservation.lines, [line(1, 2), line(1, 2)]);
    }

    #[test]
    fn a_rejection_names_the_lines_that_stand_in_the_way() {
        let offers = || [offer(1, money(500, "EUR"), 1), offer(2, money(500, "EUR"), 1)];
        let unknown = decide(&[line(1, 9), line(3, 1)], offers());
        assert_eq!(
            (unknown.reason, unknown.lines),
            (Some(RejectionReason::UnknownProduct), vec![line(3, 1)])
        );
        let short = decide(&[line(1, 1), line(2, 2)], offers());
        assert_eq!((short.reason, short.lines), (Some(RejectionReason::OutOfStock), vec![line(2, 2)]));
    }

    #[test]
    fn an_order_without_a_total_is_rejected() {
        let offers = [offer(1, money(500, "EUR"), 9), offer(2, money(500, "USD"), 9)];
        assert_eq!(decide(&[line(1, 1), line(2, 1)], offers).reason, Some(RejectionReason::MixedCurrencies));
        let dear = || offer(1, money(i64::MAX, "EUR"), 9);
        assert_eq!(decide(&[line(1, 1)], [dear()]).state, ReservationState::Reserved);
        assert_eq!(decide(&[line(1, 2)], [dear()]).reason, Some(RejectionReason::TotalTooLarge));
        assert_eq!(decide(&[line(1, 1), line(1, 1)], [dear()]).reason, Some(RejectionReason::TotalTooLarge));
    }
}
