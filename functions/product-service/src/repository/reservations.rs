use std::collections::{BTreeMap, HashMap, HashSet};

use domain_events::Timestamp;
use dynamodb_store::{Consistency, Key, Reason, StoreError, Transaction, TransactionError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{KEY, ProductRow, Repository, rejected, touch, traceparent};
use crate::domain::{Line, Offer, Product, RejectionReason, Reservation, ReservationState, units_by_product};

/// How long a reservation that takes no stock is kept: longer than a message lives (14 days, its time in the dead-letter
/// queue included), also if it is redriven on its last day, because without it a late message would take the stock again.
const KEPT_SECONDS: i64 = 30 * 24 * 60 * 60;

/// Whether a write happened that depends on what was read before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Outcome {
    /// It happened.
    Written,
    /// Somebody else was faster: read and decide again.
    Overtaken,
}

/// What became of reservations that were to be written at once.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Together {
    /// All of them are written.
    Written,
    /// None is, because the orders at these positions have their reservations already.
    Decided(Vec<usize>),
    /// None is, because of the products: there are too few units for all, or the price is another.
    Changed,
    /// None is, because others kept writing the same products.
    Rivals,
}

/// Rows that one transaction can have.
const MOST_ROWS: usize = 100;

/// A reservation as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReservationRow {
    product_id: String,
    order_id: Uuid,
    state: ReservationState,
    lines: Vec<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<RejectionReason>,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// When DynamoDB may remove the row, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    /// Trace of the request that caused the last change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) traceparent: Option<String>,
}

/// The kinds of rows in the table.
#[derive(Deserialize)]
#[serde(untagged)]
enum Row {
    Reservation(ReservationRow),
    Product(ProductRow),
}

impl Repository {
    pub(crate) async fn reservation(&self, order_id: Uuid) -> Result<Option<Reservation>, StoreError> {
        let row: Option<ReservationRow> = self.table.get(&key(order_id), Consistency::Strong).await?;
        Ok(row.map(Reservation::from))
    }

    /// The reservation of an order, if there is one already, and on which terms those of the order's products that exist
    /// are on offer.
    pub(crate) async fn order(
        &self,
        order_id: Uuid,
        lines: &[Line],
    ) -> Result<(Option<Reservation>, HashMap<Uuid, Offer>), StoreError> {
        let mut keys: Vec<Key> = lines.iter().map(|line| Key::new(KEY, line.product_id)).collect();
        keys.push(key(order_id));
        let (mut reservation, mut offers) = (None, HashMap::new());
        for row in self.table.get_many(&keys, Consistency::Strong).await? {
            match row {
                Row::Reservation(row) => reservation = Some(Reservation::from(row)),
                Row::Product(row) => {
                    let Product { product_id, price, stock, .. } = row.into();
                    offers.insert(product_id, Offer { price, stock });
                }
            }
        }
        Ok((reservation, offers))
    }

    /// Writes an order's first reservation and, if it is one that takes stock, takes all of it: under the condition
    /// that there still is enough, at the same prices.
    pub(crate) async fn reserve(&self, reservation: &Reservation) -> Result<Outcome, StoreError> {
        Ok(match self.reserve_together(&[&ReservationRow::new(reservation)]).await? {
            Together::Written => Outcome::Written,
            Together::Decided(_) | Together::Changed | Together::Rivals => Outcome::Overtaken,
        })
    }

    /// Writes the first reservations of several orders, which [fit together](ReservationRow::fit_together), and takes the
    /// stock of all of them or of none.
    pub(crate) async fn reserve_together(&self, rows: &[&ReservationRow]) -> Result<Together, StoreError> {
        let create = |transaction: Transaction, row: &&ReservationRow| transaction.create(KEY, row);
        let mut transaction = rows.iter().fold(Transaction::new(&self.table), create);
        let taken = rows.iter().filter(|row| row.state == ReservationState::Reserved);
        let lines: Vec<Line> = taken.flat_map(|row| row.lines.iter().copied()).collect();
        let prices: BTreeMap<_, _> = lines.iter().map(|line| (line.product_id, line.unit_price)).collect();
        for (product_id, units) in units_by_product(&lines) {
            let units = signed(units);
            let product = self.table.update(Key::new(KEY, product_id)).add("stock", -units);
            let product = product.if_at_least("stock", units).if_equals("price", prices[&product_id]);
            let latest = rows.iter().map(|row| row.updated_at).max();
            transaction = transaction.update(touch(product, latest.unwrap_or_else(Timestamp::now)));
        }
        match transaction.commit().await {
            Ok(()) => Ok(Together::Written),
            Err(TransactionError::Store(StoreError::Conflict(_))) => Ok(Together::Rivals),
            Err(TransactionError::Store(error)) => Err(error),
            Err(TransactionError::Cancelled(reasons)) => {
                let failed = reasons.iter().enumerate();
                let failed = failed.filter(|(_, reason)| matches!(reason, Reason::ConditionFailed(_)));
                let failed: Vec<usize> = failed.map(|(position, _)| position).collect();
                let decided: Vec<usize> =
                    failed.iter().copied().filter(|position| *position < rows.len()).collect();
                match (failed.is_empty(), decided.is_empty()) {
                    (true, _) => Err(rejected(&reasons)),
                    (false, true) => Ok(Together::Changed),
                    (false, false) => Ok(Together::Decided(decided)),
                }
            }
        }
    }

