use anyhow::{Context, Result, bail};

use crate::{
    cloud::{self, Access, Cloud, State},
    processes::{self, log_path},
    progress::step,
    seed::{self, ADMIN},
    shop::{Shop, text},
    tools::{self, Turn},
};

/// Runs the shop until Ctrl-C; or, if it runs already, deploys the code as it is now to it.
pub(crate) fn run(port: u16) -> Result<()> {
    // Before anything that takes time.
    find(port)?;
    tools::install()?;
    let turn = Turn::take(".local/up.lock")?;
    let running = find(port)?;
    step("build the services", || {
        tools::build().context("the services don't build: correct the error above, then run this again")
    })?;
    let (cloud, mut own) = match running {
        Some(cloud) => (cloud, None),
        None => {
            let (cloud, process) =
                step("start the local cloud", || Cloud::start(port, Access::Open, cloud::LOG))?;
            let state = State { pid: cloud.pid, port, admin_password: seed::random_password()? };
            (cloud, Some((process, state.save()?)))
        }
    };
    step("deploy template.yaml", || cloud.deploy("deploy"))?;
    let shop = step("wait for the services", || cloud.shop(&cloud.outputs()?))?;
    let state = State::load().context("the local cloud's password is lost: stop it and run this again")?;
    step("admin and products", || seed::fill(&shop, &cloud.aws(), &state.admin_password))?;
    drop(turn);

    print_summary(cloud, &shop, &state)?;
    let Some((process, _held)) = &mut own else {
        if State::is_held()? {
            println!("The shop was running already; the first `cargo xtask up` stays in charge of it.");
        } else {
            println!("The shop was running already, and the `cargo xtask up` that started it is gone.");
            println!("`kill {}` stops the shop and forgets all its data.", cloud.pid);
        }
        return Ok(());
    };
    println!("Ctrl-C stops the shop and forgets all its data.");
    process.wait()?;
    if !processes::interrupted() {
        bail!("the local cloud ended by itself: see {}", log_path(cloud::LOG).display());
    }
    println!("\nstopped");
    Ok(())
}

/// The cloud that runs already; an error if it is elsewhere, or if the port is somebody else's.
fn find(port: u16) -> Result<Option<Cloud>> {
    match Cloud::running() {
        Some(cloud) if cloud.port == port => Ok(Some(cloud)),
        Some(cloud) => bail!(
            "the shop runs already on port {}: leave out --port {port}, or stop it with `kill {}`",
            cloud.port,
            cloud.pid
        ),
        None => cloud::require_free(port).map(|()| None),
    }
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
    Ok(())
}
