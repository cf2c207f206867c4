use std::{
    fs::{self, File},
    path::Path,
};

use anyhow::{Context, Result};

use crate::{
    processes::{command, execute},
    progress::step,
};

/// The services, by the name that crate, binary and folder share.
pub(crate) const SERVICES: [&str; 3] = ["user-service", "product-service", "order-service"];

/// The interpreter that has the tools.
pub(crate) const PYTHON: &str = ".local/venv/bin/python";

const VENV: &str = ".local/venv";
/// What is installed: the two files as they were then.
const STAMP: &str = ".local/venv/installed";
const REQUIREMENTS: &str = "local-cloud/requirements.txt";
const CONSTRAINTS: &str = "local-cloud/constraints.txt";
/// Exits with 0 if the interpreter is new enough for every tool and can make a virtual environment.
const PYTHON_CHECK: &str = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))";

/// The processor, as AWS calls it. The local cloud runs the binaries itself, so that it is this machine's.
pub(crate) const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };

/// Installs the Python tools into `.local/venv`, unless they are there as pinned.
pub(crate) fn install() -> Result<()> {
    fs::create_dir_all(".local").context("can't create .local")?;
    let _turn = Turn::take(".local/tools.lock")?;
    let wanted = fs::read_to_string(REQUIREMENTS)? + &fs::read_to_string(CONSTRAINTS)?;
    if fs::read_to_string(STAMP).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    step("install tools", || {
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
