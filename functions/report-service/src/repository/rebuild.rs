use domain_events::Timestamp;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Hold, Repository,
    statements::{self, NEXT},
};
use crate::{
    database::DatabaseError,
    domain::{Order, Product},
};

/// What takes longer than a change of one order: copying, counting, statistics.
const PATIENCE: &str = "SET LOCAL statement_timeout = '120s'";

/// What is left of the tables before, which nobody uses any more.
const DROP_OLD: &str = "DROP SCHEMA IF EXISTS report_old CASCADE";

/// A rebuild that has begun and not ended.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct UnderWay {
    pub(crate) rebuild_id: Uuid,
    /// Who has begun it.
    pub(crate) by: String,
    pub(crate) started_at: Timestamp,
}

/// What the tables of a rebuild held when they took the place of those before.
#[derive(Debug, Clone, Copy, Serialize, sqlx::FromRow)]
pub(crate) struct Swapped {
    pub(crate) orders: i64,
    pub(crate) lines: i64,
    pub(crate) products: i64,
}

/// Why a rebuild does not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RebuildError {
    #[error("a rebuild is under way, begun by {} at {}: {}", .0.by, .0.started_at, .0.rebuild_id)]
    Taken(UnderWay),
    #[error("rebuild {0} is not under way")]
    NotUnderWay(Uuid),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl From<sqlx::Error> for RebuildError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl Repository {
    /// Makes empty tables beside those that reports are made of. From now on all changes are written to both.
    pub(crate) async fn start_rebuild(&self, by: &str, restart: bool) -> Result<Uuid, RebuildError> {
        let mut transaction = self.begin(Hold::Alone).await?;
        match under_way(&mut transaction).await? {
            Some(other) if !restart => return Err(RebuildError::Taken(other)),
            _ => abandon(&mut transaction).await?,
        }
        for statement in [
            DROP_OLD,
            "CREATE SCHEMA report_next",
            "CREATE TABLE report_next.orders (LIKE report.orders INCLUDING ALL)",
            "CREATE TABLE report_next.order_lines (LIKE report.order_lines INCLUDING ALL)",
            "CREATE TABLE report_next.products (LIKE report.products INCLUDING ALL)",
        ] {
            sqlx::query(statement).execute(&mut *transaction).await?;
        }
        let rebuild_id = Uuid::now_v7();
        sqlx::query("INSERT INTO public.rebuild (rebuild_id, started_by) VALUES ($1, $2)")
            .bind(rebuild_id)
            .bind(by)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(rebuild_id)
    }

    /// Writes orders as their table has them, no two with one id, beside what comes of changes.
    pub(crate) async fn rebuild_orders(
        &self,
        rebuild_id: Uuid,
        orders: &[Order],
    ) -> Result<(), RebuildError> {
        let mut transaction = self.begin(Hold::Together).await?;
        check(&mut transaction, rebuild_id).await?;
        NEXT.write_orders(&mut transaction, orders).await?;
        Ok(transaction.commit().await?)
    }

    /// Writes products as their table has them, no two with one id.
    pub(crate) async fn rebuild_products(
        &self,
        rebuild_id: Uuid,
        products: &[Product],
    ) -> Result<(), RebuildError> {
        let mut transaction = self.begin(Hold::Together).await?;
        check(&mut transaction, rebuild_id).await?;
        NEXT.write_products(&mut transaction, products).await?;
        Ok(transaction.commit().await?)
    }

    /// Forgets customers whose accounts turn out to be deleted, in both schemas: it is as true of the tables that there
    /// are.
    pub(crate) async fn rebuild_erased(
        &self,
        rebuild_id: Uuid,
        user_ids: &[Uuid],
    ) -> Result<(), RebuildError> {
        let mut transaction = self.begin(Hold::Alone).await?;
        check(&mut transaction, rebuild_id).await?;
        statements::remember_erased(&mut transaction, user_ids).await?;
        for tables in [&statements::LIVE, &NEXT] {
            tables.forget_customers(&mut transaction, user_ids).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Lets the tables of the rebuild take the place of those before, at one moment for everybody. The same rebuild can
    /// be swapped in again, which changes nothing: the first answer may have been lost.
    pub(crate) async fn swap(&self, rebuild_id: Uuid) -> Result<Swapped, RebuildError> {
        if let Some(swapped) = self.swapped(rebuild_id).await? {
            return Ok(swapped);
        }
        self.gather_statistics(rebuild_id).await?;
        let mut transaction = self.begin(Hold::Alone).await?;
        sqlx::query(PATIENCE).execute(&mut *transaction).await?;
        check(&mut transaction, rebuild_id).await?;
        for statement in [
            // Products that their table does not have any more: old orders keep their names.
            "INSERT INTO report_next.products (product_id, version, name, category, deleted) \
             SELECT product_id, version, name, category, true FROM report.products \
             ON CONFLICT (product_id) DO NOTHING",
            "ALTER SCHEMA report RENAME TO report_old",
            "ALTER SCHEMA report_next RENAME TO report",
            "DELETE FROM public.rebuild WHERE swapped_at IS NOT NULL",
        ] {
            sqlx::query(statement).execute(&mut *transaction).await?;
        }
        let swapped = sqlx::query_as(
            "UPDATE public.rebuild SET swapped_at = now(), \
             orders = (SELECT count(*) FROM report.orders), \
             lines = (SELECT count(*) FROM report.order_lines), \
             products = (SELECT count(*) FROM report.products) \
             RETURNING orders, lines, products",
        );
        let swapped = swapped.fetch_one(&mut *transaction).await?;
        transaction.commit().await?;
        // In a transaction of its own: it waits for the reports that are being read, and nobody waits for it.
        telemetry::can_fail("dropping the tables before", self.drop_old().await);
        Ok(swapped)
    }

    /// Gives a rebuild up, and what it has written: the one that is meant, or whichever there is.
    pub(crate) async fn abandon_rebuild(&self, rebuild_id: Option<Uuid>) -> Result<(), RebuildError> {
        let mut transaction = self.begin(Hold::Alone).await?;
        match (under_way(&mut transaction).await?, rebuild_id) {
            (Some(present), Some(meant)) if present.rebuild_id != meant => return Ok(()),
            _ => abandon(&mut transaction).await?,
        }
        Ok(transaction.commit().await?)
    }

    async fn swapped(&self, rebuild_id: Uuid) -> Result<Option<Swapped>, DatabaseError> {
        let mut transaction = self.database.read().await?;
        let swapped = sqlx::query_as(
            "SELECT orders, lines, products FROM public.rebuild WHERE rebuild_id = $1 AND swapped_at IS NOT NULL",
        );
        let swapped = swapped.bind(rebuild_id).fetch_optional(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(swapped)
    }

    /// Tells the planner what the new tables hold; it would learn that by itself only some time after the swap. It needs no
    /// lock but those of the tables, with which they can be written to.
    async fn gather_statistics(&self, rebuild_id: Uuid) -> Result<(), RebuildError> {
        let mut transaction = self.database.write().await?;
        sqlx::query(PATIENCE).execute(&mut *transaction).await?;
        check(&mut transaction, rebuild_id).await?;
        let analyze = "ANALYZE report_next.orders, report_next.order_lines, report_next.products";
        sqlx::query(analyze).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    async fn drop_old(&self) -> Result<(), DatabaseError> {
        let mut transaction = self.database.write().await?;
        sqlx::query(DROP_OLD).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }
}

/// The rebuild that is under way.
pub(super) async fn under_way(connection: &mut PgConnection) -> Result<Option<UnderWay>, DatabaseError> {
    let row: Option<(Uuid, String, i64)> = sqlx::query_as(
        "SELECT rebuild_id, started_by, (extract(epoch FROM started_at) * 1000)::bigint \
         FROM public.rebuild WHERE swapped_at IS NULL",
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|(rebuild_id, by, started_at)| UnderWay {
        rebuild_id,
        by,
        started_at: Timestamp::from_millis(started_at),
    }))
}

async fn check(connection: &mut PgConnection, rebuild_id: Uuid) -> Result<(), RebuildError> {
    match under_way(connection).await? {
        Some(present) if present.rebuild_id == rebuild_id => Ok(()),
        _ => Err(RebuildError::NotUnderWay(rebuild_id)),
    }
}

async fn abandon(connection: &mut PgConnection) -> Result<(), DatabaseError> {
    for statement in
        ["DROP SCHEMA IF EXISTS report_next CASCADE", "DELETE FROM public.rebuild WHERE swapped_at IS NULL"]
    {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}
