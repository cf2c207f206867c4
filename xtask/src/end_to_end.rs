use std::process::Command;

use anyhow::{Context, Result};

use crate::{
    checks::passed_tests,
    cloud::{self, Access, Cloud, ENVIRONMENT, redeployment},
    processes::{self, execute, log_path},
    report,
    servers::{Extra, Servers},
};

/// Sets of parameters in `template-checks/variants.json`.
const DEFAULT: &str = "default";
const EVERYTHING: &str = "everything-on";
const EVERYTHING_ON_MANAGED_INSTANCES: &str = "everything-on-managed-instances";

/// Tests of what comes with switches, and those that change them.
const NOT_BY_DEFAULT: [&str; 5] = ["updates::", "load_balancer::", "throttling::", "cache::", "reports::"];
/// Tests of what no switch touches, and those that change them. The secret is rotated once more by what comes next, and
/// only the version before is kept.
const NOT_WITH_EVERYTHING: [&str; 7] =
    ["updates::", "load::", "attaching::", "deletion::", "rotation::", "sessions::", CACHE_LOST];
/// Tests of a shop whose Redis is gone.
const CACHE_LOST: &str = "cache::lost::";
/// Tests of what every deployment has to do: orders, and pictures.
const ESSENTIAL: [&str; 2] = ["story::", "files::a_picture_of_each_type"];
/// And those of a deployment with a cache and reports. The tests of permissions, which come before, leave rows that nobody
/// can read: reports agree with the rest of the tables, but no rebuild and no verification is without a complaint any more.
const ESSENTIAL_WITH_SERVERS: [&str; 8] = [
    "story::",
    "files::a_picture_of_each_type",
    "cache::",
    "reports::reports_are_for_administrators",
    "reports::the_schema_is_as_the_code_expects_it",
    "reports::what_becomes_of_orders_is_in_the_reports_soon",
    "--skip",
    CACHE_LOST,
];

/// Takes one stack on a local cloud that enforces access from its defaults to all that is optional and back, and deletes
/// it; makes one with everything from nothing, and deletes that. Answers how many tests passed on the way.
pub(crate) fn run() -> Result<u32> {
    let servers = Servers::start(&[Extra::Cache, Extra::Reporting], "end-to-end")?;
    let options = servers.options();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let (cloud, _process) =
        Cloud::start_with(cloud::free_port()?, Access::Enforced, &options, "end-to-end-cloud")?;
    let outcome = Round { cloud, servers: &servers }.go();
    if outcome.is_err() {
        let log = log_path("end-to-end-cloud");
        println!("\nthe local cloud's last lines (all: {}):\n{}", log.display(), processes::tail(&log));
    }
    outcome
}

/// A stack on its way, with the servers behind its cache and its database.
struct Round<'a> {
    cloud: Cloud,
    servers: &'a Servers,
}

impl Round<'_> {
    fn go(&self) -> Result<u32> {
        let (cloud, servers) = (self.cloud, self.servers);
        let mut passed = 0;
        cloud.deploy("end-to-end-deploy")?;
        passed += self.shop_tests(DEFAULT, &without(&NOT_BY_DEFAULT))?;
        passed += counted(&mut self.cargo_test(&["--test", "tools", "--", "--ignored"])?, "tools")?;

        passed += self.update(EVERYTHING)?;
        servers.stand_in(cloud)?;
        report::migrate(cloud)?;
        passed += self.shop_tests(EVERYTHING, &without(&NOT_WITH_EVERYTHING))?;
        // Here, because some permissions are only granted together with what needs them.
        passed +=
            counted(&mut self.cargo_test(&["--test", "permissions", "--", "--ignored"])?, "permissions")?;

        passed += self.update(EVERYTHING_ON_MANAGED_INSTANCES)?;
        report::migrate(cloud)?;
        passed += self.shop_tests(EVERYTHING_ON_MANAGED_INSTANCES, &ESSENTIAL_WITH_SERVERS)?;
        if let Some(redis) = &servers.redis {
            redis.stop()?;
        }
        passed += self.shop_tests("cache-lost", &[CACHE_LOST, "story::"])?;

        passed += self.update(DEFAULT)?;
        passed += self.shop_tests("default-again", &ESSENTIAL)?;

        cloud.delete("end-to-end-delete")?;
        cloud.redeploy(EVERYTHING, "end-to-end-create")?;
        cloud.shop(&cloud.outputs()?)?;
        cloud.delete("end-to-end-delete-again")?;
        Ok(passed)
    }

    /// Changes the parameters of the stack, under the eyes of the test that shows what this does to the open shop.
    fn update(&self, variant: &str) -> Result<u32> {
        let mut test = self.cargo_test(&["--test", "local_cloud", "--", "--ignored", "updates::"])?;
        counted(test.env("SHOP_DEPLOYMENT", redeployment(variant)), &format!("to-{variant}"))
            .with_context(|| format!("while the stack became {variant}"))
    }

    /// Runs tests of the open shop.
    fn shop_tests(&self, stage: &str, selection: &[&str]) -> Result<u32> {
        let arguments = [&["--test", "local_cloud", "--", "--ignored"], selection].concat();
        counted(&mut self.cargo_test(&arguments)?, stage)
    }

    /// Both packages in every call, so that what they share is built once.
    fn cargo_test(&self, arguments: &[&str]) -> Result<Command> {
        let cloud = self.cloud;
        let shop = cloud.shop(&cloud.outputs()?)?;
        let mut test = cloud.client("cargo");
        test.args(["test", "--package", "end-to-end", "--package", "operations", "--locked"])
            .args(arguments)
            .env("SHOP_API_URL", shop.url)
            .env("SHOP_LOAD_BALANCER_URL", cloud.load_balancer_url())
            .env("SHOP_CLOUD_URL", cloud.url())
            .env("SHOP_ENVIRONMENT", ENVIRONMENT);
        if let Some(redis) = &self.servers.redis {
            test.env("SHOP_REDIS", redis.plain_address().to_string());
        }
        if let Some(postgres) = &self.servers.postgres {
            test.env("SHOP_DATABASE", postgres.plain_address().to_string());
        }
        Ok(test)
    }
}

/// Selects all tests but those of some modules.
fn without(modules: &[&'static str]) -> Vec<&'static str> {
    modules.iter().flat_map(|module| ["--skip", module]).collect()
}

fn counted(test: &mut Command, stage: &str) -> Result<u32> {
    let log = format!("end-to-end-{stage}");
    execute(test, &log)?;
    passed_tests(&log)
}
