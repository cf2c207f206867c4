use service_config::ConfigError;

use super::MIGRATIONS;

/// Why the database did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Where it is, or the password, can't be read.
    #[error(transparent)]
    Secret(#[from] ConfigError),
    /// It has another schema than this code knows.
    #[error(transparent)]
    Schema(#[from] SchemaMismatch),
    /// It can't be reached, or refuses.
    #[error("the database failed")]
    Failed(#[from] sqlx::Error),
}

/// The database has another schema than this code knows.
#[derive(Debug, thiserror::Error)]
pub enum SchemaMismatch {
    /// Migrations are missing.
    #[error(
        "the database has schema version {found}, this code needs {expected}: run `cargo xtask report migrate`"
    )]
    Older {
        /// What the database has.
        found: i64,
        /// What this code knows.
        expected: i64,
    },
    /// Newer code has been there.
    #[error("the database has schema version {found}, this code knows {expected}: deploy the newer code")]
    Newer {
        /// What the database has.
        found: i64,
        /// What this code knows.
        expected: i64,
    },
}

impl SchemaMismatch {
    /// The version that this code knows.
    pub(crate) fn expected() -> i64 {
        MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
    }

    /// Refuses any other version.
    pub(crate) fn check(found: i64) -> Result<(), Self> {
        let expected = Self::expected();
        match found.cmp(&expected) {
            std::cmp::Ordering::Less => Err(Self::Older { found, expected }),
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(Self::Newer { found, expected }),
        }
    }
}

impl DatabaseError {
    /// Whether the same may succeed later. What the database refuses because of what it was given stays refused.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Secret(_) | Self::Schema(_) => true,
            Self::Failed(sqlx::Error::Database(error)) => {
                !error.code().is_some_and(|code| ["22", "23", "42"].contains(&&code[..2]))
            }
            Self::Failed(error) => !matches!(
                error,
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::Encode(_)
            ),
        }
    }

    /// Another transaction was in the way, and this one was given up for it: it may succeed at once.
    pub(crate) fn is_conflict(&self) -> bool {
        // Serialization failure, deadlock.
        self.has_code(&["40001", "40P01"])
    }

    /// A statement took longer than it may.
    pub(crate) fn is_timeout(&self) -> bool {
        self.has_code(&["57014"])
    }

    /// A number came out that is too large for its type.
    pub(crate) fn is_out_of_range(&self) -> bool {
        self.has_code(&["22003"])
    }

    /// The connection is at fault, and so it would be the next time: its server takes no writes because another one has
    /// become the first of the cluster, or what it has prepared is of another schema.
    pub(crate) fn is_of_the_connection(&self) -> bool {
        // Read-only transaction; cached plan must not change result type.
        self.has_code(&["25006", "0A000"])
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        matches!(self, Self::Failed(error) if has_code(error, codes))
    }
}

/// The password, or the user, is not the right one (any more).
pub(super) fn is_rejected_login(error: &sqlx::Error) -> bool {
    has_code(error, &["28P01", "28000"])
}

pub(super) fn is_undefined_table(error: &sqlx::Error) -> bool {
    has_code(error, &["42P01"])
}

fn has_code(error: &sqlx::Error, codes: &[&str]) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| codes.contains(&&*code))
}
