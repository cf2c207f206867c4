use serde::{Deserialize, Serialize};

/// What there is to know about many durations, in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many they are.
    pub count: usize,
    /// Half are shorter.
    pub p50: f64,
    /// Nine of ten are shorter.
    pub p90: f64,
    /// All but one of a hundred are shorter.
    pub p99: f64,
    /// The shortest.
    pub min: f64,
    /// The longest.
    pub max: f64,
    /// The average.
    pub mean: f64,
}

/// Sums up durations in nanoseconds; `None` if there are none.
pub fn summary(nanos: &[u64]) -> Option<Summary> {
    let mut sorted = nanos.to_vec();
    sorted.sort_unstable();
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let sum: f64 = sorted.iter().map(|nanos| micros(*nanos)).sum();
    Some(Summary {
        count: sorted.len(),
        p50: micros(percentile(&sorted, 50.0)),
        p90: micros(percentile(&sorted, 90.0)),
        p99: micros(percentile(&sorted, 99.0)),
        min: micros(min),
        max: micros(max),
        mean: sum / sorted.len() as f64,
    })
}

/// The least of the sorted values that so many percent of all do not exceed.
pub fn percentile(sorted: &[u64], percent: f64) -> u64 {
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or_default()
}

/// Nanoseconds as microseconds.
pub fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!([50.0, 90.0, 99.0, 100.0].map(|p| percentile(&hundred, p)), [50, 90, 99, 100]);
        assert_eq!([0.0, 1.0, 50.0, 51.0].map(|p| percentile(&[3, 7], p)), [3, 3, 3, 7]);
        assert_eq!(percentile(&[], 50.0), 0);
    }

    #[test]
    fn a_summary_is_in_microseconds() {
        let summary = summary(&[3000, 1000, 2000]).unwrap();
        assert_eq!((summary.count, summary.min, summary.p50, summary.max), (3, 1.0, 2.0, 3.0));
        assert_eq!((summary.p90, summary.mean), (3.0, 2.0));
    }

    #[test]
    fn there_is_no_summary_of_nothing() {
        assert_eq!(summary(&[]), None);
    }
}
