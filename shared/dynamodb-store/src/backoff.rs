use std::time::Duration;

const TRIES: u32 = 8;
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_millis(640);

/// Counts the tries of one call and waits between them, a random time each so that rivals spread out.
/// All waits together stay below two seconds, well inside a function's time.
#[derive(Default)]
pub(crate) struct Backoff {
    failed_tries: u32,
}

impl Backoff {
    /// After a failed try: waits and answers true when another one is worth it, false when the tries are used
    /// up.
    pub(crate) async fn another_try(&mut self) -> bool {
        self.failed_tries += 1;
        if self.failed_tries >= TRIES {
            return false;
        }
        let longest = (FIRST_WAIT * 2u32.pow(self.failed_tries - 1)).min(LONGEST_WAIT);
        tokio::time::sleep(longest.mul_f64(fastrand::f64())).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tries_and_waits_are_bounded() {
        let mut backoff = Backoff::default();
        let started = tokio::time::Instant::now();
        let mut tries = 1;
        while backoff.another_try().await {
            tries += 1;
        }
        assert_eq!(tries, TRIES);
        assert!(started.elapsed() < Duration::from_secs(2));
    }
}
