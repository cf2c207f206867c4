use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io::{self, Write},
    net::{SocketAddr, TcpListener},
    os::unix::fs::OpenOptionsExt,
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::{sys::signal::kill, unistd::Pid};
use serde_json::{Value, json};

use crate::{
    aws::Aws,
    processes::{CommandFailed, Group, command, eventually, execute, log_to, output},
    shop::Shop,
    tools,
};

/// The stack's name, and the environment that it is for.
pub(crate) const ENVIRONMENT: &str = "dev";
/// Where the log of the cloud that `up` runs is found.
pub(crate) const LOG: &str = "cloud";

const STATE: &str = ".local/cloud.json";
const START_DEADLINE: Duration = Duration::from_secs(20);
const READY_DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// The SDK that comes with the tools signs its calls, which a cloud that enforces access asks for.
const STACK: &str = "local-cloud/stack.py";

/// The outputs of a stack by name.
pub(crate) type Outputs = BTreeMap<String, String>;

/// A local AWS cloud that answers.
#[derive(Clone, Copy)]
pub(crate) struct Cloud {
    /// The process.
    pub(crate) pid: i32,
    /// The port on 127.0.0.1.
    pub(crate) port: u16,
}

/// Whether access to AWS is checked as on AWS.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Access {
    /// Everybody may do everything.
    Open,
    /// Signatures, role policies and resource policies are enforced.
    Enforced,
}

impl Cloud {
    /// The cloud that `up` runs, if it does.
    pub(crate) fn running() -> Option<Self> {
        let state = State::load()?;
        let cloud = Self { pid: state.pid, port: state.port };
        (kill(Pid::from_raw(cloud.pid), None).is_ok() && cloud.is_healthy()).then_some(cloud)
    }

    /// Starts a cloud; it ends with the returned process group.
    pub(crate) fn start(port: u16, access: Access, log: &str) -> Result<(Self, Group)> {
        Self::start_with(port, access, &[], log)
    }

    /// Starts a cloud with further options of its launcher.
    pub(crate) fn start_with(
        port: u16,
        access: Access,
        options: &[&str],
        log: &str,
    ) -> Result<(Self, Group)> {
        let mut launcher = command(tools::PYTHON);
        launcher.args(["local-cloud/launcher.py", "--port", &port.to_string()]).args(options);
        if access == Access::Enforced {
            launcher.arg("--auth");
        }
        let log = log_to(&mut launcher, log)?;
        let mut process = Group::start(&mut launcher)?;
        let cloud = Self { pid: process.id(), port };
        eventually("the local cloud answers", START_DEADLINE, POLL, || {
            if process.has_ended()? {
                return Err(CommandFailed::new(&launcher, process.wait()?, log.clone()).into());
            }
            Ok(cloud.is_healthy().then_some(()))
        })?;
        Ok((cloud, process))
    }

    /// Deploys `template.yaml` with the binaries in `target/lambda`.
    pub(crate) fn deploy(self, log: &str) -> Result<()> {
        self.deploy_with(&[], log)
    }

    /// Deploys it with parameters besides those of the local environment.
    pub(crate) fn deploy_with(self, parameters: &[&str], log: &str) -> Result<()> {
        let mut sam = self.client("sam");
        sam.args(["deploy", "--config-env", "local"]);
        if tools::ARCHITECTURE != "x86_64" || !parameters.is_empty() {
            let architecture = format!("Architecture={}", tools::ARCHITECTURE);
            sam.args(["--parameter-overrides", &format!("Environment={ENVIRONMENT}"), &architecture]);
            sam.args(parameters);
        }
        execute(&mut sam, log).context("the deployment failed")
    }

    /// What the deployed stack gives to others.
    pub(crate) fn outputs(self) -> Result<Outputs> {
        let mut print = self.client(tools::PYTHON);
        print.args([STACK, "outputs", ENVIRONMENT]);
        Ok(serde_json::from_str(&output(&mut print, "outputs")?)?)
    }

    /// The passwords that the stack's cache and database were made with.
    pub(crate) fn passwords(self) -> Result<Value> {
        let mut print = self.client(tools::PYTHON);
        print.args([STACK, "passwords", ENVIRONMENT]);
        Ok(serde_json::from_str(&output(&mut print, "passwords")?)?)
    }

    /// Deploys what was deployed before with other parameters, also after it was deleted.
    pub(crate) fn redeploy(self, variant: &str, log: &str) -> Result<()> {
        execute(self.client("sh").args(["-c", &redeployment(variant)]), log)
            .with_context(|| format!("{variant} can't be deployed"))
    }

    /// Deletes what is deployed; an error if anything of it stays.
    pub(crate) fn delete(self, log: &str) -> Result<()> {
        execute(self.client(tools::PYTHON).args([STACK, "delete", ENVIRONMENT]), log)
            .context("the stack can't be deleted")
    }

