use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use local_servers::{Postgres, Redis};
use redis::{Connection, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, cmd};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::world::World;

/// The rows of PostgreSQL's tables, by the tables' names: `report.orders`.
pub(crate) type ReportRows = BTreeMap<String, Vec<Value>>;

/// Something that Redis holds.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: String,
    /// In how long it expires; `None` if it does not.
    pub(crate) expires_in: Option<Duration>,
}

/// The real Redis and PostgreSQL of a run, each with a line to it that can fail.
pub(crate) struct Stores {
    pub(crate) redis: Redis,
    pub(crate) postgres: Postgres,
    /// The name of the reports' database.
    pub(crate) database: String,
}

/// What no entry of a cache looks like.
const GARBAGE: &[u8] = b"\xff{\"version\":";
/// So little memory that nothing more fits.
const NO_MEMORY: usize = 1;

impl Stores {
    /// Starts both where the functions look for them. PostgreSQL gets the names and the password that the stack made up,
    /// and the stack gets Redis' token.
    pub(crate) async fn start(world: &World) -> Result<Arc<Self>> {
        let database = world.secret("microservices/database").await?;
        let login = world.secret_of(text(&database, "password_secret_arn")?).await?;
        let (redis_port, postgres_port) = (world.redis_port, world.postgres_port);
        let roots = world.roots.clone();
        let start = move || {
            let (name, user) = (text(&database, "dbname")?, text(&login, "username")?);
            let redis = Redis::start_on(Some(redis_port), None)?;
            let postgres = Postgres::start_on(Some(postgres_port), None)?;
            postgres.set_password(user, text(&login, "password")?)?;
            postgres.create_database(name, user)?;
            let stores = Self { redis, postgres, database: name.to_owned() };
            fs::write(&roots, [stores.redis.roots(), stores.postgres.roots()].concat())
                .with_context(|| format!("can't write {}", roots.display()))?;
            anyhow::Ok(Arc::new(stores))
        };
        let stores = spawn_blocking(start).await??;
        let token = json!({ "auth_token": stores.redis.auth_token() });
        world.put_secret("microservices/redis", &token).await?;
        Ok(stores)
    }

    /// Forgets everything that is in Redis.
    pub(crate) fn flush(&self) -> Result<()> {
        Ok(cmd("FLUSHALL").exec(&mut self.redis()?)?)
    }

    /// Puts what nobody has written in the place of everything that is in Redis.
    pub(crate) fn garble(&self) -> Result<()> {
        let mut redis = self.redis()?;
        for key in keys(&mut redis)? {
            cmd("SET").arg(key).arg(GARBAGE).arg("XX").arg("KEEPTTL").exec(&mut redis)?;
        }
        Ok(())
    }

    /// Lets Redis take nothing more, or as much as it likes.
    pub(crate) fn fill(&self, is_full: bool) -> Result<()> {
        let limit = if is_full { NO_MEMORY } else { 0 };
        Ok(cmd("CONFIG").arg("SET").arg("maxmemory").arg(limit).exec(&mut self.redis()?)?)
    }

    /// Everything that is in Redis.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>> {
        let mut redis = self.redis()?;
        let mut entries = Vec::new();
        for key in keys(&mut redis)? {
            let left: i64 = cmd("PTTL").arg(&key).query(&mut redis)?;
            let value: Option<Vec<u8>> = cmd("GET").arg(&key).query(&mut redis)?;
            // It may have expired by now.
            if let Some(value) = value {
                let expires_in = u64::try_from(left).ok().map(Duration::from_millis);
                let value = String::from_utf8_lossy(&value).into_owned();
                entries.push(Entry { key: String::from_utf8_lossy(&key).into_owned(), value, expires_in });
            }
        }
        Ok(entries)
    }

    /// Everything that is in the reports' database.
    pub(crate) fn rows(&self) -> Result<ReportRows> {
        let tables = self.postgres.psql(
            &self.database,
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables \
             WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
        )?;
        let mut rows = ReportRows::new();
        for table in tables.lines() {
            let sql = format!("SELECT coalesce(json_agg(row_to_json(t)), '[]')::text FROM {table} t");
            let text = self.postgres.psql(&self.database, &sql)?;
            let parsed = serde_json::from_str(&text).with_context(|| format!("the rows of {table}"))?;
            rows.insert(table.to_owned(), parsed);
        }
        Ok(rows)
    }

    fn redis(&self) -> Result<Connection> {
        let address = self.redis.plain_address();
        let info: ConnectionInfo =
            ConnectionAddr::Tcp(address.ip().to_string(), address.port()).into_connection_info()?;
        let login = info.redis_settings().clone().set_password(self.redis.auth_token());
        Ok(redis::Client::open(info.set_redis_settings(login))?.get_connection()?)
    }
}

fn text<'v>(secret: &'v Value, name: &str) -> Result<&'v str> {
    secret[name].as_str().with_context(|| format!("a secret without {name}"))
}

fn keys(redis: &mut Connection) -> Result<Vec<Vec<u8>>> {
    Ok(cmd("KEYS").arg("*").query(redis)?)
}
