use std::fmt::Write;

use crate::measure::Row;

/// The figures of all targets, for a terminal.
pub fn table(rows: &[Row]) -> String {
    let mut table = format!(
        "{:<22} {:<10} {:<5} | {:>9} {:>8} {:>9} | {:>8} {:>8} {:>8} {:>8} | {:>5} | {:>8} {:>9} {:>8}\n",
        "target",
        "build",
        "",
        "bef.w.ms",
        "init ms",
        "first ms",
        "p50 us",
        "p90 us",
        "p99 us",
        "CPU us",
        "AWS",
        "RSS MiB",
        "size KiB",
        "zip KiB"
    );
    for row in rows {
        let cold = row.cold.as_ref();
        let ms = |value: Option<f64>| value.map_or(String::new(), |us| format!("{:.2}", us / 1000.0));
        let us = |value: Option<f64>| value.map_or(String::new(), |us| format!("{us:.0}"));
        let warm = row.warm.as_ref();
        let calls = warm.map(|warm| warm.aws_calls_per_call.values().fold(0.0, |sum, calls| sum + calls));
        // Writing to a String does not fail.
        let _ = writeln!(
            table,
            "{:<22} {:<10} {:<5} | {:>9} {:>8} {:>9} | {:>8} {:>8} {:>8} {:>8} | {:>5} | {:>8} {:>9} {:>8}",
            row.target,
            row.build.as_deref().unwrap_or("-"),
            row.transport.name(),
            ms(cold.map(|cold| cold.before_warm_up.p50)),
            ms(cold.map(|cold| cold.init.p50)),
            ms(cold.map(|cold| cold.first_call.p50)),
            us(warm.map(|warm| warm.latency.p50)),
            us(warm.map(|warm| warm.latency.p90)),
            us(warm.map(|warm| warm.latency.p99)),
            us(warm.map(|warm| warm.cpu_per_call)),
            calls.map_or(String::new(), |calls| format!("{calls:.1}")),
            row.peak_memory_kib.map_or(String::new(), |kib| format!("{:.1}", kib as f64 / 1024.0)),
            row.size / 1024,
            row.zipped_size / 1024,
        );
    }
    table
}
