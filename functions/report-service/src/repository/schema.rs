use serde::Serialize;
use sqlx::{Connection as _, PgConnection, migrate::MigrateError};

use super::{LOCK, Repository, UnderWay, rebuild};
use crate::database::{Database, DatabaseError, MIGRATIONS, SchemaMismatch};

/// What a migration has done.
#[derive(Debug, Serialize)]
pub(crate) struct Migrated {
    from: i64,
    to: i64,
    /// Names of the steps, as their files are called.
    applied: Vec<String>,
}

/// What an operator wants to know first.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    /// Version of the schema that there is; 0 if there is none.
    schema: i64,
    /// Version that this code knows.
    expected: i64,
    rebuild: Option<UnderWay>,
    /// How many orders there are; none if the schema is another one.
    orders: Option<i64>,
}

/// Why the schema stays as it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MigrationError {
    #[error("rebuild {} is under way, begun by {} at {}: end it first", .0.rebuild_id, .0.by, .0.started_at)]
    Rebuilding(UnderWay),
    #[error("the migration failed")]
    Failed(#[from] MigrateError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl From<SchemaMismatch> for MigrationError {
    fn from(error: SchemaMismatch) -> Self {
        Self::Database(error.into())
    }
}

impl Repository {
    /// Brings the schema to the version that this code knows. Of several at once one does it, and the others find it
    /// done.
    pub(crate) async fn migrate(&self) -> Result<Migrated, MigrationError> {
        // The lock is the session's, because every step is a transaction of its own; it ends with the connection.
        let mut connection = self.database.connection().await?;
        let migrated = migrate(&mut connection).await;
        telemetry::can_fail("closing the connection", connection.close().await);
        migrated
    }

    /// What there is, whatever its schema.
    pub(crate) async fn status(&self) -> Result<Status, DatabaseError> {
        let mut connection = self.database.connection().await?;
        let status = status(&mut connection).await;
        telemetry::can_fail("closing the connection", connection.close().await);
        status
    }
}

async fn migrate(connection: &mut PgConnection) -> Result<Migrated, MigrationError> {
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(LOCK)
        .execute(&mut *connection)
        .await
        .map_err(DatabaseError::from)?;
    let from = Database::schema_version(connection).await?;
    let expected = SchemaMismatch::expected();
    if from > expected {
        return Err(SchemaMismatch::Newer { found: from, expected }.into());
    }
    if from > 0
        && let Some(rebuild) = rebuild::under_way(connection).await?
    {
        return Err(MigrationError::Rebuilding(rebuild));
    }
    MIGRATIONS.run_direct(None, &mut *connection, false).await?;
    let steps = MIGRATIONS.iter().filter(|step| step.version > from);
    let applied =
        steps.map(|step| format!("{:04}_{}", step.version, step.description.replace(' ', "_"))).collect();
    Ok(Migrated { from, to: expected, applied })
}

async fn status(connection: &mut PgConnection) -> Result<Status, DatabaseError> {
    let schema = Database::schema_version(connection).await?;
    let expected = SchemaMismatch::expected();
    let (mut rebuild, mut orders) = (None, None);
    if schema == expected {
        rebuild = rebuild::under_way(connection).await?;
        orders = Some(sqlx::query_scalar("SELECT count(*) FROM report.orders").fetch_one(connection).await?);
    }
    Ok(Status { schema, expected, rebuild, orders })
}
