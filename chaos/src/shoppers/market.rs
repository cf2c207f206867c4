use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rand::{RngExt, rngs::StdRng};

/// Orders that admins have in view.
const OPEN_ORDERS: usize = 300;

/// One line in so many is for one of the few products that everybody wants.
const HOT_SHARE: f64 = 0.4;

/// What all shoppers know of the shop: what is on offer, and for admins what is to be shipped.
#[derive(Default)]
pub(super) struct Market(Mutex<Known>);

#[derive(Default)]
struct Known {
    offers: Vec<Offer>,
    /// Products that are gone, or may be.
    withdrawn: HashSet<String>,
    orders: Vec<String>,
}

/// A product.
#[derive(Clone)]
pub(super) struct Offer {
    pub(super) product_id: String,
    /// Everybody wants it, and there is little of it.
    pub(super) hot: bool,
}

impl Market {
    pub(super) fn offer(&self, offer: Offer) {
        self.known().offers.push(offer);
    }

    pub(super) fn offers(&self) -> usize {
        self.known().offers.len()
    }

    /// Takes a product from the market that is to be deleted.
    pub(super) fn withdraw(&self, product_id: &str) {
        let mut known = self.known();
        known.offers.retain(|offer| offer.product_id != product_id);
        known.withdrawn.insert(product_id.to_owned());
    }

    /// Whether a product may be gone.
    pub(super) fn is_withdrawn(&self, product_id: &str) -> bool {
        self.known().withdrawn.contains(product_id)
    }

    /// Some product, more likely one of those that everybody wants.
    pub(super) fn pick(&self, rng: &mut StdRng) -> Option<Offer> {
        let known = self.known();
        let hot = rng.random_bool(HOT_SHARE);
        let fitting: Vec<&Offer> = known.offers.iter().filter(|offer| offer.hot == hot).collect();
        (!fitting.is_empty()).then(|| fitting[rng.random_range(0..fitting.len())].clone())
    }

    /// An order that admins should look at.
    pub(super) fn placed(&self, order_id: String) {
        let mut known = self.known();
        if known.orders.len() < OPEN_ORDERS {
            known.orders.push(order_id);
        }
    }

    /// Some order to look at.
    pub(super) fn order(&self, rng: &mut StdRng) -> Option<String> {
        let known = self.known();
        let orders = &known.orders;
        (!orders.is_empty()).then(|| orders[rng.random_range(0..orders.len())].clone())
    }

    /// An order with which admins have nothing more to do.
    pub(super) fn settled(&self, order_id: &str) {
        self.known().orders.retain(|open| open != order_id);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
