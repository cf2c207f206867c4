use std::{
    io::{self, IsTerminal, Write},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

/// The mark of a step that was done.
pub(crate) const DONE: &str = "✓";
/// The mark of a step that failed.
pub(crate) const FAILED: &str = "✗";
/// The mark of a step that could not be done here.
pub(crate) const SKIPPED: &str = "-";

const TITLE_WIDTH: usize = 26;

/// Runs one step of a task. While it runs, its line says for how long: every second on a terminal, every half
/// minute where lines are kept, as in CI.
pub(crate) fn step<T>(title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    marked_step(title, |outcome| if outcome.is_ok() { DONE } else { FAILED }, work)
}

/// A step whose mark at the end follows from more than that it did not fail.
pub(crate) fn marked_step<T>(
    title: &str,
    mark: impl FnOnce(&Result<T>) -> &'static str,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let start = Instant::now();
    let terminal = io::stdout().is_terminal();
    let (done, wait) = mpsc::channel::<()>();
    let outcome = thread::scope(|scope| {
        scope.spawn(move || {
            let every = Duration::from_secs(if terminal { 1 } else { 30 });
            show_running(terminal, title, start);
            while wait.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                show_running(terminal, title, start);
            }
        });
        // Dropped when the work is done, and when it panics, so that the line above always ends.
        let _done = done;
        work()
    });
    if terminal {
        print!("\r\x1b[K");
    }
    println!("{}", line(mark(&outcome), title, start.elapsed()));
    outcome
}

/// One line of a step: a mark, what it is, how long it took.
pub(crate) fn line(mark: &str, title: &str, elapsed: Duration) -> String {
    format!("  {mark} {title:<TITLE_WIDTH$} {:>6.1} s", elapsed.as_secs_f64())
}

fn show_running(terminal: bool, title: &str, start: Instant) {
    let elapsed = start.elapsed();
    if terminal {
        print!("\r\x1b[K{}", line("…", title, elapsed));
        // A terminal that is gone can't be told anything.
        io::stdout().flush().ok();
    } else if elapsed.as_secs() > 0 {
        println!("{}", line("…", title, elapsed));
    }
}
