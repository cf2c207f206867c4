/// What the figures have to be.
mod goals;
/// On which machine, at which commit.
mod machine;
/// Pictures of the figures.
mod plot;
/// The figures for a terminal.
mod table;

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;

pub(crate) use self::machine::commit;
pub use self::{goals::Goal, machine::Machine};
use crate::measure::{Plan, Results};

/// Everything about one run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// When it ended.
    pub date: String,
    /// The commit that was measured.
    pub commit: String,
    /// The machine.
    pub machine: Machine,
    /// How often what was measured.
    pub settings: Settings,
    /// What the figures have to be, for each build.
    pub goals: Vec<Goal>,
    /// The figures.
    #[serde(flatten)]
    pub results: Results,
}

/// How often what was measured.
#[derive(Debug, Serialize)]
pub struct Settings {
    /// Labels of the builds.
    pub builds: Vec<String>,
    /// Fresh processes for each cold start.
    pub cold: usize,
    /// Warm calls of each target.
    pub warm: usize,
    /// Warm calls in a row.
    pub slice: usize,
    /// How much later AWS answered when batches were measured a second time, in milliseconds.
    pub store_latency_ms: f64,
}

impl Report {
    /// Puts results together with where they come from.
    pub fn new(plan: &Plan, results: Results) -> Self {
        let builds: Vec<String> = plan.builds.iter().map(|(label, _)| label.clone()).collect();
        Self {
            date: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            commit: machine::commit(&plan.root),
            machine: Machine::this(&plan.root),
            goals: builds.iter().flat_map(|build| goals::goals(&results, build)).collect(),
            settings: Settings {
                builds,
                cold: plan.cold,
                warm: plan.warm,
                slice: plan.slice,
                store_latency_ms: plan.store_latency.as_secs_f64() * 1000.0,
            },
            results,
        }
    }

    /// All of it, for a terminal.
    pub fn text(&self) -> String {
        table::text(self)
    }

    /// Writes `results.json`, `cold-start.svg` and `warm-latency.svg`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
        let json = serde_json::to_string_pretty(self)? + "\n";
        let files = [
            ("results.json", json),
            ("cold-start.svg", plot::cold_starts(&self.results)),
            ("warm-latency.svg", plot::warm_latency(&self.results)),
        ];
        for (name, content) in files {
            let path = folder.join(name);
            fs::write(&path, content).with_context(|| format!("can't write {}", path.display()))?;
        }
        Ok(())
    }
}