    /// Gives back what a reservation took, once, to those of its products that still exist.
    pub(crate) async fn release(
        &self,
        reservation: &Reservation,
        products: &HashSet<Uuid>,
        at: Timestamp,
    ) -> Result<Outcome, StoreError> {
        let released = touch(self.table.update(key(reservation.order_id)), at)
            .set("state", ReservationState::Released)
            .set("expires_at", at.as_seconds() + KEPT_SECONDS)
            .if_equals("state", ReservationState::Reserved);
        let mut transaction = Transaction::new(&self.table).update(released);
        for (product_id, units) in units_by_product(&reservation.lines) {
            if products.contains(&product_id) {
                let product = self.table.update(Key::new(KEY, product_id)).add("stock", signed(units));
                transaction = transaction.update(touch(product, at));
            }
        }
        outcome(transaction.commit().await)
    }
}

impl ReservationRow {
    /// Whether all of these, each of which takes stock, can be written at once: they are of different orders, have the
    /// same prices, and are not too many.
    pub(crate) fn fit_together<'a>(rows: impl Iterator<Item = &'a Self>) -> bool {
        let (mut orders, mut prices) = (HashSet::new(), HashMap::new());
        for row in rows {
            let same_prices = row
                .lines
                .iter()
                .all(|line| *prices.entry(line.product_id).or_insert(line.unit_price) == line.unit_price);
            if !same_prices || !orders.insert(row.order_id) {
                return false;
            }
        }
        orders.len() + prices.len() <= MOST_ROWS
    }

    /// One of the products that it takes.
    pub(crate) fn first_product(&self) -> Uuid {
        self.lines.iter().map(|line| line.product_id).min().unwrap_or_default()
    }

    pub(crate) fn new(reservation: &Reservation) -> Self {
        let takes_stock = reservation.state == ReservationState::Reserved;
        Self {
            product_id: row_id(reservation.order_id),
            order_id: reservation.order_id,
            state: reservation.state,
            lines: reservation.lines.clone(),
            reason: reservation.reason,
            version: reservation.version,
            created_at: reservation.created_at,
            updated_at: reservation.updated_at,
            expires_at: (!takes_stock).then(|| reservation.updated_at.as_seconds() + KEPT_SECONDS),
            traceparent: traceparent(),
        }
    }
}

