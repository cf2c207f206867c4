use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long it has to be well for a failure to count as the first one again: else what fails every other second would be
/// tried, and complained about, every other second.
const WELL_AGAIN: Duration = Duration::from_secs(60);

/// Keeps callers from what has just failed: after a failure nobody is let through for a while, then one to try, and after
/// another failure nobody for twice as long.
#[derive(Debug)]
pub(super) struct Circuit {
    first_pause: Duration,
    longest_pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Until when nobody is let through; after that, one is. `None` while the circuit is closed.
    open_until: Option<Instant>,
    /// Somebody is trying.
    probing: bool,
    /// Failures that came one soon after the other.
    failures: u32,
    closed_since: Option<Instant>,
    /// How often the circuit has opened: who was let through before that has nothing new to say.
    openings: u64,
}

/// Somebody who was let through, and who is to say what became of it.
#[derive(Debug)]
pub(super) struct Admission<'a> {
    circuit: &'a Circuit,
    opening: u64,
    probe: bool,
    settled: bool,
}

/// What a failure means to the circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// It was the one that opened it.
    Opened,
    /// It was a try, and the circuit stays open.
    StaysOpen,
    /// Others had failed before.
    Known,
}

impl Circuit {
    pub(super) fn new(first_pause: Duration, longest_pause: Duration) -> Self {
        Self { first_pause, longest_pause, state: Mutex::default() }
    }

    /// Lets a caller through, or does not.
    pub(super) fn admit(&self, now: Instant) -> Option<Admission<'_>> {
        let mut state = self.lock();
        let probe = state.open_until.is_some();
        if probe && (state.probing || state.open_until.is_some_and(|until| now < until)) {
            return None;
        }
        state.probing = probe;
        Some(Admission { circuit: self, opening: state.openings, probe, settled: false })
    }

    fn open(&self, state: &mut State, now: Instant) {
        if state.closed_since.is_some_and(|since| now.duration_since(since) >= WELL_AGAIN) {
            state.failures = 0;
        }
        let pause = self.first_pause.saturating_mul(2_u32.saturating_pow(state.failures));
        // Not all environments at the same moment.
        let pause = pause.min(self.longest_pause).mul_f64(0.8 + 0.4 * fastrand::f64());
        state.failures = state.failures.saturating_add(1);
        state.open_until = Some(now + pause);
        state.closed_since = None;
        state.probing = false;
        state.openings += 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admission<'_> {
    /// Whether nobody has failed since.
    pub(super) fn holds(&self) -> bool {
        self.circuit.lock().openings == self.opening
    }

    /// It went well. Answers whether that closed the circuit.
    pub(super) fn succeeded(mut self, now: Instant) -> bool {
        self.settled = true;
        if self.probe {
            let mut state = self.circuit.lock();
            state.open_until = None;
            state.probing = false;
            state.closed_since = Some(now);
        }
        self.probe
    }

    /// It failed.
    pub(super) fn failed(mut self, now: Instant) -> Failed {
        self.settled = true;
        let mut state = self.circuit.lock();
        if state.openings != self.opening {
            return Failed::Known;
        }
        self.circuit.open(&mut state, now);
        if self.probe { Failed::StaysOpen } else { Failed::Opened }
    }
}

/// A try that was given up in the middle, with the request that it was part of, is as good as failed: the next one must
/// not have to wait for it.
impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if self.probe && !self.settled {
            let mut state = self.circuit.lock();
            self.circuit.open(&mut state, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn circuit() -> (Circuit, Instant) {
        (Circuit::new(SECOND, 30 * SECOND), Instant::now())
    }

    /// How long nobody is let through from now on, to a tenth of a second.
    fn pause(circuit: &Circuit, now: Instant) -> Duration {
        let over = |at| circuit.lock().open_until.is_none_or(|until| at >= until);
        let tenths = (0_u32..).find(|tenths| over(now + SECOND / 10 * *tenths));
        SECOND / 10 * tenths.unwrap()
    }

    #[test]
    fn after_a_failure_nobody_is_let_through_and_then_one() {
        let (circuit, now) = circuit();
        let (first, second) = (circuit.admit(now).unwrap(), circuit.admit(now).unwrap());
        assert_eq!(first.failed(now), Failed::Opened);
        assert!(!second.holds() && circuit.admit(now + SECOND / 2).is_none());
        assert_eq!(second.failed(now), Failed::Known, "one failure is told, not one for each who met it");
        let probe = circuit.admit(now + 2 * SECOND).unwrap();
        assert!(circuit.admit(now + 2 * SECOND).is_none());
        assert!(probe.succeeded(now + 2 * SECOND));
        assert!(!circuit.admit(now + 2 * SECOND).unwrap().succeeded(now), "it is closed already");
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let (circuit, mut now) = circuit();
        assert_eq!(circuit.admit(now).unwrap().failed(now), Failed::Opened);
        for expected in [1, 2, 4, 8, 16, 30, 30] {
            let pause = pause(&circuit, now);
            let expected = SECOND * expected;
            assert!(
                pause >= expected.mul_f64(0.79) && pause <= expected.mul_f64(1.3),
                "{pause:?} {expected:?}"
            );
            now += pause;
            assert_eq!(circuit.admit(now).unwrap().failed(now), Failed::StaysOpen);
        }
    }

    #[test]
    fn only_what_was_well_for_a_while_is_tried_soon_again() {
        let (circuit, now) = circuit();
        circuit.admit(now).unwrap().failed(now);
        let again = now + 2 * SECOND;
        circuit.admit(again).unwrap().succeeded(again);
        circuit.admit(again).unwrap().failed(again);
        assert!(pause(&circuit, again) > SECOND + SECOND / 2);
        let later = again + 4 * SECOND;
        circuit.admit(later).unwrap().succeeded(later);
        let well = later + WELL_AGAIN;
        circuit.admit(well).unwrap().failed(well);
        assert!(pause(&circuit, well) < SECOND + SECOND / 2);
    }

    #[test]
    fn a_try_that_is_given_up_is_a_failure() {
        let (circuit, now) = circuit();
        circuit.admit(now).unwrap().failed(now);
        let later = now + 2 * SECOND;
        drop(circuit.admit(later).unwrap());
        assert!(circuit.admit(Instant::now()).is_none());
        assert!(circuit.admit(later + 5 * SECOND).is_some());
    }
}
