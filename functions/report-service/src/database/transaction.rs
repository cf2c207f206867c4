use std::ops::{Deref, DerefMut};

use sqlx::{PgConnection, Postgres, pool::PoolConnection};

/// A transaction, and the connection that it is on.
///
/// The connection goes back to the others with the commit alone. From any other end, an error or that the time of a request
/// or message is up, it may not be waited for: it is dropped, with which the server rolls back. The pool would send the
/// rollback and wait for the answer without an end; from a server that is gone without a word there is none, not even to the
/// goodbye that a connection is closed with, and all that time it would count as one of the few that there may be.
#[derive(Debug)]
pub struct Transaction {
    /// None, once it is committed.
    connection: Option<PoolConnection<Postgres>>,
}

impl Transaction {
    /// Begins one with this statement.
    pub(super) async fn begin(
        connection: PoolConnection<Postgres>,
        statement: &'static str,
    ) -> Result<Self, sqlx::Error> {
        let mut transaction = Self { connection: Some(connection) };
        sqlx::raw_sql(statement).execute(&mut *transaction).await?;
        Ok(transaction)
    }

    /// Lets what it has done stand.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("COMMIT").execute(&mut *self).await?;
        drop(self.connection.take());
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect("nobody has it after the commit")
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("nobody has it after the commit")
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        drop(self.connection.take().map(PoolConnection::detach));
    }
}