impl From<ReservationRow> for Reservation {
    fn from(row: ReservationRow) -> Self {
        Self {
            order_id: row.order_id,
            state: row.state,
            lines: row.lines,
            reason: row.reason,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

fn row_id(order_id: Uuid) -> String {
    format!("reservation#{order_id}")
}

fn key(order_id: Uuid) -> Key {
    Key::new(KEY, row_id(order_id))
}

/// More units than this no product can have, so that the condition on its stock fails as it should.
fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

/// A failed condition, or rivals for the same rows that did not give way, are reasons to look again.
fn outcome(result: Result<(), TransactionError>) -> Result<Outcome, StoreError> {
    match result {
        Ok(()) => Ok(Outcome::Written),
        Err(TransactionError::Cancelled(reasons)) => {
            let overtaken = reasons.iter().any(|reason| matches!(reason, Reason::ConditionFailed(_)));
            if overtaken { Ok(Outcome::Overtaken) } else { Err(rejected(&reasons)) }
        }
        Err(TransactionError::Store(StoreError::Conflict(_))) => Ok(Outcome::Overtaken),
        Err(TransactionError::Store(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use domain_events::{Currency, Money};
    use dynamodb_store::Table;
    use test_support::{Emulator, TestTable};

    use super::{super::StockOrder, *};
    use crate::domain::{Category, Description, NewProduct, ProductChange, ProductName, StockChange};

    const ORDER: Uuid = Uuid::from_u128(1);

    struct Shelf {
        repository: Repository,
        product: Product,
        _table: TestTable,
    }

    impl Shelf {
        async fn with_stock(stock: u32) -> Self {
            let table = TestTable::products();
            let repository = Repository::new(Table::new(&Emulator::sdk_config(), table.name()));
            let new = NewProduct {
                name: ProductName::try_from("Mug".to_owned()).unwrap(),
                description: Description::default(),
                category: Category::try_from("Kitchen".to_owned()).unwrap(),
                price: price(500),
                stock,
            };
            let product = new.into_product(Uuid::now_v7(), Timestamp::now());
            repository.create(&product).await.unwrap();
            Self { repository, product, _table: table }
        }

        /// What would be written for an order of three, as things stand.
        async fn decided(&self) -> Reservation {
            let line = Line { product_id: self.product.product_id, quantity: 3, unit_price: None };
            let (_, offers) = self.repository.order(ORDER, &[line]).await.unwrap();
            Reservation::decide(ORDER, &[line], &offers, Timestamp::now())
        }

        async fn stock(&self) -> u32 {
            let product = self.repository.product(self.product.product_id, Consistency::Strong).await;
            product.unwrap().stock
        }
    }

    fn price(amount: i64) -> Money {
        Money { amount, currency: Currency::try_from("EUR".to_owned()).unwrap() }
    }

    #[tokio::test]
    async fn a_reservation_is_overtaken_by_a_new_price() {
        let shelf = Shelf::with_stock(5).await;
        let decided = shelf.decided().await;
        let change = ProductChange { price: Some(price(600)), ..ProductChange::default() };
        shelf.repository.change(shelf.product.product_id, change, None, Timestamp::now()).await.unwrap();
        assert_eq!(shelf.repository.reserve(&decided).await.unwrap(), Outcome::Overtaken);
        assert_eq!((shelf.stock().await, shelf.repository.reservation(ORDER).await.unwrap()), (5, None));
    }

    #[tokio::test]
    async fn a_reservation_is_overtaken_by_falling_stock() {
        let shelf = Shelf::with_stock(5).await;
        let decided = shelf.decided().await;
        let (product_id, change) = (shelf.product.product_id, StockChange::try_from(-3).unwrap());
        let less = StockOrder { product_id, change, expected: None, once: None };
        shelf.repository.change_stock(&less, Timestamp::now()).await.unwrap();
        assert_eq!(shelf.repository.reserve(&decided).await.unwrap(), Outcome::Overtaken);
        assert_eq!(shelf.stock().await, 2);
    }

    #[tokio::test]
    async fn a_reservation_is_overtaken_by_the_removal_of_its_product() {
        let shelf = Shelf::with_stock(5).await;
        let decided = shelf.decided().await;
        shelf.repository.remove(shelf.product.product_id, None).await.unwrap();
        assert_eq!(shelf.repository.reserve(&decided).await.unwrap(), Outcome::Overtaken);
    }

    #[tokio::test]
    async fn a_reservation_is_overtaken_by_the_order_being_given_up() {
        let shelf = Shelf::with_stock(5).await;
        let decided = shelf.decided().await;
        let tombstone = Reservation::tombstone(ORDER, Timestamp::now());
        assert_eq!(shelf.repository.reserve(&tombstone).await.unwrap(), Outcome::Written);
        assert_eq!(shelf.repository.reserve(&decided).await.unwrap(), Outcome::Overtaken);
        assert_eq!(shelf.stock().await, 5);
    }

    #[tokio::test]
    async fn stock_comes_back_once_and_the_reservation_then_expires() {
        let shelf = Shelf::with_stock(5).await;
        let decided = shelf.decided().await;
        assert_eq!(shelf.repository.reserve(&decided).await.unwrap(), Outcome::Written);
        let row: ReservationRow =
            shelf.repository.table.get(&key(ORDER), Consistency::Strong).await.unwrap().unwrap();
        assert_eq!((shelf.stock().await, row.expires_at), (2, None));

        let (products, now) = (HashSet::from([shelf.product.product_id]), Timestamp::now());
        assert_eq!(shelf.repository.release(&decided, &products, now).await.unwrap(), Outcome::Written);
        assert_eq!(shelf.repository.release(&decided, &products, now).await.unwrap(), Outcome::Overtaken);
        let row: ReservationRow =
            shelf.repository.table.get(&key(ORDER), Consistency::Strong).await.unwrap().unwrap();
        assert_eq!(shelf.stock().await, 5);
        assert_eq!(row.expires_at, Some(now.as_seconds() + KEPT_SECONDS));
    }

    #[tokio::test]
    async fn a_product_that_goes_during_a_release_is_looked_for_again() {
        let shelf = Shelf::with_stock(5).await;
        let decided = shelf.decided().await;
        assert_eq!(shelf.repository.reserve(&decided).await.unwrap(), Outcome::Written);
        shelf.repository.remove(shelf.product.product_id, None).await.unwrap();
        let seen_before = HashSet::from([shelf.product.product_id]);
        let now = Timestamp::now();
        assert_eq!(shelf.repository.release(&decided, &seen_before, now).await.unwrap(), Outcome::Overtaken);
        assert_eq!(shelf.repository.release(&decided, &HashSet::new(), now).await.unwrap(), Outcome::Written);
    }
}
