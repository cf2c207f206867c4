/// Orders for the same product at the same time.
mod counters;
/// Pictures of products: asking for them, and what becomes of their files.
mod images;
/// What products were last seen to be offered for.
mod known_offers;
/// Products as clients see and change them, and the cache that they are read through.
mod products;

use std::{collections::HashSet, sync::Arc};

use dynamodb_store::StoreError;
use uuid::Uuid;

pub(crate) use self::{counters::Counters, known_offers::KnownOffers};
use crate::{
    ProductService,
    domain::{Line, Reservation, ReservationState},
    repository::{Outcome, ReservationRow},
};

/// How often a decision about an order's stock is made anew because the rows had changed meanwhile. Each time
/// somebody else got on, so that more than two or three are hardly ever needed.
const DECISIONS: usize = 6;

/// The stock of an order kept changing until all tries were used up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StockError {
    #[error("the products of order {0} are changed too often")]
    Contended(Uuid),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Of orders that were served together.
    #[error("{0}")]
    Together(#[from] Arc<StoreError>),
}

impl ProductService {
    /// Takes the stock of an order, all of it or nothing. What was decided about an order once stays so, however
    /// often it is asked.
    pub(crate) async fn place(&self, order_id: Uuid, lines: &[Line]) -> Result<(), StockError> {
        // Most orders need nothing but their write: the conditions under which it happens tell whether what is known
        // still holds. To refuse an order takes a look at its products as they are.
        if let Some(offers) = self.known_offers.of(lines) {
            let reservation = Reservation::decide(order_id, lines, &offers, self.clock.now());
            if reservation.state == ReservationState::Reserved
                && self.reserve(&reservation).await? == Outcome::Written
            {
                return Ok(());
            }
        }
        for _ in 0..DECISIONS {
            let (decided, offers) = self.repository.order(order_id, lines).await?;
            if decided.is_some() {
                return Ok(());
            }
            self.known_offers.see(&offers);
            let reservation = Reservation::decide(order_id, lines, &offers, self.clock.now());
            if self.reserve(&reservation).await? == Outcome::Written {
                return Ok(());
            }
        }
        Err(StockError::Contended(order_id))
    }

    async fn reserve(&self, reservation: &Reservation) -> Result<Outcome, StockError> {
        if reservation.state != ReservationState::Reserved {
            return Ok(self.repository.reserve(reservation).await?);
        }
        let outcome = self.counters.reserve(&self.repository, ReservationRow::new(reservation)).await?;
        if outcome == Outcome::Written {
            self.known_offers.take(&reservation.lines);
        }
        Ok(outcome)
    }

    /// Gives back the stock of an order that was given up, once. If the order has not come here yet, nothing will
    /// be taken when it does.
    pub(crate) async fn release(&self, order_id: Uuid) -> Result<(), StockError> {
        for _ in 0..DECISIONS {
            let now = self.clock.now();
            let outcome = match self.repository.reservation(order_id).await? {
                None => self.repository.reserve(&Reservation::tombstone(order_id, now)).await?,
                Some(reservation) if reservation.state == ReservationState::Reserved => {
                    // The units of a product that was removed meanwhile have gone with it.
                    let (_, offers) = self.repository.order(order_id, &reservation.lines).await?;
                    let products: HashSet<Uuid> = offers.into_keys().collect();
                    self.repository.release(&reservation, &products, now).await?
                }
                Some(_) => return Ok(()),
            };
            if outcome == Outcome::Written {
                return Ok(());
            }
        }
        Err(StockError::Contended(order_id))
    }
}
