use std::fmt::{Display, Write};

use super::{Goal, Report};
use crate::measure::{Row, Share};

/// All figures, then what is thought of them.
pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    let results = &report.results;
    // Writing to a String does not fail.
    let _ = write_text(&mut text, report, results.rows.as_slice());
    text
}

fn write_text(text: &mut String, report: &Report, rows: &[Row]) -> std::fmt::Result {
    let (machine, settings) = (&report.machine, &report.settings);
    writeln!(text, "{}, {} cores, {}, {}", machine.cpu, machine.cores, machine.kernel, machine.rustc)?;
    writeln!(
        text,
        "commit {}, {} cold starts and {} warm calls of each, in turns of {}\n",
        report.commit, settings.cold, settings.warm, settings.slice
    )?;

    let line = |cells: [&dyn Display; 15]| {
        let [
            name,
            build,
            transport,
            configured,
            before,
            init,
            first,
            p50,
            p90,
            p99,
            cpu,
            aws,
            memory,
            size,
            zip,
        ] = cells;
        format!(
            "{name:<20} {build:<8.8} {transport:<5} {configured:>8} {before:>8} {init:>7} {first:>7} {p50:>8} {p90:>8} {p99:>8} \
             {cpu:>8} {aws:>6} {memory:>7} {size:>8} {zip:>7}"
        )
    };
    writeln!(
        text,
        "{}",
        line([
            &"p50 of cold starts",
            &"",
            &"",
            &"con-",
            &"before",
            &"init",
            &"first",
            &"warm",
            &"",
            &"",
            &"CPU",
            &"AWS",
            &"peak",
            &"size",
            &"zip",
        ])
    )?;
    writeln!(
        text,
        "{}",
        line([
            &"target", &"build", &"store", &"figured", &"warm-up", &"", &"call", &"p50", &"p90", &"p99",
            &"a call", &"calls", &"memory", &"", &"",
        ])
    )?;
    writeln!(
        text,
        "{}",
        line([
            &"", &"", &"", &"ms", &"ms", &"ms", &"ms", &"us", &"us", &"us", &"us", &"", &"MiB", &"KiB",
            &"KiB"
        ])
    )?;
    for row in rows {
        let ms = |of: fn(&crate::measure::Cold) -> f64| {
            row.cold.as_ref().map_or(String::new(), |cold| format!("{:.2}", of(cold) / 1000.0))
        };
        let configured = row.cold.as_ref().and_then(|cold| cold.configured.as_ref());
        let configured =
            configured.map_or(String::new(), |configured| format!("{:.2}", configured.p50 / 1000.0));
        let us = |us: f64| format!("{us:.0}");
        let (warm, latency) = (&row.warm, &row.warm.latency);
        let aws_calls = warm.aws_calls_per_call.values().fold(0.0, |sum, calls| sum + calls);
        writeln!(
            text,
            "{}",
            line([
                &row.target,
                &row.build.as_deref().unwrap_or("-"),
                &row.transport.name(),
                &configured,
                &ms(|cold| cold.before_warm_up.p50),
                &ms(|cold| cold.init.p50),
                &ms(|cold| cold.first_call.p50),
                &us(latency.p50),
                &us(latency.p90),
                &us(latency.p99),
                &us(warm.cpu_per_call),
                &format!("{aws_calls:.1}"),
                &format!("{:.1}", row.peak_memory_kib as f64 / 1024.0),
                &(row.size / 1024),
                &(row.zipped_size / 1024),
            ])
        )?;
    }

    write_slow_store(text, report, rows)?;
    write_shares(text, report)?;
    for build in &settings.builds {
        write_goals(text, build, &report.goals)?;
    }
    Ok(())
}

fn write_slow_store(text: &mut String, report: &Report, rows: &[Row]) -> std::fmt::Result {
    if rows.iter().all(|row| row.slow_store.is_none()) {
        return Ok(());
    }
    let latency = report.settings.store_latency_ms;
    writeln!(
        text,
        "\nBatches, with a store that answers {latency} ms later: p50, p99 in us; CPU of a call in us"
    )?;
    for row in rows {
        if let Some(slow) = &row.slow_store {
            let build = row.build.as_deref().unwrap_or("-");
            let (p50, p99) = (slow.latency.p50, slow.latency.p99);
            let (name, transport, cpu) = (&row.target, row.transport.name(), slow.cpu_per_call);
            writeln!(text, "{name:<20} {build:<8.8} {transport:<5} {p50:>8.0} {p99:>8.0} {cpu:>8.0}")?;
        }
    }
    Ok(())
}

fn write_shares(text: &mut String, report: &Report) -> std::fmt::Result {
    if let Some(obstacle) = &report.results.no_shares_because {
        writeln!(text, "\nNo first calls at a share of a processor: {obstacle}")?;
    }
    if report.results.shares.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "\nFirst call over https at the share of a processor that comes with a memory: p50, max in ms"
    )?;
    for Share { target, build, memory, first_call, .. } in &report.results.shares {
        let (build, p50, max) =
            (build.as_deref().unwrap_or("-"), first_call.p50 / 1000.0, first_call.max / 1000.0);
        writeln!(text, "{target:<20} {build:<8.8} {memory:>4} MB {p50:>9.2} {max:>9.2}")?;
    }
    Ok(())
}

fn write_goals(text: &mut String, build: &str, goals: &[Goal]) -> std::fmt::Result {
    writeln!(text, "\n{:<42} {:>6} {:>6} {:>9}", format!("Goals, build {build}"), "must", "aim", "measured")?;
    for goal in goals.iter().filter(|goal| goal.build == build) {
        let worst = goal.worst().map_or(String::new(), figure);
        let part = |(what, value): &(String, f64)| format!("{what} {}", figure(*value));
        let mut parts = goal.measured.iter().map(part).collect::<Vec<_>>().join("; ");
        if !goal.beside.is_empty() {
            let beside = goal.beside.iter().map(part).collect::<Vec<_>>().join("; ");
            parts += &format!(" (for comparison: {beside})");
        }
        let (name, must, aim, verdict) = (&goal.name, goal.must, goal.aim, goal.verdict());
        writeln!(text, "{name:<42} {must:>6} {aim:>6} {worst:>9}  {verdict:<12}  {parts}")?;
    }
    Ok(())
}

/// With as many digits as tell it from a limit.
fn figure(value: f64) -> String {
    if value < 1.0 { format!("{value:.3}") } else { format!("{value:.2}") }
}
