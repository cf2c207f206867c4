//! A share of a processor, as Lambda gives it with a function's memory.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// With so much memory a function has one processor.
const MEMORY_OF_ONE_PROCESSOR: u64 = 1769;
/// Lambda hands out time in portions for so many microseconds each.
const PERIOD: u64 = 20_000;
/// What all groups of this program begin with.
const PREFIX: &str = "shop-bench-";

/// Where control groups can be made.
#[derive(Debug, Clone)]
pub(crate) struct Quota {
    kind: Kind,
    folder: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The first version: two files, one with the period and one with the quota.
    Separate,
    /// The second version: one file.
    Unified,
}

/// A group with a quota. It goes with this value, after the processes in it.
#[derive(Debug)]
pub(crate) struct Group {
    folder: PathBuf,
}

impl Quota {
    /// Finds out whether this machine lets us limit processes; if not, an error says what stands in the way.
    pub(crate) fn find() -> Result<Self> {
        let candidates = [
            (Kind::Separate, "/sys/fs/cgroup/cpu"),
            (Kind::Separate, "/sys/fs/cgroup/cpu,cpuacct"),
            (Kind::Unified, "/sys/fs/cgroup"),
        ];
        let mut obstacle = None;
        for (kind, folder) in candidates {
            let quota = Self { kind, folder: folder.into() };
            if quota.is_candidate() {
                match quota.try_out() {
                    Ok(()) => return Ok(quota),
                    Err(error) => obstacle = Some(error),
                }
            }
        }
        Err(obstacle.unwrap_or_else(|| anyhow::anyhow!("there are no control groups for processors")))
    }

    /// A group with the share of a processor that comes with so much memory, in MB.
    pub(crate) fn group(&self, memory: u64) -> Result<Group> {
        let name = format!("{PREFIX}{}-{memory}", std::process::id());
        let group = Group { folder: self.folder.join(name) };
        fs::create_dir(&group.folder)
            .with_context(|| format!("can't make the control group {}", group.folder.display()))?;
        for (file, text) in self.limits(memory) {
            group.write(file, &text)?;
        }
        Ok(group)
    }

    fn is_candidate(&self) -> bool {
        match self.kind {
            Kind::Separate => self.folder.join("cpu.cfs_quota_us").exists(),
            Kind::Unified => fs::read_to_string(self.folder.join("cgroup.controllers"))
                .is_ok_and(|controllers| controllers.split_whitespace().any(|name| name == "cpu")),
        }
    }

    fn try_out(&self) -> Result<()> {
        if self.kind == Kind::Unified {
            let path = self.folder.join("cgroup.subtree_control");
            fs::write(&path, "+cpu").with_context(|| format!("can't write {}", path.display()))?;
        }
        self.remove_leftovers();
        self.group(MEMORY_OF_ONE_PROCESSOR).map(drop)
    }

    /// Groups of a run that was killed.
    fn remove_leftovers(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                // One that is in use stays.
                fs::remove_dir(entry.path()).ok();
            }
        }
    }

    fn limits(&self, memory: u64) -> Vec<(&'static str, String)> {
        let quota = PERIOD * memory / MEMORY_OF_ONE_PROCESSOR;
        match self.kind {
            Kind::Separate => {
                vec![("cpu.cfs_period_us", PERIOD.to_string()), ("cpu.cfs_quota_us", quota.to_string())]
            }
            Kind::Unified => vec![("cpu.max", format!("{quota} {PERIOD}"))],
        }
    }
}

impl Group {
    /// Puts a process with all its threads under the quota.
    pub(crate) fn take(&self, process: u32) -> Result<()> {
        self.write("cgroup.procs", &process.to_string())
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.folder.join(file);
        fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.folder) {
            eprintln!("the control group {} stays: {error}", self.folder.display());
        }
    }
}

/// The kernel may take a moment to see that the last process of a group has ended.
fn remove(folder: &Path) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && tries < 100 => {
                tries += 1;
                std::thread::yield_now();
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_part_of_each_period() {
        let limits = |kind| Quota { kind, folder: PathBuf::new() }.limits(128);
        let text = |(file, text): (&'static str, &str)| (file, text.to_owned());
        assert_eq!(
            limits(Kind::Separate),
            [("cpu.cfs_period_us", "20000"), ("cpu.cfs_quota_us", "1447")].map(text)
        );
        assert_eq!(limits(Kind::Unified), [("cpu.max", "1447 20000")].map(text));
    }
}
