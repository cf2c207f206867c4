use std::{fs, path::Path, process::Command, thread};

use serde::Serialize;

/// The machine on which was measured.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// The processor, as it calls itself.
    pub cpu: String,
    /// How many threads it runs at once.
    pub cores: usize,
    /// The kernel.
    pub kernel: String,
    /// The compiler.
    pub rustc: String,
}

impl Machine {
    /// This one.
    pub(crate) fn this(root: &Path) -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Self {
            cpu: cpu_model(&cpu).unwrap_or("unknown").to_owned(),
            cores: thread::available_parallelism().map_or(0, usize::from),
            kernel: said(root, "uname", &["-sr"]),
            rustc: said(root, "rustc", &["--version"]),
        }
    }
}

/// The commit that is checked out, and whether there is more than that.
pub(crate) fn commit(root: &Path) -> String {
    let commit = said(root, "git", &["rev-parse", "--short=12", "HEAD"]);
    let changes = said(root, "git", &["status", "--porcelain", "--untracked-files=no"]);
    if changes.is_empty() { commit } else { format!("{commit}, with changes") }
}

/// What a program prints; nothing, if it can't be asked.
fn said(root: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_default()
}

fn cpu_model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: A 1\n"), Some("A 1"));
        assert_eq!(cpu_model("processor\t: 0\n"), None);
    }
}
