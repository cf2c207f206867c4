use anyhow::Result;

use crate::{
    bench::{self, Arguments, RUNNER},
    cloud::{self, Access, Cloud},
    processes::command,
    progress::step,
    seed::{self, ADMIN},
};

/// What is simulated around the services alone, without a cloud.
const WITHOUT_CLOUD: [&str; 2] = ["soak", "hot-product"];
/// What the runner calls the load on a deployed shop.
const DEPLOYED: &str = "load";

/// Puts the shop under load, in a cloud that is there for nothing else: nobody's own shop is filled with orders.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let is_alone =
        arguments.arguments.first().is_some_and(|first| WITHOUT_CLOUD.iter().any(|name| first == *name));
    let mut runner = command(RUNNER);
    if !is_alone {
        runner.arg(DEPLOYED);
    }
    runner.args(&arguments.arguments);
    if arguments.ask_for_help() {
        bench::build_runner()?;
        return bench::measure(&mut runner);
    }
    bench::build(arguments)?;
    if is_alone {
        return bench::measure(&mut runner);
    }

    let (cloud, _process) =
        step("start a local cloud", || Cloud::start(cloud::free_port()?, Access::Open, "load-cloud"))?;
    step("deploy template.yaml", || cloud.deploy("load-deploy"))?;
    let shop = step("wait for the services", || cloud.shop(&cloud.outputs()?))?;
    let password = seed::random_password()?;
    step("admin and products", || seed::fill(&shop, &cloud.aws(), &password))?;
    runner.args(["--shop", &shop.url, "--cloud", &cloud.url(), "--admin", ADMIN]);
    bench::measure(runner.env("SHOP_ADMIN_PASSWORD", password))
}
