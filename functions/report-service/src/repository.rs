//! The tables of reports: what is written for each change, so that changes can come in any order and any number of
//! times; and how a rebuild fills tables of its own beside.

/// What is in the tables, for who compares it with what should be.
mod contents;
/// Projecting everything anew, beside what goes on.
mod rebuild;
/// The schema, made and changed.
mod schema;
/// The statements that write, for either schema.
mod statements;

use sqlx::PgConnection;
use uuid::Uuid;

use self::statements::{LIVE, NEXT, Tables};
pub(crate) use self::{
    contents::{OrderContents, Page, ProductContents, Selection},
    rebuild::{RebuildError, Swapped, UnderWay},
    schema::{Migrated, MigrationError, Status},
};
use crate::{
    database::{Database, DatabaseError, Transaction},
    domain::{Order, Product},
};

/// Everybody who writes to the tables holds this lock until the transaction ends: together with the others, unless it
/// changes what they go by, which is whose account is deleted and whether a rebuild is under way.
///
/// It is a lock of a transaction, with which a proxy can go on sharing connections, and the first that any takes; whoever
/// waits for it is served in turn.
const LOCK: i64 = 0x7265_706f_7274_7300;

/// The tables of reports.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    database: Database,
}

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Change {
    /// To an order.
    Order(Order),
    /// To a product.
    Product(Product),
    /// The account of this customer was deleted.
    Erasure(Uuid),
}

/// With whom a transaction holds the lock.
#[derive(Debug, Clone, Copy)]
enum Hold {
    Together,
    Alone,
}

impl Repository {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Learns from the failure of a transaction.
    pub(crate) fn learn_from(&self, error: &DatabaseError) {
        self.database.learn_from(error);
    }

    /// Writes what a change means, in one transaction; while a rebuild is under way, for its tables, too. What was
    /// written before, or is older than what was written, changes nothing.
    pub(crate) async fn apply(&self, change: &Change) -> Result<(), DatabaseError> {
        let hold = if matches!(change, Change::Erasure(_)) { Hold::Alone } else { Hold::Together };
        let mut transaction = self.begin(hold).await?;
        if let Change::Erasure(user_id) = change {
            statements::remember_erased(&mut transaction, &[*user_id]).await?;
        }
        write(&mut transaction, &LIVE, change).await?;
        if rebuild::under_way(&mut transaction).await?.is_some() {
            write(&mut transaction, &NEXT, change).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Begins a transaction that holds the lock.
    async fn begin(&self, hold: Hold) -> Result<Transaction, DatabaseError> {
        let mut transaction = self.database.write().await?;
        // A statement of its own: what is read after it has been done by then.
        let lock = match hold {
            Hold::Together => "SELECT pg_advisory_xact_lock_shared($1)",
            Hold::Alone => "SELECT pg_advisory_xact_lock($1)",
        };
        sqlx::query(lock).bind(LOCK).execute(&mut *transaction).await?;
        Ok(transaction)
    }
}

async fn write(connection: &mut PgConnection, tables: &Tables, change: &Change) -> Result<(), DatabaseError> {
    match change {
        Change::Order(order) => tables.write_orders(connection, std::slice::from_ref(order)).await,
        Change::Product(product) => tables.write_products(connection, std::slice::from_ref(product)).await,
        Change::Erasure(user_id) => tables.forget_customers(connection, &[*user_id]).await,
    }
}
