use std::collections::BTreeSet;

use clap::{Parser, ValueEnum};

use crate::plan::Kind;

/// Lets the deployed shop run while faults are injected, and checks that nothing was lost.
#[derive(Parser)]
pub(crate) struct Options {
    /// What every decision follows from
    #[arg(long)]
    pub(crate) seed: u64,
    /// How long faults are injected
    #[arg(long, default_value_t = 120)]
    pub(crate) seconds: u64,
    /// How many people use the shop at once
    #[arg(long, default_value_t = 12)]
    pub(crate) shoppers: usize,
    /// Leave out these kinds of faults
    #[arg(long, value_delimiter = ',')]
    without: Vec<Kind>,
    /// Inject these kinds of faults alone
    #[arg(long, value_delimiter = ',')]
    only: Vec<Kind>,
}

impl Options {
    /// The kinds of faults to inject.
    pub(crate) fn kinds(&self) -> BTreeSet<Kind> {
        let chosen =
            |kind: &Kind| (self.only.is_empty() || self.only.contains(kind)) && !self.without.contains(kind);
        Kind::value_variants().iter().copied().filter(chosen).collect()
    }
}
