//! From calls to dollars.

use std::ops::{Add, AddAssign, Mul};

use super::{
    calls::{A_FILE, Log, SAGA, Work, is_object_call, is_store_call, work_of},
    prices::{
        ACCESS_LINE, CORE, GATEWAY, HEADER_BYTES, LOGS, MEMORY_GB, MILLION, OBJECT_MS, OBJECT_READS,
        OBJECT_WRITES, PUBLICATIONS, QUEUES, READS, REQUESTS, STORE_MS, TIME, TOPIC_MS, TRACED, TRACES,
        TRANSFER, WRITES,
    },
};

/// Entries that one publication takes.
const PUBLICATION: usize = 10;

/// Dollars, by what they are paid for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Bill(pub(crate) [f64; Bill::COLUMNS.len()]);

impl Bill {
    pub(crate) const COLUMNS: [&str; 10] = [
        "API Gateway",
        "Lambda",
        "DynamoDB writes",
        "DynamoDB reads",
        "SNS",
        "SQS",
        "S3",
        "logs",
        "X-Ray",
        "transfer",
    ];

    pub(crate) fn total(&self) -> f64 {
        self.0.iter().sum()
    }
}

impl Add for Bill {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        for (sum, part) in self.0.iter_mut().zip(other.0) {
            *sum += part;
        }
        self
    }
}

impl AddAssign for Bill {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Mul<f64> for Bill {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self(self.0.map(|part| part * factor))
    }
}

/// Something that a customer does, and all that follows from it.
#[derive(Debug)]
pub struct Piece {
    /// What the customer does.
    pub name: &'static str,
    /// The triggers of the invocations, each in its usual case.
    pub triggers: &'static [&'static str],
    /// Which case of the first of them.
    pub case: &'static str,
    /// Bytes of the body that the customer gets.
    pub answer_bytes: usize,
    /// How often per order, in the example.
    pub(crate) per_order: f64,
}

/// The pieces of the bill.
pub const PIECES: [Piece; 9] = [
    Piece {
        name: "look at a product",
        triggers: &["GET /api/products/{id}"],
        case: "",
        answer_bytes: 482,
        per_order: 20.0,
    },
    Piece {
        name: "a page of all products",
        triggers: &["GET /api/products"],
        case: "",
        answer_bytes: 9_809,
        per_order: 2.0,
    },
    Piece {
        name: "a page of a category",
        triggers: &["GET /api/products"],
        case: "of a category",
        answer_bytes: 9_809,
        per_order: 4.0,
    },
    Piece {
        name: "log in",
        triggers: &["POST /api/users/login"],
        case: "",
        answer_bytes: 536,
        per_order: 1.0,
    },
    Piece {
        name: "stay logged in for another quarter of an hour",
        triggers: &["POST /api/users/token/refresh"],
        case: "",
        answer_bytes: 536,
        per_order: 1.0,
    },
    Piece {
        name: "look at an order",
        triggers: &["GET /api/orders/{order_id}"],
        case: "",
        answer_bytes: 558,
        per_order: 2.0,
    },
    Piece {
        name: "a page of one's orders",
        triggers: &["GET /api/orders"],
        case: "",
        answer_bytes: 11_418,
        per_order: 0.5,
    },
    Piece {
        name: "give a product a picture",
        triggers: &[
            "POST /api/products/{id}/images",
            "image-uploads: a file",
            "stream of products: product_updated",
        ],
        case: "",
        answer_bytes: 704,
        per_order: 0.0,
    },
    Piece { name: "order", triggers: SAGA, case: "", answer_bytes: 558, per_order: 1.0 },
];

