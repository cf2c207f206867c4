use jiff::Timestamp;
use serde_json::{Value, json};

/// The namespace of all the shop's own metrics.
const NAMESPACE: &str = "Shop";

/// Counts one occurrence of `name` in CloudWatch, under one dimension: `("event_type", "order_placed")`.
///
/// The count is a log line in CloudWatch's [embedded metric format], so it costs no request. Every new value of
/// a dimension is a new metric that is paid for: only use values out of a small closed set.
///
/// [embedded metric format]: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
pub fn count(name: &'static str, dimension: (&'static str, &str)) {
    crate::write_line(document(name, dimension, Timestamp::now()).to_string());
}

fn document(name: &str, (dimension, value): (&str, &str), at: Timestamp) -> Value {
    json!({
        "_aws": {
            "Timestamp": at.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [[dimension]],
                "Metrics": [{ "Name": name, "Unit": "Count" }],
            }],
        },
        dimension: value,
        name: 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_an_embedded_metric_document() {
        let at = Timestamp::from_millisecond(1_795_000_000_123).unwrap();
        assert_eq!(
            document("unknown_events", ("event_type", "order_lost"), at),
            json!({
                "_aws": {
                    "Timestamp": 1_795_000_000_123_i64,
                    "CloudWatchMetrics": [{
                        "Namespace": "Shop",
                        "Dimensions": [["event_type"]],
                        "Metrics": [{ "Name": "unknown_events", "Unit": "Count" }],
                    }],
                },
                "event_type": "order_lost",
                "unknown_events": 1,
            })
        );
    }

    #[test]
    fn a_count_stays_on_one_line() {
        let text = document("x", ("reason", "two\nlines"), Timestamp::UNIX_EPOCH).to_string();
        assert_eq!(text.lines().count(), 1);
    }
}
