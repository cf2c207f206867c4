use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use serde_json::Value;

/// Everything that was wanted in a run.
#[derive(Default)]
pub(crate) struct Journal(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    deeds: Vec<Deed>,
    progress: Progress,
}

/// How much was done by now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Things that somebody wanted.
    pub(crate) deeds: usize,
    /// Requests, repetitions included.
    pub(crate) requests: usize,
    /// Requests that had to be repeated: no answer, 5xx, or 429.
    pub(crate) failed: usize,
    /// Orders that somebody was told are placed, repetitions included.
    pub(crate) orders: usize,
    /// Requests with a token of a server whose clock is off.
    pub(crate) skewed: usize,
}

impl Journal {
    /// Somebody begins to want something; answers the deed's number.
    pub(crate) fn begin(&self, shopper: usize, what: What) -> usize {
        let mut entries = self.entries();
        let number = entries.deeds.len();
        entries.deeds.push(Deed { number, shopper, what, attempts: Vec::new(), complaints: Vec::new() });
        entries.progress.deeds += 1;
        number
    }

    /// A try of a deed.
    pub(crate) fn tried(&self, number: usize, attempt: Attempt) {
        let mut entries = self.entries();
        entries.progress.requests += 1;
        entries.progress.failed += usize::from(attempt.outcome.is_failure());
        entries.progress.skewed += usize::from(attempt.skewed);
        let Some(deed) = entries.deeds.get_mut(number) else { return };
        deed.attempts.push(attempt);
        let placed = matches!(deed.what, What::Place { .. }) && deed.status() == Some(201);
        entries.progress.orders += usize::from(placed);
    }

    /// An answer was not what the API promises.
    pub(crate) fn complain(&self, number: usize, complaint: String) {
        if let Some(deed) = self.entries().deeds.get_mut(number) {
            deed.complaints.push(complaint);
        }
    }

    /// Whether a try of a deed may have been carried out although nobody was told so.
    pub(crate) fn was_unknown(&self, number: usize) -> bool {
        let entries = self.entries();
        let deed = entries.deeds.get(number);
        deed.is_some_and(|deed| deed.attempts.iter().any(|attempt| attempt.outcome.is_unknown()))
    }

    /// How far it is by now.
    pub(crate) fn progress(&self) -> Progress {
        self.entries().progress
    }

    /// All that is known by now, in the order in which it began.
    pub(crate) fn deeds(&self) -> Vec<Deed> {
        self.entries().deeds.clone()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thing that somebody wanted, with all tries.
#[derive(Debug, Clone)]
pub(crate) struct Deed {
    pub(crate) number: usize,
    pub(crate) shopper: usize,
    pub(crate) what: What,
    pub(crate) attempts: Vec<Attempt>,
    /// What the shopper found wrong with the answers, beside failures that a repetition cured.
    pub(crate) complaints: Vec<String>,
}

/// What was wanted.
#[derive(Debug, Clone)]
pub(crate) enum What {
    Register { email: String },
    MakeAdmin { user_id: String },
    LogIn { email: String },
    Refresh,
    Browse,
    ReadProduct { product_id: String },
    CreateProduct { stock: i64 },
    ChangeStock { product_id: String, change: i64, key: String },
    EditProduct { product_id: String },
    DeleteProduct { product_id: String },
    ReadReport { path: String },
    Place { user_id: String, key: String, items: Vec<(String, i64)> },
    ReadOrder { order_id: String },
    ListOrders,
    Cancel { order_id: String },
    Ship { order_id: String },
    Deliver { order_id: String },
    DeleteAccount { user_id: String },
}

/// One try.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) at: SystemTime,
    pub(crate) took: Duration,
    /// Its token was made by a server whose clock is off.
    pub(crate) skewed: bool,
    pub(crate) outcome: Outcome,
}

/// What came of a try.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// The body is `null` where nobody looks at it again, or where it holds tokens.
    Answer { status: u16, etag: Option<String>, body: Value, request_id: Option<String> },
    /// Nobody knows whether it was carried out.
    NoAnswer(String),
}

impl Deed {
    /// The status of the last try, if that was answered.
    pub(crate) fn status(&self) -> Option<u16> {
        self.attempts.last()?.outcome.status()
    }

    /// The body of the last try, if that was answered.
    pub(crate) fn body(&self) -> Option<&Value> {
        match &self.attempts.last()?.outcome {
            Outcome::Answer { body, .. } => Some(body),
            Outcome::NoAnswer(_) => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { status, body, request_id: Some(id), .. } => {
                write!(f, "{status} (request {id}) {body}")
            }
            Self::Answer { status, body, request_id: None, .. } => write!(f, "{status} {body}"),
            Self::NoAnswer(error) => write!(f, "no answer: {error}"),
        }
    }
}

impl Outcome {
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } => Some(*status),
            Self::NoAnswer(_) => None,
        }
    }

    /// Whether a client repeats the request for it.
    pub(crate) fn is_failure(&self) -> bool {
        self.status().is_none_or(|status| status >= 500 || status == 429)
    }

    /// Whether the request may have been carried out although nobody was told so.
    pub(crate) fn is_unknown(&self) -> bool {
        self.status().is_none_or(|status| status >= 500)
    }
}
