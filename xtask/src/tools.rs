use std::{
    env,
    fs::{self, File},
    io,
    path::Path,
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    processes::{command, execute, log_path},
    progress::step,
};

/// The services, by the name that crate, binary and folder share.
pub(crate) const SERVICES: [&str; 3] = ["user-service", "product-service", "order-service"];

/// The interpreter that has the tools.
pub(crate) const PYTHON: &str = ".local/venv/bin/python";

const VENV: &str = ".local/venv";
/// What is installed, and for which folder, which the tools' scripts name: as both were then.
const STAMP: &str = ".local/venv/installed";
const REQUIREMENTS: &str = "local-cloud/requirements.txt";
const CONSTRAINTS: &str = "local-cloud/constraints.txt";
/// Exits with 0 if the interpreter is new enough for every tool and can make a virtual environment.
const PYTHON_CHECK: &str = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))";

const CARGO_DENY_VERSION: &str = "0.20.2";

/// The processor, as AWS calls it. The local cloud runs the binaries itself, so that it is this machine's.
pub(crate) const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };

/// Installs the Python tools into `.local/venv`, unless they are there as pinned.
pub(crate) fn install() -> Result<()> {
    fs::create_dir_all(".local").context("can't create .local")?;
    let _turn = Turn::take(".local/tools.lock")?;
    let repository = env::current_dir()?;
    let [requirements, constraints] = [fs::read_to_string(REQUIREMENTS)?, fs::read_to_string(CONSTRAINTS)?];
    let wanted = format!("{}\n{requirements}{constraints}", repository.display());
    if fs::read_to_string(STAMP).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    step("install tools", || {
        // The stamp first, so that nothing half done passes for installed; then all the rest, because pip leaves the
        // scripts of a moved folder as they are, and `python3` below must not be the old one in there.
        for removed in [fs::remove_file(STAMP), fs::remove_dir_all(VENV)] {
            if let Err(error) = removed
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error).with_context(|| format!("can't remove {VENV}"));
            }
        }
        execute(command("python3").args(["-c", PYTHON_CHECK]), "python")
            .context("install Python 3.10 or newer with its venv module, then run this again")?;
        execute(command("python3").args(["-m", "venv", VENV]), "venv")
            .context("python3 can't make a virtual environment")?;
        let pip = ["-m", "pip", "install", "--disable-pip-version-check", "-r", REQUIREMENTS];
        execute(command(PYTHON).args(pip), "pip")
            .context("the tools can't be installed: is there a connection to PyPI?")
    })?;
    fs::write(STAMP, wanted).with_context(|| format!("can't write {STAMP}"))
}

/// The pinned cargo-deny, built if it isn't there; nothing if it can't be downloaded.
pub(crate) fn cargo_deny() -> Result<Option<Command>> {
    let root = format!(".local/cargo-deny-{CARGO_DENY_VERSION}");
    let program = format!("{root}/bin/cargo-deny");
    if !Path::new(&program).exists() {
        let package = format!("cargo-deny@{CARGO_DENY_VERSION}");
        // Unoptimised, which takes a fraction of the time and is fast enough.
        let install = ["install", "--locked", "--debug", "--root", &root, &package];
        if let Err(error) = execute(command("cargo").args(install), "cargo-deny") {
            let log = fs::read_to_string(log_path("cargo-deny")).unwrap_or_default();
            let offline = ["failed to download", "failed to query"].iter().any(|cause| log.contains(cause));
            return if offline { Ok(None) } else { Err(error) };
        }
    }
    Ok(Some(command(&program)))
}

/// Builds the services into `target/lambda/`, where the template expects them.
pub(crate) fn build() -> Result<()> {
    let mut build = command("cargo");
    build.args(["lambda", "build", "--release", "--locked"]);
    if cfg!(target_arch = "aarch64") {
        build.arg("--arm64");
    }
    execute(&mut build, "build")?;
    for service in SERVICES {
        let binary = Path::new("target/lambda").join(service).join("bootstrap");
        anyhow::ensure!(binary.exists(), "the build left no {}", binary.display());
    }
    Ok(())
}

/// Only one task at a time passes; others wait. The operating system ends the turn with the process, too.
pub(crate) struct Turn(#[expect(dead_code, reason = "closing the file ends the turn")] File);

impl Turn {
    /// Waits for the turn.
    pub(crate) fn take(path: &str) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("can't write {path}"))?;
        if file.try_lock().is_err() {
            println!("waiting for another `cargo xtask` to finish this part");
            file.lock().with_context(|| format!("can't lock {path}"))?;
        }
        Ok(Self(file))
    }
}
