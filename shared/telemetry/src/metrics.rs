use std::{sync::LazyLock, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

/// The namespace of all the shop's own metrics.
const NAMESPACE: &str = "Shop";

/// Absent where there is no `ENVIRONMENT`, without which no function starts, as in tests: then nothing is written.
static FUNCTION: LazyLock<Option<Function>> = LazyLock::new(|| {
    Some(Function {
        environment: std::env::var("ENVIRONMENT").ok()?,
        level: std::env::var("AWS_LAMBDA_LOG_LEVEL").unwrap_or_else(|_| "INFO".to_owned()),
    })
});

/// What every line says of the function.
struct Function {
    /// A dimension of every metric, so that the environments of one account are told apart.
    environment: String,
    /// The lowest level that Lambda passes on: of a line without one it assumes INFO, and a metric is no line to leave
    /// out.
    level: String,
}

/// Counts one occurrence of `name` in CloudWatch, by the dimensions `environment` and the given one:
/// `("event_type", "order_placed")`.
///
/// The count is a log line in CloudWatch's [embedded metric format], so it costs no request. Every new value of
/// a dimension is a new metric that is paid for: only use values out of a small closed set.
///
/// [embedded metric format]: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
pub fn count(name: &'static str, dimension: (&'static str, &str)) {
    let (key, _) = dimension;
    let metric =
        Metric { name, unit: "Count", value: json!(1), dimension, sets: json!([["environment", key]]) };
    metric.write();
}

/// Measures how long one `name` took, in seconds: by the dimensions `environment` and the given one, and once more by
/// `environment` alone, so that an alarm has all of them in one metric.
///
/// What is measured is counted, too: the metric's `SampleCount`. It is written as [`count`] writes.
pub fn duration(name: &'static str, took: Duration, dimension: (&'static str, &str)) {
    let (key, _) = dimension;
    let sets = json!([["environment"], ["environment", key]]);
    let metric = Metric { name, unit: "Seconds", value: json!(took.as_secs_f64()), dimension, sets };
    metric.write();
}

struct Metric<'a> {
    name: &'a str,
    unit: &'static str,
    value: Value,
    dimension: (&'a str, &'a str),
    /// The sets of dimensions, each of which makes it a metric.
    sets: Value,
}

impl Metric<'_> {
    fn write(&self) {
        if let Some(function) = &*FUNCTION {
            crate::write_line(self.document(function, Timestamp::now()).to_string());
        }
    }

    fn document(&self, function: &Function, at: Timestamp) -> Value {
        let Self { name, unit, value, dimension: (key, of), sets } = self;
        json!({
            "_aws": {
                "Timestamp": at.as_millisecond(),
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": sets,
                    "Metrics": [{ "Name": name, "Unit": unit }],
                }],
            },
            "timestamp": format!("{at:.3}"),
            "level": function.level,
            "environment": function.environment,
            *key: of,
            *name: value,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function() -> Function {
        Function { environment: "dev".to_owned(), level: "WARN".to_owned() }
    }

    #[test]
    fn a_metric_is_an_embedded_metric_document() {
        let at = Timestamp::from_millisecond(1_795_000_000_123).unwrap();
        let metric = Metric {
            name: "saga_seconds",
            unit: "Seconds",
            value: json!(0.85),
            dimension: ("outcome", "confirmed"),
            sets: json!([["environment"], ["environment", "outcome"]]),
        };
        assert_eq!(
            metric.document(&function(), at),
            json!({
                "_aws": {
                    "Timestamp": 1_795_000_000_123_i64,
                    "CloudWatchMetrics": [{
                        "Namespace": "Shop",
                        "Dimensions": [["environment"], ["environment", "outcome"]],
                        "Metrics": [{ "Name": "saga_seconds", "Unit": "Seconds" }],
                    }],
                },
                "timestamp": "2026-11-18T11:06:40.123Z",
                "level": "WARN",
                "environment": "dev",
                "outcome": "confirmed",
                "saga_seconds": 0.85,
            })
        );
    }

    #[test]
    fn a_metric_stays_on_one_line() {
        let metric = Metric {
            name: "x",
            unit: "Count",
            value: json!(1),
            dimension: ("reason", "two\nlines"),
            sets: json!([["environment", "reason"]]),
        };
        let text = metric.document(&function(), Timestamp::UNIX_EPOCH).to_string();
        assert_eq!(text.lines().count(), 1);
    }
}
