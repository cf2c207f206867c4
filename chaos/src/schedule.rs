use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    ledger::Ledger,
    plan::{Kind, Plan},
};

/// The plan on its way through a run: when it began, and which decision is the next.
pub(crate) struct Schedule {
    pub(crate) plan: Arc<Plan>,
    pub(crate) ledger: Arc<Ledger>,
    began: OnceLock<Instant>,
    is_over: AtomicBool,
    turns: Mutex<HashMap<(Kind, String), u64>>,
}

impl Schedule {
    /// A plan that has not begun: nothing is injected.
    pub(crate) fn new(plan: Arc<Plan>, ledger: Arc<Ledger>) -> Self {
        let (began, is_over, turns) = (OnceLock::new(), AtomicBool::new(false), Mutex::default());
        Self { plan, ledger, began, is_over, turns }
    }

    /// Faults from now on.
    pub(crate) fn begin(&self) {
        self.began.get_or_init(Instant::now);
        self.ledger.write("the faults begin");
    }

    /// No faults any more.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.ledger.write("the faults are over");
    }

    /// The time since the beginning, while there are faults.
    pub(crate) fn now(&self) -> Option<Duration> {
        let began = self.began.get()?;
        (!self.is_over.load(Ordering::SeqCst)).then(|| began.elapsed())
    }

    /// Waits for a moment of the plan; false if the faults ended before.
    pub(crate) async fn reaches(&self, moment: Duration) -> bool {
        let Some(now) = self.now() else { return false };
        tokio::time::sleep(moment.saturating_sub(now)).await;
        self.now().is_some()
    }

    /// Whether this kind hits the call of this name that is made now, which is the next of its sequence.
    pub(crate) fn hits(&self, kind: Kind, call: &str) -> bool {
        let Some(now) = self.now() else { return false };
        self.plan.hits(kind, call, self.turn(kind, call), now)
    }

    /// A number from 0 to 1: the next of this kind and name.
    pub(crate) fn draw(&self, kind: Kind, name: &str) -> f64 {
        let turn = self.turn(kind, name);
        self.plan.draw(&format!("{} {name}", kind.name()), turn)
    }

    fn turn(&self, kind: Kind, name: &str) -> u64 {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let next = turns.entry((kind, name.to_owned())).or_default();
        *next += 1;
        *next
    }
}
