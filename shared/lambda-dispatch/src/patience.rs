use std::time::Duration;

use tokio::time::Instant;

/// The first wait; each further one may be twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(300);
const WAITS: u32 = 5;

/// What a failed message is kept away for after its first failure …
const SOME_SECONDS: Duration = Duration::from_secs(5);
/// … and after any other: most failures pass in a moment, an outage does not.
const MINUTES: Duration = Duration::from_secs(180);

/// Waits between the tries of one invocation to reach a topic or a queue.
///
/// Lambda gives a stream's batch back as soon as it has failed, up to ten thousand times in the twelve hours in which it
/// tries. Without a wait in here that would be thousands of invocations in an hour, and the batch would be given up after
/// that hour; those that use up their waits take 4.65 seconds at least, so that it is the age that ends them. Waiting costs
/// less than starting anew, and holds up nothing but this shard, which has to wait anyway.
pub(crate) struct Patience {
    deadline: Instant,
    waited: u32,
}

impl Patience {
    pub(crate) fn until(deadline: Instant) -> Self {
        Self { deadline, waited: 0 }
    }

    /// After a failed try: waits and answers true when there is time for another one.
    pub(crate) async fn another_try(&mut self) -> bool {
        if self.waited == WAITS {
            return false;
        }
        let wait = about(FIRST_WAIT * 2u32.pow(self.waited), 0.5..1.0);
        self.waited += 1;
        if Instant::now() + wait >= self.deadline {
            return false;
        }
        tokio::time::sleep(wait).await;
        true
    }

    /// Something got through: what fails from now on is tried as often as if it was the first.
    pub(crate) fn renew(&mut self) {
        self.waited = 0;
    }
}

/// How long a message stays away that failed when it was received for the `receive_count`th time. Each of a batch gets a
/// time of its own: what was too much at once does not come back at once.
pub(crate) fn time_away(receive_count: u32) -> Duration {
    about(if receive_count <= 1 { SOME_SECONDS } else { MINUTES }, 0.5..1.5)
}

fn about(time: Duration, range: std::ops::Range<f64>) -> Duration {
    time.mul_f64(range.start + (range.end - range.start) * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_invocation_that_is_given_up_has_waited_long_enough_for_twelve_hours() {
        const ATTEMPTS: u32 = 10_000;
        let started = Instant::now();
        let mut patience = Patience::until(started + Duration::from_secs(28));
        while patience.another_try().await {}
        let waited = started.elapsed();
        assert!(waited * ATTEMPTS > Duration::from_secs(12 * 60 * 60), "{waited:?}");
        assert!(waited < Duration::from_secs(10), "{waited:?}");
        assert!(!patience.another_try().await);
        patience.renew();
        assert!(patience.another_try().await);
    }

    #[tokio::test(start_paused = true)]
    async fn no_wait_goes_beyond_the_deadline() {
        let deadline = Instant::now() + Duration::from_secs(2);
        let mut patience = Patience::until(deadline);
        while patience.another_try().await {
            assert!(Instant::now() < deadline);
        }
    }

    #[test]
    fn a_message_stays_away_for_seconds_then_for_minutes_and_none_as_long_as_the_next() {
        let seconds = |receive_count: u32| -> Vec<f64> {
            (0..100).map(|_| time_away(receive_count).as_secs_f64()).collect()
        };
        for (receive_count, range) in [(1, 2.5..7.5), (2, 90.0..270.0), (3, 90.0..270.0)] {
            let mut times = seconds(receive_count);
            assert!(times.iter().all(|time| range.contains(time)), "{times:?}");
            times.sort_by(f64::total_cmp);
            times.dedup();
            assert!(times.len() > 50, "{times:?}");
        }
    }
}
