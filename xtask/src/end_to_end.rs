use std::process::Command;

use anyhow::{Context, Result};

use crate::{
    checks::passed_tests,
    cloud::{self, Access, Cloud, ENVIRONMENT, redeployment},
    processes::{self, execute, log_path},
};

/// Sets of parameters in `template-checks/variants.json`.
const DEFAULT: &str = "default";
const EVERYTHING: &str = "everything-on";
const EVERYTHING_ON_MANAGED_INSTANCES: &str = "everything-on-managed-instances";

/// Tests of what comes with switches, and those that change them.
const NOT_BY_DEFAULT: [&str; 3] = ["updates::", "load_balancer::", "throttling::"];
/// Tests of what no switch touches, and those that change them. The secret is rotated once more by what comes next, and
/// only the version before is kept.
const NOT_WITH_EVERYTHING: [&str; 6] =
    ["updates::", "load::", "attaching::", "deletion::", "rotation::", "sessions::"];
/// Tests of what every deployment has to do: orders, and pictures.
const ESSENTIAL: [&str; 2] = ["story::", "files::a_picture_of_each_type"];

/// Takes one stack on a local cloud that enforces access from its defaults to all that is optional and back, and deletes
/// it; makes one with everything from nothing, and deletes that. Answers how many tests passed on the way.
pub(crate) fn run() -> Result<u32> {
    let (cloud, _process) = Cloud::start(cloud::free_port()?, Access::Enforced, "end-to-end-cloud")?;
    let outcome = go_round(cloud);
    if outcome.is_err() {
        let log = log_path("end-to-end-cloud");
        println!("\nthe local cloud's last lines (all: {}):\n{}", log.display(), processes::tail(&log));
    }
    outcome
}

fn go_round(cloud: Cloud) -> Result<u32> {
    let mut passed = 0;
    cloud.deploy("end-to-end-deploy")?;
    passed += shop_tests(cloud, DEFAULT, &without(&NOT_BY_DEFAULT))?;
    passed += counted(&mut cargo_test(cloud, &["--test", "tools", "--", "--ignored"])?, "tools")?;

    passed += update(cloud, EVERYTHING)?;
    passed += shop_tests(cloud, EVERYTHING, &without(&NOT_WITH_EVERYTHING))?;
    // Here, because some permissions are only granted together with what needs them.
    passed += counted(&mut cargo_test(cloud, &["--test", "permissions", "--", "--ignored"])?, "permissions")?;

    passed += update(cloud, EVERYTHING_ON_MANAGED_INSTANCES)?;
    passed += shop_tests(cloud, EVERYTHING_ON_MANAGED_INSTANCES, &ESSENTIAL)?;

    passed += update(cloud, DEFAULT)?;
    passed += shop_tests(cloud, "default-again", &ESSENTIAL)?;

    cloud.delete("end-to-end-delete")?;
    cloud.redeploy(EVERYTHING, "end-to-end-create")?;
    cloud.shop(&cloud.outputs()?)?;
    cloud.delete("end-to-end-delete-again")?;
    Ok(passed)
}

/// Changes the parameters of the stack, under the eyes of the test that shows what this does to the open shop.
fn update(cloud: Cloud, variant: &str) -> Result<u32> {
    let mut test = cargo_test(cloud, &["--test", "local_cloud", "--", "--ignored", "updates::"])?;
    counted(test.env("SHOP_DEPLOYMENT", redeployment(variant)), &format!("to-{variant}"))
        .with_context(|| format!("while the stack became {variant}"))
}

/// Selects all tests but those of some modules.
fn without(modules: &[&'static str]) -> Vec<&'static str> {
    modules.iter().flat_map(|module| ["--skip", module]).collect()
}

/// Runs tests of the open shop.
fn shop_tests(cloud: Cloud, stage: &str, selection: &[&str]) -> Result<u32> {
    let arguments = [&["--test", "local_cloud", "--", "--ignored"], selection].concat();
    counted(&mut cargo_test(cloud, &arguments)?, stage)
}

/// Both packages in every call, so that what they share is built once.
fn cargo_test(cloud: Cloud, arguments: &[&str]) -> Result<Command> {
    let shop = cloud.shop(&cloud.outputs()?)?;
    let mut test = cloud.client("cargo");
    test.args(["test", "--package", "end-to-end", "--package", "operations", "--locked"])
        .args(arguments)
        .env("SHOP_API_URL", shop.url)
        .env("SHOP_LOAD_BALANCER_URL", cloud.load_balancer_url())
        .env("SHOP_CLOUD_URL", cloud.url())
        .env("SHOP_ENVIRONMENT", ENVIRONMENT);
    Ok(test)
}

fn counted(test: &mut Command, stage: &str) -> Result<u32> {
    let log = format!("end-to-end-{stage}");
    execute(test, &log)?;
    passed_tests(&log)
}
