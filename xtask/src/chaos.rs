use std::{
    fs::{self, File},
    io::{self, Read, Write},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{
    cloud::{self, Access, Cloud, ENVIRONMENT},
    processes::{self, Group, command, execute, log_path, log_to},
    progress::step,
    seed, tools,
};

/// Where the cloud keeps its state while it restarts.
const STATE: &str = ".local/chaos-state";
/// The log of the run itself; those of what it runs on begin with its name, too.
const LOG: &str = "chaos";
const CLOUD_LOG: &str = "chaos-cloud";
/// How often it is looked what the run says.
const POLL: Duration = Duration::from_millis(200);

/// The part of `cargo xtask test`: always the same faults, and all of them.
const TEST_SEED: u64 = 6;
const TEST_SECONDS: u64 = 120;

/// With everything that can fail, and with a deadline for orders that is so short that some time out within the run, and so
/// long that most don't.
const PARAMETERS: [&str; 4] = ["Network=vpc", "Cache=true", "Reporting=true", "OrderDeadlineSeconds=8"];
/// The authorities of the run's own Redis and PostgreSQL, which functions trust.
const ROOTS: &str = ".local/chaos-roots.pem";

#[derive(Args)]
pub(crate) struct Arguments {
    /// How long faults are injected, in minutes
    #[arg(long, conflicts_with = "seconds")]
    minutes: Option<u64>,
    /// How long faults are injected, in seconds; 120 if nothing is said
    #[arg(long)]
    seconds: Option<u64>,
    /// What the faults follow from; a random one if nothing is said
    #[arg(long)]
    seed: Option<u64>,
    /// How many people use the shop at once
    #[arg(long)]
    shoppers: Option<usize>,
    /// Kinds of faults to leave out, as `restart,kill`
    #[arg(long, value_name = "KINDS")]
    without: Option<String>,
    /// Kinds of faults to inject alone
    #[arg(long, value_name = "KINDS")]
    only: Option<String>,
    /// Take the services as they are in target/lambda
    #[arg(long)]
    no_build: bool,
}

impl Arguments {
    fn seconds(&self) -> u64 {
        self.minutes.map(|minutes| minutes * 60).or(self.seconds).unwrap_or(TEST_SECONDS)
    }

    /// As the run itself takes them.
    fn of_the_run(&self, seed: u64) -> Vec<String> {
        let mut arguments = vec![format!("--seed={seed}"), format!("--seconds={}", self.seconds())];
        arguments.extend(self.shoppers.map(|shoppers| format!("--shoppers={shoppers}")));
        arguments.extend(self.without.as_ref().map(|kinds| format!("--without={kinds}")));
        arguments.extend(self.only.as_ref().map(|kinds| format!("--only={kinds}")));
        arguments
    }
}

/// Runs the shop under faults until the time is over, and says whether every promise was kept.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    tools::install()?;
    let seed = arguments.seed.map_or_else(random_seed, Ok)?;
    println!("seed {seed}");
    if !arguments.no_build {
        step("build the services", tools::build)?;
    }
    let (mut run, _cloud) = step("a shop on a cloud of its own", || prepare(&arguments.of_the_run(seed)))?;
    let log = log_to(&mut run, LOG)?;
    let mut process = Group::start(&mut run)?;
    let mut said = File::open(&log)?;
    loop {
        let has_ended = process.has_ended()?;
        show(&mut said)?;
        if has_ended {
            break;
        }
        thread::sleep(POLL);
    }
    if process.wait()?.success() {
        return Ok(());
    }
    if processes::interrupted() {
        bail!("interrupted");
    }
    bail!(
        "a promise was broken, or the run was: the same faults come again with `cargo xtask chaos --seed {seed} \
         --seconds {}`, fewer of them with --only; what was injected when is in {}, what the cloud said in {}",
        arguments.seconds(),
        log_path("chaos-faults").display(),
        log_path(CLOUD_LOG).display()
    );
}

/// The run that is part of all checks; answers what it says at its end.
pub(crate) fn check() -> Result<String> {
    tools::build()?;
    let arguments = [format!("--seed={TEST_SEED}"), format!("--seconds={TEST_SECONDS}")];
    let (mut run, _cloud) = prepare(&arguments)?;
    execute(&mut run, LOG).with_context(|| {
        format!("as in `cargo xtask chaos --seed {TEST_SEED} --seconds {TEST_SECONDS}`, which shows more")
    })?;
    let said = fs::read_to_string(log_path(LOG))?;
    let summary = said.lines().last().and_then(|line| line.split_once(": "));
    Ok(summary.map_or(said.as_str(), |(_, counts)| counts).to_owned())
}

/// A deployed stack whose functions take the proxy of the run for AWS, and the command that starts the run.
fn prepare(arguments: &[String]) -> Result<(Command, Group)> {
    execute(command("cargo").args(["build", "--package", "chaos", "--locked"]), "chaos-build")?;
    if let Err(error) = fs::remove_dir_all(STATE)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("can't remove {STATE}"));
    }
    let proxy = cloud::free_port()?.to_string();
    let endpoint = format!("http://127.0.0.1:{proxy}");
    // The run starts both servers there, and leaves their authorities.
    let [redis, postgres] =
        [cloud::free_port()?, cloud::free_port()?].map(|port| format!("localhost:{port}"));
    let options = [
        ["--state", STATE],
        ["--function-endpoint", &endpoint],
        ["--cache", &redis],
        ["--database", &postgres],
        ["--roots", ROOTS],
    ];
    let (cloud, process) =
        Cloud::start_with(cloud::free_port()?, Access::Enforced, options.as_flattened(), CLOUD_LOG)?;
    cloud.deploy_with(&PARAMETERS, "chaos-deploy")?;
    let outputs = cloud.outputs()?;
    let mut run = cloud.client("target/debug/chaos");
    run.args(arguments)
        .env("SHOP_API_URL", cloud.api_url(&outputs)?)
        .env("SHOP_CLOUD_URL", cloud.url())
        .env("SHOP_CLOUD_PID", cloud.pid.to_string())
        .env("SHOP_ENVIRONMENT", ENVIRONMENT)
        .env("CHAOS_PROXY_PORT", proxy)
        .env("CHAOS_REDIS", redis)
        .env("CHAOS_POSTGRES", postgres)
        .env("CHAOS_ROOTS", ROOTS)
        .env("CHAOS_LOGS", ".local/logs");
    Ok((run, process))
}

/// Prints what was said since the last time.
fn show(said: &mut File) -> Result<()> {
    let mut text = Vec::new();
    said.read_to_end(&mut text)?;
    let mut terminal = io::stdout().lock();
    terminal.write_all(&text)?;
    Ok(terminal.flush()?)
}

fn random_seed() -> Result<u64> {
    Ok(u64::from(u16::from_str_radix(&seed::random_password()?[..4], 16)?))
}
