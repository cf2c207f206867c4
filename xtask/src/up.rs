use std::fs::File;

use anyhow::{Context, Result, bail};
use local_servers::{Postgres, Redis};

use crate::{
    cloud::{self, Access, Cloud, ENVIRONMENT, State},
    processes::{self, Group, log_path},
    progress::step,
    report,
    seed::{self, ADMIN},
    servers::{Extra, Servers},
    shop::{Shop, text},
    tools::{self, Turn},
};

/// What `up` has that ends with it.
struct Own {
    cloud: Group,
    servers: Servers,
    _held: File,
}

/// Runs the shop until Ctrl-C; or, if it runs already, deploys the code as it is now to it.
pub(crate) fn run(port: u16, with: &[Extra]) -> Result<()> {
    // Before anything that takes time.
    find(port, with)?;
    tools::install()?;
    let turn = Turn::take(".local/up.lock")?;
    let running = find(port, with)?;
    step("build the services", || {
        tools::build().context("the services don't build: correct the error above, then run this again")
    })?;
    let (cloud, mut own) = match running {
        Some(cloud) => (cloud, None),
        None => {
            let (cloud, own) = start(port, with)?;
            (cloud, Some(own))
        }
    };
    let state = State::load().context("the local cloud's password is lost: stop it and run this again")?;
    let extras = extras(&state);
    step("deploy template.yaml", || cloud.deploy_with(&Extra::parameters(&extras), "deploy"))?;
    if let Some(own) = &own {
        own.servers.stand_in(cloud)?;
    }
    if extras.contains(&Extra::Reporting) {
        step("bring the reports' database up to date", || report::migrate(cloud))?;
    }
    let shop = step("wait for the services", || cloud.shop(&cloud.outputs()?))?;
    step("admin and products", || seed::fill(&shop, &cloud.aws(), &state.admin_password))?;
    if extras.contains(&Extra::Reporting) {
        step("some orders", || seed::order(&shop, &state.admin_password))?;
    }
    drop(turn);

    print_summary(cloud, &shop, &state)?;
    let Some(own) = &mut own else {
        if State::is_held()? {
            println!("The shop was running already; the first `cargo xtask up` stays in charge of it.");
        } else {
            println!("The shop was running already, and the `cargo xtask up` that started it is gone.");
            println!("`kill {}` stops the shop and forgets all its data.", cloud.pid);
        }
        return Ok(());
    };
    println!("Ctrl-C stops the shop and forgets all its data.");
    own.cloud.wait()?;
    if !processes::interrupted() {
        bail!("the local cloud ended by itself: see {}", log_path(cloud::LOG).display());
    }
    println!("\nstopped");
    Ok(())
}

/// Starts a cloud, and what it needs behind it.
fn start(port: u16, with: &[Extra]) -> Result<(Cloud, Own)> {
    let servers = if with.is_empty() {
        Servers::default()
    } else {
        step("start Redis and PostgreSQL, as far as they are wanted", || Servers::start(with, "up"))?
    };
    let options = servers.options();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let (cloud, process) =
        step("start the local cloud", || Cloud::start_with(port, Access::Open, &options, cloud::LOG))?;
    let state = State {
        pid: cloud.pid,
        port,
        admin_password: seed::random_password()?,
        redis: servers.redis.as_ref().map(Redis::plain_address),
        postgres: servers.postgres.as_ref().map(Postgres::plain_address),
    };
    Ok((cloud, Own { cloud: process, servers, _held: state.save()? }))
}

/// The cloud that runs already; an error if it is elsewhere or has not what is wanted, or if the port is somebody else's.
fn find(port: u16, with: &[Extra]) -> Result<Option<Cloud>> {
    let cloud = match Cloud::running() {
        Some(cloud) if cloud.port == port => cloud,
        Some(cloud) => bail!(
            "the shop runs already on port {}: leave out --port {port}, or stop it with `kill {}`",
            cloud.port,
            cloud.pid
        ),
        None => return cloud::require_free(port).map(|()| None),
    };
    let has = State::load().map(|state| extras(&state)).unwrap_or_default();
    if with.iter().any(|extra| !has.contains(extra)) {
        bail!("the shop runs already without this: stop it with `kill {}`, then run this again", cloud.pid);
    }
    if !has.is_empty() && !State::is_held()? {
        bail!(
            "the `cargo xtask up` that started the shop is gone, and its Redis and PostgreSQL with it: stop the rest \
             with `kill {}`, then run this again",
            cloud.pid
        );
    }
    Ok(Some(cloud))
}

/// What a running shop has beside the rest.
fn extras(state: &State) -> Vec<Extra> {
    let cache = state.redis.map(|_| Extra::Cache);
    let reporting = state.postgres.map(|_| Extra::Reporting);
    cache.into_iter().chain(reporting).collect()
}

fn print_summary(cloud: Cloud, shop: &Shop, state: &State) -> Result<()> {
    let products = shop.send("GET", "/api/products?limit=1", &[], None)?.expect(200)?;
    let product = text(&products["items"][0], "product_id").unwrap_or("a-product-id");
    let url = &shop.url;
    let password = &state.admin_password;
    let json = "-H 'content-type: application/json'";
    let log = log_path(cloud::LOG);
    let (aws, log) = (cloud.url(), log.display());
    println!(
        r#"
The shop is open at
  {url}
  The local AWS behind it: {aws}

Next steps, to copy
  export SHOP={url}
  curl -sSw '\n' $SHOP/api/products
  curl -sSw '\n' $SHOP/api/users {json} -d '{{"email":"me@shop.example","password":"a long enough one","name":"Me"}}'
  TOKEN=$(curl -sS $SHOP/api/users/login {json} -d '{{"email":"me@shop.example","password":"a long enough one"}}' | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  ORDER=$(curl -sS $SHOP/api/orders -H "authorization: Bearer $TOKEN" -H "idempotency-key: $(date +%s)" {json} -d '{{"items":[{{"product_id":"{product}","quantity":1}}]}}' | sed 's/.*"order_id":"\([^"]*\)".*/\1/')
  curl -sSw '\n' $SHOP/api/orders/$ORDER -H "authorization: Bearer $TOKEN"
  curl -sSw '\n' $SHOP/api/orders/openapi.json
  cargo xtask demo
  cargo xtask doctor

Admin
  {ADMIN}  {password}

Logs
  the services: cargo xtask logs order-service --follow
  the local cloud: {log}
"#
    );
    if let Some(redis) = state.redis {
        let token = cloud.aws().secret(&format!("{ENVIRONMENT}/microservices/redis"))?;
        println!(
            r#"The cache of products is on: Redis at {redis}, behind TLS for the services
  REDISCLI_AUTH={} redis-cli -p {} --scan
"#,
            text(&token, "auth_token")?,
            redis.port()
        );
    }
    if let Some(postgres) = state.postgres {
        println!(
            r#"Reports are on: PostgreSQL at {postgres}, behind TLS for the services
  ADMIN=$(curl -sS $SHOP/api/users/login {json} -d '{{"email":"{ADMIN}","password":"{password}"}}' | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl -sSw '\n' "$SHOP/api/reports/sales?by=product&from=$(date -u +%Y-%m-01)&to=$(date -u -d tomorrow +%F)" -H "authorization: Bearer $ADMIN"
  psql -h 127.0.0.1 -p {} -U postgres microservices
"#,
            postgres.port()
        );
    }
    Ok(())
}
