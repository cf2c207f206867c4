use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};

type Flight<T> = Shared<BoxFuture<'static, T>>;

/// Lets those who want the same thing at the same time have it done once. Clones share what is under way.
///
/// Nobody in particular does the work: it goes on as long as one of them still waits for it.
#[derive(Debug)]
pub(super) struct SingleFlight<K, T>(Arc<Mutex<HashMap<K, WeakShared<BoxFuture<'static, T>>>>>);

impl<K: Clone + Eq + Hash + Send + 'static, T: Clone + Send + Sync + 'static> SingleFlight<K, T> {
    /// What comes of the work that is under way for a key or, if there is none, of this.
    pub(super) async fn join(&self, key: &K, work: impl Future<Output = T> + Send + 'static) -> T {
        let flight = self.board(key, work);
        flight.await
    }

    fn board(&self, key: &K, work: impl Future<Output = T> + Send + 'static) -> Flight<T> {
        let mut under_way = self.lock();
        // One that is over, or that all have given up, carries nobody.
        if let Some(flight) = under_way.get(key).and_then(WeakShared::upgrade)
            && flight.peek().is_none()
        {
            return flight;
        }
        under_way.retain(|_, flight| flight.upgrade().is_some());
        let flights = self.clone();
        let landed = key.clone();
        let work = async move {
            let result = work.await;
            flights.lock().remove(&landed);
            result
        };
        let flight = work.boxed().shared();
        if let Some(weak) = flight.downgrade() {
            under_way.insert(key.clone(), weak);
        }
        flight
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, WeakShared<BoxFuture<'static, T>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, T> Clone for SingleFlight<K, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, T> Default for SingleFlight<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::{join_all, pending, poll_immediate};
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn who_comes_while_it_is_under_way_shares_it_and_who_comes_later_does_not() {
        let flights = SingleFlight::<u8, usize>::default();
        let (count, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let work = || {
            let (count, go) = (Arc::clone(&count), Arc::clone(&go));
            async move {
                go.notified().await;
                count.fetch_add(1, Ordering::Relaxed)
            }
        };
        for expected in 0..3 {
            let mut all = join_all((0..10).map(|_| Box::pin(flights.join(&1, work()))));
            assert_eq!(poll_immediate(&mut all).await, None);
            go.notify_one();
            assert_eq!(all.await, [expected; 10]);
            assert!(flights.lock().is_empty());
        }
    }

    #[tokio::test]
    async fn what_all_have_given_up_is_begun_anew() {
        let flights = SingleFlight::<u8, u8>::default();
        assert_eq!(poll_immediate(Box::pin(flights.join(&1, pending()))).await, None);
        assert_eq!(flights.join(&1, async { 2 }).await, 2);
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn who_began_it_may_give_up() {
        let flights = SingleFlight::<u8, u8>::default();
        let go = Arc::new(Notify::new());
        let work = |result| {
            let go = Arc::clone(&go);
            async move {
                go.notified().await;
                result
            }
        };
        let mut first = Box::pin(flights.join(&1, work(1)));
        assert_eq!(poll_immediate(&mut first).await, None);
        let mut second = Box::pin(flights.join(&1, work(2)));
        assert_eq!(poll_immediate(&mut second).await, None);
        drop(first);
        go.notify_one();
        assert_eq!(second.await, 1);
    }
}