impl Piece {
    /// The invocations with their share in the piece, where queues and streams deliver `batch` records at a time.
    pub(crate) fn works(&self) -> impl Iterator<Item = &'static Work> {
        let case = self.case;
        self.triggers.iter().enumerate().map(move |(position, trigger)| match position {
            0 => work_in(trigger, case),
            _ => work_of(trigger),
        })
    }

    /// What a million of it cost, where queues and streams deliver the records of `batch` orders at a time.
    pub(crate) fn of_a_million(&self, batch: usize) -> Bill {
        let mut bill = Bill::default();
        for work in self.works() {
            bill += invocation(work, batch);
        }
        #[expect(clippy::cast_precision_loss, reason = "answers are small")]
        let answer = self.answer_bytes as f64 + HEADER_BYTES;
        bill.0[9] += TRANSFER.of(answer);
        bill * MILLION
    }
}

pub(super) fn work_in(trigger: &str, case: &str) -> &'static Work {
    let mut table = super::ROUTES.iter();
    let found = table.find(|work| work.trigger == trigger && work.case == case);
    found.unwrap_or_else(|| panic!("{trigger} {case} has no line in the table"))
}

/// One request's invocation; or one record's share in the invocation that handles `batch` of them.
#[expect(clippy::cast_precision_loss, reason = "batches and log lines are small")]
pub(crate) fn invocation(work: &Work, batch: usize) -> Bill {
    let kind = Log::of(work.trigger);
    let request = kind == Log::Request;
    let batch = if request { 1 } else { batch };
    let share = 1.0 / batch as f64;
    let seconds = f64::from(billed_ms(work, batch)) / 1e3;
    let records = records(work.trigger) * batch;
    let published = if work.calls.contains("PublishBatch") { records.div_ceil(PUBLICATION) } else { 0 };
    // SNS puts a message into a queue one at a time; Lambda takes them out and deletes them by the batch.
    let queued = if kind == Log::Queue { 1.0 + 2.0 * share } else { 0.0 };
    let access = if request { ACCESS_LINE.len() } else { 0 };
    let logged = (kind.bytes() + access) as f64;
    Bill([
        if request { GATEWAY.of(1.0) } else { 0.0 },
        (REQUESTS.of(1.0) + TIME.of(seconds * MEMORY_GB)) * share,
        WRITES.of(work.table_writes + work.index_writes),
        READS.of(work.reads),
        PUBLICATIONS.of(published as f64 * share),
        QUEUES.of(queued),
        objects(work),
        LOGS.of(logged) * share + LOGS.of(work.metric_bytes() as f64),
        TRACES.of(TRACED * share),
        0.0,
    ])
}

/// The milliseconds of an invocation that are paid for: calls that wait for one another, and the work of a part of a
/// core, rounded up.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "milliseconds"
)]
pub(crate) fn billed_ms(work: &Work, batch: usize) -> u32 {
    let publications = (records(work.trigger) * batch).div_ceil(PUBLICATION);
    let mut waiting = 0.0;
    for (count, operation) in work.operations() {
        waiting += match operation {
            // The shards of a feed are read side by side, and so are the messages of a batch.
            "Query" => STORE_MS,
            operation if is_store_call(operation) => STORE_MS * count as f64,
            operation if is_object_call(operation) => OBJECT_MS * count as f64,
            _ => TOPIC_MS * publications as f64,
        };
    }
    let working = work.cpu_us(records(work.trigger) * batch) as f64 / 1e3 / CORE;
    (waiting + working).ceil() as u32
}

/// What a record's calls to S3 cost. Those that delete are free.
#[expect(clippy::cast_precision_loss, reason = "calls are few")]
fn objects(work: &Work) -> f64 {
    let calls = work.operations().map(|(count, operation)| match operation {
        "GetObject" => OBJECT_READS.of(count as f64),
        "ListObjectVersions" => OBJECT_WRITES.of(count as f64),
        _ => 0.0,
    });
    // A file that has arrived was put by a client, at our expense.
    let put = if work.trigger.ends_with(A_FILE) && work.case.is_empty() { 1.0 } else { 0.0 };
    calls.fold(OBJECT_WRITES.of(put), |sum, call| sum + call)
}

/// Records that one order makes for a trigger: its two products change with it.
fn records(trigger: &str) -> usize {
    if trigger == "stream of products: product_updated" { 2 } else { 1 }
}
