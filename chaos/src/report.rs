use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::{
    checks::{Findings, Violation},
    drain::Drained,
    journal::Journal,
    ledger::Ledger,
    options::Options,
    plan::Plan,
    proxy::Proxy,
    schedule::Schedule,
};

/// How often a run says how far it is.
const EVERY: Duration = Duration::from_secs(5);
/// Violations that are told with their story. The first are mostly causes, and the others what follows from them.
const TOLD: usize = 3;

/// What runs, to be found again.
pub(crate) fn opening(options: &Options, plan: &Plan, ledger: &Ledger) {
    let kinds: Vec<String> = options.kinds().into_iter().map(|kind| kind.name()).collect();
    println!("seed {}, {} s, {} shoppers", plan.seed, options.seconds, options.shoppers);
    println!("faults: {}", if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") });
    for window in plan.windows() {
        let (from, to) = (window.from.as_secs_f64(), window.to.as_secs_f64());
        ledger.write(&format!("planned: {} from {from:.1} s to {to:.1} s", window.kind.name()));
    }
}

/// Says every few seconds how far the run is, until it is dropped.
pub(crate) async fn progress(schedule: Arc<Schedule>, journal: Arc<Journal>, proxy: Arc<Proxy>) {
    let seconds = schedule.plan.duration.as_secs();
    loop {
        tokio::time::sleep(EVERY).await;
        let stage = match schedule.now() {
            Some(now) if now < schedule.plan.duration => format!("{:>4} of {seconds} s", now.as_secs()),
            _ => "last tries".to_owned(),
        };
        let done = journal.progress();
        println!(
            "  {stage}: {} requests ({} failed), {} orders, {} calls of AWS, {} faults",
            done.requests,
            done.failed,
            done.orders,
            proxy.calls(),
            schedule.ledger.total()
        );
    }
}

/// What was injected, by kind.
pub(crate) fn injected(ledger: &Ledger) {
    println!("\ninjected");
    let counts = ledger.counts();
    if counts.is_empty() {
        println!("  nothing");
    }
    for (kind, targets) in counts {
        let total: u64 = targets.values().sum();
        let targets: Vec<String> =
            targets.iter().map(|(target, count)| format!("{target} {count}")).collect();
        println!("  {:<20} {total:>6}  {}", kind.name(), targets.join(", "));
    }
}

/// How the drain went.
pub(crate) fn drained(drained: &Drained) {
    println!("\ndrained in {:.1} s", drained.took.as_secs_f64());
    println!("  {:>6} dead letters redriven", drained.redriven);
    println!("  {:>6} dead letters left", drained.dead_letters.len());
}

/// What was checked, and what was found. The last line is a summary.
pub(crate) fn findings(findings: &Findings, ledger: &Ledger, seed: u64) {
    println!("\nchecked");
    for (what, count) in &findings.checked {
        println!("  {count:>6} {what}");
    }
    for (place, Violation { promise, found, story }) in findings.violations.iter().enumerate() {
        println!("\n{}. {promise}\n   {found}", place + 1);
        if place < TOLD {
            for line in story.lines() {
                println!("     {line}");
            }
        }
    }
    if findings.violations.is_empty() {
        let checked: Vec<String> =
            findings.checked.iter().map(|(what, count)| format!("{count} {what}")).collect();
        println!("\nevery promise was kept: {} faults, {}", ledger.total(), checked.join(", "));
    } else {
        let broken: BTreeSet<&str> = findings.violations.iter().map(|violation| violation.promise).collect();
        let broken: Vec<&str> = broken.into_iter().collect();
        println!("\n{} violations, seed {seed}: {}", findings.violations.len(), broken.join("; "));
    }
}
