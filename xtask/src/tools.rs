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

/// The functions, by the name that crate, binary and folder share.
pub(crate) const FUNCTIONS: [&str; 5] =
    ["user-service", "product-service", "order-service", "report-service", "secret-rotation"];

/// The interpreter that has the tools.
pub(crate) const PYTHON: &str = ".local/venv/bin/python";

/// A virtual environment of pinned Python packages.
struct Environment {
    title: &'static str,
    folder: &'static str,
    /// The folder of `requirements.txt` and `constraints.txt`.
    pins: &'static str,
}

const TOOLS: Environment = Environment { title: "install tools", folder: ".local/venv", pins: "local-cloud" };
/// Apart from the tools, because both want other versions of the same packages.
const CHECKOV: Environment =
    Environment { title: "install checkov", folder: ".local/checkov", pins: "template-checks" };

/// Exits with 0 if the interpreter is new enough for every tool and can make a virtual environment.
const PYTHON_CHECK: &str = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))";

const CARGO_DENY_VERSION: &str = "0.20.2";

/// The processor, as AWS calls it. The local cloud runs the binaries itself, so that it is this machine's.
pub(crate) const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };

/// Installs the Python tools into `.local/venv`, unless they are there as pinned.
pub(crate) fn install() -> Result<()> {
    TOOLS.install()
}

/// Installs checkov into `.local/checkov`, unless it is there as pinned.
pub(crate) fn install_checkov() -> Result<()> {
    CHECKOV.install()
}

impl Environment {
    fn install(&self) -> Result<()> {
        let Self { title, folder, pins } = self;
        fs::create_dir_all(".local").context("can't create .local")?;
        let _turn = Turn::take(".local/tools.lock")?;
        let requirements = format!("{pins}/requirements.txt");
        // What is installed, and for which folder, which the tools' scripts name: as both were then.
        let stamp = format!("{folder}/installed");
        let wanted = format!(
            "{}\n{}{}",
            env::current_dir()?.display(),
            fs::read_to_string(&requirements)?,
            fs::read_to_string(format!("{pins}/constraints.txt"))?
        );
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        step(title, || {
            // The stamp first, so that nothing half done passes for installed; then all the rest, because pip leaves
            // the scripts of a moved folder as they are, and `python3` below must not be the old one in there.
            for removed in [fs::remove_file(&stamp), fs::remove_dir_all(folder)] {
                if let Err(error) = removed
                    && error.kind() != io::ErrorKind::NotFound
                {
                    return Err(error).with_context(|| format!("can't remove {folder}"));
                }
            }
            execute(command("python3").args(["-c", PYTHON_CHECK]), "python")
                .context("install Python 3.10 or newer with its venv module, then run this again")?;
            execute(command("python3").args(["-m", "venv", folder]), "venv")
                .context("python3 can't make a virtual environment")?;
            let pip = ["-m", "pip", "install", "--disable-pip-version-check", "-r", &requirements];
            execute(command(&format!("{folder}/bin/python")).args(pip), "pip")
                .context("the tools can't be installed: is there a connection to PyPI?")
        })?;
        fs::write(&stamp, wanted).with_context(|| format!("can't write {stamp}"))
    }
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

/// Builds the functions into `target/lambda/`, where the template expects them.
pub(crate) fn build() -> Result<()> {
    let mut build = command("cargo");
    build.args(["lambda", "build", "--release", "--locked"]);
    if cfg!(target_arch = "aarch64") {
        build.arg("--arm64");
    }
    execute(&mut build, "build")?;
    for function in FUNCTIONS {
        let binary = Path::new("target/lambda").join(function).join("bootstrap");
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
