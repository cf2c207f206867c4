use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use serde_json::Value;

/// Everything that was wanted in a run.
#[derive(Default)]
pub(crate) struct Journal {
    deeds: Mutex<Vec<Deed>>,
}

impl Journal {
    /// All that is known by now, in the order in which it began.
    pub(crate) fn deeds(&self) -> Vec<Deed> {
        self.deeds.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One thing that somebody wanted, with all tries.
#[derive(Debug, Clone)]
pub(crate) struct Deed {
    pub(crate) number: usize,
    pub(crate) shopper: usize,
    pub(crate) what: What,
    pub(crate) attempts: Vec<Attempt>,
}

/// What was wanted.
#[derive(Debug, Clone)]
pub(crate) enum What {
    Register { email: String, name: String },
    LogIn { email: String },
    Refresh,
    Browse,
    ReadProduct { product_id: String },
    CreateProduct { stock: i64 },
    ChangeStock { product_id: String, change: i64, key: String },
    Place { user_id: String, key: String, items: Vec<(String, i64)> },
    ReadOrder { order_id: String },
    ListOrders,
    Cancel { order_id: String },
    Ship { order_id: String },
    Deliver { order_id: String },
    DeleteAccount { user_id: String, email: String, name: String },
}

/// One try.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) at: SystemTime,
    pub(crate) took: Duration,
    pub(crate) outcome: Outcome,
}

/// What came of a try.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Answer { status: u16, body: Value, request_id: Option<String> },
    NoAnswer(String),
}
