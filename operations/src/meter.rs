use std::{
    cell::Cell,
    io::{IsTerminal, Write, stdout},
    time::{Duration, Instant},
};

use operations::reports::Progress;

/// How often a line is printed where lines are kept, as in CI.
const BETWEEN_LINES: Duration = Duration::from_secs(10);
/// How often the one line of a terminal changes.
const BETWEEN_CHANGES: Duration = Duration::from_millis(200);

/// Shows how far something is, and how fast.
#[derive(Default)]
pub(crate) struct Meter {
    step: Cell<Option<Step>>,
}

#[derive(Clone, Copy)]
struct Step {
    name: &'static str,
    began: Instant,
    shown: Instant,
}

impl Meter {
    /// Shows it, if it is time to.
    pub(crate) fn show(&self, progress: &Progress) {
        let (now, terminal) = (Instant::now(), stdout().is_terminal());
        let between = if terminal { BETWEEN_CHANGES } else { BETWEEN_LINES };
        let step = match self.step.get() {
            Some(step) if step.name == progress.step => step,
            _ => Step { name: progress.step, began: now, shown: now },
        };
        let is_due = step.began == now || now.duration_since(step.shown) >= between;
        self.step.set(Some(Step { shown: if is_due { now } else { step.shown }, ..step }));
        if !is_due {
            return;
        }
        let line = line(progress, now.duration_since(step.began));
        if terminal {
            print!("\r\x1b[K{line}");
            // That it is shown a moment later harms nobody.
            stdout().flush().ok();
        } else {
            println!("{line}");
        }
    }

    /// Gives the line back to what comes next.
    pub(crate) fn end(&self) {
        if self.step.take().is_some() && stdout().is_terminal() {
            print!("\r\x1b[K");
        }
    }
}

fn line(progress: &Progress, time: Duration) -> String {
    let Progress { step, done, of } = progress;
    let mut line = format!("{step}: {done}");
    if let Some(of) = of.filter(|of| *of > 0) {
        // The number of a table's rows is some hours old.
        let share = (done.saturating_mul(100) / of).min(99);
        line += &format!(" of about {of} ({share} %)");
    }
    if time >= Duration::from_secs(1) {
        line += &format!(", {:.0}/s", *done as f64 / time.as_secs_f64());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_much_of_how_much_and_how_fast() {
        let line =
            |done, of, seconds| line(&Progress { step: "orders", done, of }, Duration::from_secs(seconds));
        assert_eq!(line(500, Some(2000), 2), "orders: 500 of about 2000 (25 %), 250/s");
        assert_eq!(line(500, None, 0), "orders: 500");
        assert_eq!(line(2100, Some(2000), 0), "orders: 2100 of about 2000 (99 %)");
    }
}
