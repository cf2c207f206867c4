//! What keeps reports up to date, whoever asks for it: messages, or an operator who has everything projected anew.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    database::DatabaseError,
    domain::{Order, Product},
    repository::{
        Change, Migrated, MigrationError, OrderContents, Page, ProductContents, RebuildError, Repository,
        Selection, Status, Swapped,
    },
};

/// How often something is tried that other transactions are in the way of.
const TRIES: u32 = 4;

/// The wait before it is tried again, and twice that before the next time.
const PAUSE: Duration = Duration::from_millis(10);

/// The use cases. What messages ask for may be repeated, and come in any order.
#[derive(Debug, Clone)]
pub(crate) struct Projection {
    repository: Repository,
}

/// What messages report.
impl Projection {
    pub(crate) fn new(repository: Repository) -> Self {
        Self { repository }
    }

    /// Something happened to an order.
    pub(crate) async fn order(&self, order: Order) -> Result<(), DatabaseError> {
        self.apply(&Change::Order(order)).await
    }

    /// Something happened to a product.
    pub(crate) async fn product(&self, product: Product) -> Result<(), DatabaseError> {
        self.apply(&Change::Product(product)).await
    }

    /// An account was deleted: from now on nobody knows whose orders those were.
    pub(crate) async fn erase(&self, user_id: Uuid) -> Result<(), DatabaseError> {
        self.apply(&Change::Erasure(user_id)).await
    }

    async fn apply(&self, change: &Change) -> Result<(), DatabaseError> {
        self.insist(|| self.repository.apply(change)).await
    }
}

/// What operators ask for.
impl Projection {
    /// Brings the schema to the version that this code knows.
    pub(crate) async fn migrate(&self) -> Result<Migrated, MigrationError> {
        self.repository.migrate().await
    }

    /// Which schema there is, whether a rebuild is under way.
    pub(crate) async fn status(&self) -> Result<Status, DatabaseError> {
        self.repository.status().await
    }

    /// Begins to project everything anew; with `restart`, also if that is under way already.
    pub(crate) async fn start_rebuild(&self, by: &str, restart: bool) -> Result<Uuid, RebuildError> {
        self.insist(|| self.repository.start_rebuild(by, restart)).await
    }

    /// Takes over orders as their table has them, no two with one id.
    pub(crate) async fn rebuild_orders(
        &self,
        rebuild_id: Uuid,
        orders: &[Order],
    ) -> Result<(), RebuildError> {
        self.insist(|| self.repository.rebuild_orders(rebuild_id, orders)).await
    }

    /// Takes over products as their table has them, no two with one id.
    pub(crate) async fn rebuild_products(
        &self,
        rebuild_id: Uuid,
        products: &[Product],
    ) -> Result<(), RebuildError> {
        self.insist(|| self.repository.rebuild_products(rebuild_id, products)).await
    }

    /// Forgets customers of whom there are orders and no account.
    pub(crate) async fn rebuild_erased(
        &self,
        rebuild_id: Uuid,
        user_ids: &[Uuid],
    ) -> Result<(), RebuildError> {
        self.insist(|| self.repository.rebuild_erased(rebuild_id, user_ids)).await
    }

    /// Ends a rebuild: reports are made of what it has written.
    pub(crate) async fn swap(&self, rebuild_id: Uuid) -> Result<Swapped, RebuildError> {
        self.insist(|| self.repository.swap(rebuild_id)).await
    }

    /// Gives a rebuild up.
    pub(crate) async fn abandon_rebuild(&self, rebuild_id: Option<Uuid>) -> Result<(), RebuildError> {
        self.insist(|| self.repository.abandon_rebuild(rebuild_id)).await
    }

    /// What is known of orders.
    pub(crate) async fn read_orders(
        &self,
        selection: Selection,
    ) -> Result<Page<OrderContents>, DatabaseError> {
        self.insist(|| self.repository.read_orders(&selection)).await
    }

    /// What is known of products.
    pub(crate) async fn read_products(
        &self,
        selection: Selection,
    ) -> Result<Page<ProductContents>, DatabaseError> {
        self.insist(|| self.repository.read_products(&selection)).await
    }
}

impl Projection {
    /// Does one transaction, and does it again if the database gave it up for another one.
    async fn insist<T, E, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, E>
    where
        E: OfTheDatabase,
        F: Future<Output = Result<T, E>>,
    {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            // On the heap: futures of the database hold many others, too many for the compiler to look through.
            match Box::pin(attempt()).await {
                Err(error) if error.of_the_database().is_some_and(DatabaseError::is_conflict) => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                done => return self.learn_from(done),
            }
        }
        self.learn_from(Box::pin(attempt()).await)
    }

    fn learn_from<T, E: OfTheDatabase>(&self, done: Result<T, E>) -> Result<T, E> {
        done.inspect_err(|error| {
            if let Some(error) = error.of_the_database() {
                self.repository.learn_from(error);
            }
        })
    }
}

/// An error that can come from the database.
trait OfTheDatabase {
    fn of_the_database(&self) -> Option<&DatabaseError>;
}

impl OfTheDatabase for DatabaseError {
    fn of_the_database(&self) -> Option<&DatabaseError> {
        Some(self)
    }
}

impl OfTheDatabase for RebuildError {
    fn of_the_database(&self) -> Option<&DatabaseError> {
        if let Self::Database(error) = self { Some(error) } else { None }
    }
}
