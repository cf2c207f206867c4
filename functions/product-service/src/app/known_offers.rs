use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;

use crate::domain::{Line, Offer, units_by_product};

/// Products that are remembered at most: some 80 KiB.
const MOST: usize = 1000;

/// What products were offered for when this environment last saw them, so that an order for them can be decided without
/// a read. It may be out of date: what is decided on it has to be written under the condition that it still holds.
/// Clones share one memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownOffers(Arc<Mutex<HashMap<Uuid, Offer>>>);

impl KnownOffers {
    /// The offers of all products of an order; `None` if one of them is not known.
    pub(crate) fn of(&self, lines: &[Line]) -> Option<HashMap<Uuid, Offer>> {
        let known = self.lock();
        lines.iter().map(|line| Some((line.product_id, *known.get(&line.product_id)?))).collect()
    }

    /// Remembers offers as they were just read.
    pub(crate) fn see(&self, offers: &HashMap<Uuid, Offer>) {
        let mut known = self.lock();
        let new = offers.keys().filter(|product_id| !known.contains_key(product_id)).count();
        if known.len() + new > MOST {
            known.clear();
        }
        known.extend(offers);
    }

    /// Counts out what an order took, so that a product is looked at again when nothing of it should be left.
    pub(crate) fn take(&self, lines: &[Line]) {
        let mut known = self.lock();
        for (product_id, units) in units_by_product(lines) {
            if let Some(offer) = known.get_mut(&product_id) {
                offer.stock = offer.stock.saturating_sub(u32::try_from(units).unwrap_or(u32::MAX));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Offer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use domain_events::{Currency, Money};

    use super::*;

    fn offer(stock: u32) -> Offer {
        Offer { price: Money { amount: 500, currency: Currency::try_from("EUR".to_owned()).unwrap() }, stock }
    }

    fn line(number: u128, quantity: u32) -> Line {
        Line { product_id: Uuid::from_u128(number), quantity, unit_price: None }
    }

    #[test]
    fn an_order_is_known_when_all_of_its_products_are() {
        let known = KnownOffers::default();
        known.see(&HashMap::from([(Uuid::from_u128(1), offer(5))]));
        assert_eq!(
            known.of(&[line(1, 1), line(1, 2)]).unwrap(),
            HashMap::from([(Uuid::from_u128(1), offer(5))])
        );
        assert_eq!(known.of(&[line(1, 1), line(2, 1)]), None);
    }

    #[test]
    fn what_is_taken_is_counted_out_until_it_is_seen_again() {
        let known = KnownOffers::default();
        let seen = HashMap::from([(Uuid::from_u128(1), offer(5))]);
        known.see(&seen);
        known.take(&[line(1, 1), line(1, 2), line(2, 1)]);
        assert_eq!(known.of(&[line(1, 1)]).unwrap()[&Uuid::from_u128(1)].stock, 2);
        known.take(&[line(1, 9)]);
        assert_eq!(known.of(&[line(1, 1)]).unwrap()[&Uuid::from_u128(1)].stock, 0);
        known.see(&seen);
        assert_eq!(known.of(&[line(1, 1)]).unwrap(), seen);
    }

    #[test]
    fn the_memory_is_bounded() {
        let known = KnownOffers::default();
        for number in 0..3 * MOST as u128 {
            known.see(&HashMap::from([(Uuid::from_u128(number), offer(1))]));
            assert!(known.lock().len() <= MOST);
            assert!(known.of(&[line(number, 1)]).is_some());
        }
        let (full, last) = (known.lock().len(), Uuid::from_u128(3 * MOST as u128 - 1));
        known.see(&HashMap::from([(last, offer(2))]));
        assert_eq!(known.lock().len(), full, "seeing one again forgets none");
    }
}
