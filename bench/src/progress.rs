use std::{
    io::{self, IsTerminal, Write},
    time::Instant,
};

/// A line that tells how far a phase is: renewed on a terminal, and written once at the end where lines are kept.
pub(crate) struct Progress {
    phase: &'static str,
    done: usize,
    of: usize,
    start: Instant,
}

impl Progress {
    pub(crate) fn new(phase: &'static str, of: usize) -> Self {
        let progress = Self { phase, done: 0, of, start: Instant::now() };
        progress.show();
        progress
    }

    pub(crate) fn advance(&mut self) {
        self.done += 1;
        self.show();
    }

    fn show(&self) {
        if io::stderr().is_terminal() {
            eprint!("\r\x1b[K{}", self.line());
            // A terminal that is gone can't be told anything.
            io::stderr().flush().ok();
        }
    }

    fn line(&self) -> String {
        let Self { phase, done, of, start } = self;
        format!("  {phase:<26} round {done} of {of} {:>8.1} s", start.elapsed().as_secs_f64())
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let clear = if io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
        eprintln!("{clear}{}", self.line());
    }
}
