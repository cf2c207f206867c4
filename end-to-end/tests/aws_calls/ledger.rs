//! What was counted, and how it differs from the table.

use std::collections::BTreeMap;

use end_to_end::bill::{EVENTS, Log, PIECES, Work};
use test_support::Call;

/// What one invocation did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measured {
    /// The route, or the queue or stream with the event.
    pub(crate) trigger: String,
    /// Which case of it; empty for the usual one.
    pub(crate) case: String,
    pub(crate) operations: Vec<String>,
    pub(crate) calls: String,
    pub(crate) reads: f64,
    pub(crate) table_writes: f64,
    pub(crate) index_writes: f64,
    pub(crate) log_bytes: usize,
    /// The lines of the log that are metrics; `log_bytes` are those of the others.
    pub(crate) metrics: Vec<String>,
    /// Of the body that a request was answered with.
    pub(crate) answer_bytes: usize,
}

impl Measured {
    pub(crate) fn new(trigger: &str, case: &str, calls: &[Call], log: &str) -> Self {
        // An empty sum of floats is -0.
        let sum = |units: fn(&Call) -> f64| calls.iter().map(units).fold(0.0, |sum, units| sum + units);
        let (metrics, lines): (Vec<&str>, Vec<&str>) =
            log.split_inclusive('\n').partition(|line| line.contains("\"_aws\""));
        Self {
            trigger: trigger.to_owned(),
            case: case.to_owned(),
            operations: calls.iter().map(|call| call.operation.clone()).collect(),
            calls: names(calls),
            reads: sum(|call| call.reads),
            table_writes: sum(|call| call.table_writes),
            index_writes: sum(|call| call.index_writes),
            log_bytes: lines.into_iter().map(str::len).sum(),
            metrics: metrics.into_iter().map(str::to_owned).collect(),
            answer_bytes: 0,
        }
    }

    fn line(&self) -> String {
        let Self { trigger, case, calls, reads, table_writes, index_writes, .. } = self;
        format!("work({trigger:?}, {case:?}, {calls:?}, {reads:?}, {table_writes:?}, {index_writes:?}),")
    }
}

/// The operations, as in `2 GetItem, PutItem`.
pub(crate) fn names(calls: &[Call]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for call in calls {
        *counts.entry(&call.operation).or_default() += 1;
    }
    let name = |(name, count): (&str, usize)| match count {
        1 => name.to_owned(),
        count => format!("{count} {name}"),
    };
    counts.into_iter().map(name).collect::<Vec<_>>().join(", ")
}

/// Panics unless the table says exactly what was counted; then says which lines the table has to have instead.
pub(crate) fn compare(measured: &[Measured], table: &[Work]) {
    let expected: Vec<String> = table.iter().map(line).collect();
    let found: Vec<String> = measured.iter().map(Measured::line).collect();
    let without = |some: &[String], others: &[String]| -> String {
        some.iter().filter(|line| !others.contains(line)).map(|line| format!("    {line}\n")).collect()
    };
    let (stale, new) = (without(&expected, &found), without(&found, &expected));
    assert!(
        stale.is_empty() && new.is_empty(),
        "end-to-end/src/bill/calls.rs does not say what was counted.\nIt says:\n{stale}Counted:\n{new}"
    );
}

fn line(work: &Work) -> String {
    let Work { trigger, case, calls, reads, table_writes, index_writes } = work;
    format!("work({trigger:?}, {case:?}, {calls:?}, {reads:?}, {table_writes:?}, {index_writes:?}),")
}

/// The bytes that are logged and answered: close to what the bill is made of, whatever the digits of a duration.
pub(crate) fn compare_bytes(measured: &[Measured]) {
    for kind in Log::ALL {
        let of_kind: Vec<usize> = measured
            .iter()
            .filter(|measured| Log::of(&measured.trigger) == kind)
            .map(|measured| measured.log_bytes)
            .collect();
        let mean = of_kind.iter().sum::<usize>() / of_kind.len().max(1);
        close(&format!("{kind:?}: bytes that are logged, Log::bytes in bill/calls.rs"), mean, kind.bytes());
    }
    for work in EVENTS {
        let found =
            measured.iter().find(|found| (&*found.trigger, &*found.case) == (work.trigger, work.case));
        close(
            &format!("{} {}: bytes of metrics, Work::metric_bytes in bill/calls.rs", work.trigger, work.case),
            found.unwrap().metrics.iter().map(String::len).sum(),
            work.metric_bytes(),
        );
    }
    for piece in &PIECES {
        let found =
            measured.iter().find(|work| (&*work.trigger, &*work.case) == (piece.triggers[0], piece.case));
        let answer = found.unwrap().answer_bytes;
        close(
            &format!("{}: bytes of the answer, PIECES in bill/costs.rs", piece.name),
            answer,
            piece.answer_bytes,
        );
    }
}

fn close(what: &str, measured: usize, said: usize) {
    assert!(
        measured.abs_diff(said) * 10 <= said,
        "{what}: {measured} were counted, the bill is made for {said}"
    );
}