    /// Where the shop's API answers.
    pub(crate) fn api_url(self, outputs: &Outputs) -> Result<String> {
        let api_id = outputs.get("ApiId").context("the stack has no output ApiId")?;
        Ok(format!("{}/_aws/execute-api/{api_id}", self.url()))
    }

    /// The shop's API, once all services can serve.
    pub(crate) fn shop(self, outputs: &Outputs) -> Result<Shop> {
        let shop = Shop::new(self.api_url(outputs)?);
        for collection in ["users", "products", "orders"] {
            let path = format!("/api/{collection}/health/ready");
            let mut last = String::new();
            eventually(&format!("GET {path} answers 200"), READY_DEADLINE, POLL, || {
                let answer = shop.send("GET", &path, &[], None)?;
                last = answer.to_string();
                Ok((answer.status == 200).then_some(()))
            })
            .with_context(|| format!("a service does not get ready, its last answer: {last}"))?;
        }
        Ok(shop)
    }

    /// The AWS services of this cloud.
    pub(crate) fn aws(self) -> Aws {
        Aws::new(self.url())
    }

    /// Where the load balancer answers, if it is deployed.
    pub(crate) fn load_balancer_url(self) -> String {
        format!("{}/_alb/{ENVIRONMENT}-microservices-alb", self.url())
    }

    /// Where it listens.
    pub(crate) fn url(self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A command that uses this cloud as AWS. Whatever the developer's own AWS settings are, it sees none of them.
    pub(crate) fn client(self, program: &str) -> Command {
        let mut command = command(program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
            command.env_remove(name);
        }
        command
            .env("AWS_ENDPOINT_URL", self.url())
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("SAM_CLI_TELEMETRY", "0")
            .env("SAM_CLI_POLL_DELAY", "0.3");
        command
    }

    fn is_healthy(self) -> bool {
        let health = Shop::new(self.url()).send("GET", "/_ministack/health", &[], None);
        health.is_ok_and(|answer| answer.status == 200)
    }
}

/// A command that deploys a set of parameters, for a client of the cloud to run. No distribution stands before the
/// buckets here: the addresses of files are the buckets' own.
pub(crate) fn redeployment(variant: &str) -> String {
    let own = format!("Architecture={} CdnUrl= CdnDistributionArn=", tools::ARCHITECTURE);
    format!("{} {STACK} deploy {ENVIRONMENT} {variant} {own}", tools::PYTHON)
}

/// Makes sure that a cloud can be started on this port.
pub(crate) fn require_free(port: u16) -> Result<()> {
    match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => bail!(
            "port {port} is in use by another program: stop that, or choose a port as in `cargo xtask up --port {}`",
            port.saturating_add(1)
        ),
        Err(error) => Err(error).with_context(|| format!("can't listen on port {port}")),
    }
}

/// A port that nobody uses at this moment.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// What `up` leaves for other tasks.
pub(crate) struct State {
    /// The cloud's process.
    pub(crate) pid: i32,
    /// The cloud's port.
    pub(crate) port: u16,
    /// Password of the seeded admin. It is made for each cloud, which forgets everything when it ends.
    pub(crate) admin_password: String,
    /// Where the Redis behind the cache listens, if that is on.
    pub(crate) redis: Option<SocketAddr>,
    /// Where the PostgreSQL behind the reports listens, if these are on.
    pub(crate) postgres: Option<SocketAddr>,
}

impl State {
    /// What the last `up` left.
    pub(crate) fn load() -> Option<Self> {
        let state: Value = serde_json::from_slice(&fs::read(STATE).ok()?).ok()?;
        Some(Self {
            pid: state["pid"].as_i64()?.try_into().ok()?,
            port: state["port"].as_u64()?.try_into().ok()?,
            admin_password: state["admin_password"].as_str()?.to_owned(),
            redis: address(&state["redis"]),
            postgres: address(&state["postgres"]),
        })
    }

    /// Whether the `up` that saved it is still there.
    pub(crate) fn is_held() -> Result<bool> {
        match File::open(STATE)?.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("can't lock {STATE}")),
        }
    }

    /// Leaves it, readable by this user alone. It is held for as long as the returned file is open, which the
    /// operating system ends with the process, however that ends.
    pub(crate) fn save(&self) -> Result<File> {
        let text = json!({
            "pid": self.pid,
            "port": self.port,
            "admin_password": self.admin_password,
            "redis": self.redis,
            "postgres": self.postgres,
        });
        if fs::exists(STATE)? {
            fs::remove_file(STATE)?;
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(STATE)?;
        file.lock().with_context(|| format!("can't lock {STATE}"))?;
        file.write_all(text.to_string().as_bytes()).with_context(|| format!("can't write {STATE}"))?;
        Ok(file)
    }
}

fn address(text: &Value) -> Option<SocketAddr> {
    text.as_str()?.parse().ok()
}
