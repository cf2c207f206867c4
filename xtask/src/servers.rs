use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use local_servers::{Postgres, Redis};

use crate::cloud::Cloud;

/// What a shop can have beside the rest, and what real servers there are for on this machine.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Extra {
    /// A cache of products, in Redis
    Cache,
    /// Reports on sales, in PostgreSQL
    Reporting,
}

/// The real servers behind what the local cloud only records. They end with this value.
#[derive(Default)]
pub(crate) struct Servers {
    /// Behind the cache.
    pub(crate) redis: Option<Redis>,
    /// Behind the reports.
    pub(crate) postgres: Option<Postgres>,
    roots: PathBuf,
}

impl Extra {
    /// The parameters that switch some of it on.
    pub(crate) fn parameters(of: &[Self]) -> Vec<&'static str> {
        let network = (!of.is_empty()).then_some("Network=vpc");
        let switches = of.iter().map(|extra| match extra {
            Self::Cache => "Cache=true",
            Self::Reporting => "Reporting=true",
        });
        network.into_iter().chain(switches).collect()
    }
}

impl Servers {
    /// Starts what some extras need. The certificates that functions have to trust go to a file of this name.
    pub(crate) fn start(extras: &[Extra], name: &str) -> Result<Self> {
        let redis = extras.contains(&Extra::Cache).then(Redis::start).transpose();
        let postgres = extras.contains(&Extra::Reporting).then(Postgres::start).transpose();
        let (redis, postgres) = (redis.context("no Redis")?, postgres.context("no PostgreSQL")?);
        let fronts =
            redis.as_ref().map(Redis::roots).into_iter().chain(postgres.as_ref().map(Postgres::roots));
        let roots = env::current_dir()?.join(".local").join(name).with_extension("pem");
        fs::write(&roots, fronts.collect::<String>())
            .with_context(|| format!("can't write {}", roots.display()))?;
        Ok(Self { redis, postgres, roots })
    }

    /// What the launcher of the local cloud has to know of them.
    pub(crate) fn options(&self) -> Vec<String> {
        let cache =
            self.redis.as_ref().map(|redis| format!("--cache=localhost:{}", redis.line().address().port()));
        let database = self.postgres.as_ref().map(|postgres| {
            let (host, port) = postgres.host_and_port();
            format!("--database={host}:{port}")
        });
        let some = cache.is_some() || database.is_some();
        let roots = some.then(|| format!("--roots={}", self.roots.display()));
        cache.into_iter().chain(database).chain(roots).collect()
    }

    /// Gives them the passwords that were made with the stack, which on AWS are given to the cache and the database when
    /// they are made.
    pub(crate) fn stand_in(&self, cloud: Cloud) -> Result<()> {
        let passwords = cloud.passwords()?;
        let password = |of: &str, field: &str| {
            let text = passwords[of][field].as_str().map(str::to_owned);
            text.with_context(|| format!("the stack has no {field} of a {of}"))
        };
        if let Some(redis) = &self.redis {
            redis.set_auth_token(&password("cache", "auth_token")?)?;
        }
        if let Some(postgres) = &self.postgres {
            let user = password("database", "username")?;
            postgres.set_password(&user, &password("database", "password")?)?;
            postgres.create_database(&password("database", "dbname")?, &user)?;
        }
        Ok(())
    }
}
