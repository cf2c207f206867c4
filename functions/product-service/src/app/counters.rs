use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use dynamodb_store::StoreError;
use tokio::sync::{Mutex as Turn, oneshot};
use uuid::Uuid;

use crate::repository::{Outcome, Repository, ReservationRow, Together};

/// A counter for each product at which orders line up: those that came while one was served are served next, all of them
/// in one transaction.
///
/// DynamoDB refuses a transaction on a row that is in another one. If every order of a product that all want at once were
/// a transaction of its own, they would refuse each other again and again, each time for money; at a counter they are
/// one rival instead of ten, and one write of the product. An order for several products goes to the counter of one of
/// them: there is nothing wrong with two counters that want the same row, as there is nothing wrong with two environments.
///
/// Clones share their counters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters(Arc<Mutex<HashMap<Uuid, Arc<Counter>>>>);

#[derive(Debug, Default)]
struct Counter {
    waiting: Mutex<Vec<Waiting>>,
    turn: Turn<()>,
}

/// An order that lines up.
#[derive(Debug)]
struct Waiting {
    row: ReservationRow,
    answer: oneshot::Sender<Answer>,
}

/// An error is told to all whom it concerns.
type Answer = Result<Outcome, Arc<StoreError>>;

impl Counters {
    /// Writes a reservation that takes stock, and takes it, perhaps together with others.
    pub(crate) async fn reserve(&self, repository: &Repository, row: ReservationRow) -> Answer {
        let visit = self.visit(row.first_product());
        let (answer, mut answered) = oneshot::channel();
        visit.counter.waiting().push(Waiting { row, answer });
        let _turn = tokio::select! {
            biased;
            answer = &mut answered => return answer.unwrap_or(Ok(Outcome::Overtaken)),
            turn = visit.counter.turn.lock() => turn,
        };
        // The rest of a batch is only just on its way here.
        tokio::task::yield_now().await;
        loop {
            let group = visit.counter.next_group();
            serve(repository, group).await;
            match answered.try_recv() {
                Ok(answer) => return answer,
                Err(oneshot::error::TryRecvError::Empty) => {}
                // Whoever served it went away in the middle: to look again tells what became of it.
                Err(oneshot::error::TryRecvError::Closed) => return Ok(Outcome::Overtaken),
            }
        }
    }

    fn visit(&self, product: Uuid) -> Visit<'_> {
        let counter = Arc::clone(self.lock().entry(product).or_default());
        Visit { counters: self, product, counter }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Counter>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody is at a counter; whoever leaves last takes it away.
struct Visit<'a> {
    counters: &'a Counters,
    product: Uuid,
    counter: Arc<Counter>,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let mut counters = self.counters.lock();
        // The map's and this one.
        if Arc::strong_count(&self.counter) == 2 {
            counters.remove(&self.product);
        }
    }
}

impl Counter {
    /// Takes out who is next: the first, however large, and those that fit into a transaction with it.
    fn next_group(&self) -> Vec<Waiting> {
        let mut group: Vec<Waiting> = Vec::new();
        let mut waiting = self.waiting();
        for next in mem::take(&mut *waiting) {
            // An order that nobody waits for any more comes again with its message.
            if next.answer.is_closed() {
                continue;
            }
            let rows = group.iter().map(|waiting| &waiting.row);
            if group.is_empty() || ReservationRow::fit_together(rows.chain([&next.row])) {
                group.push(next);
            } else {
                waiting.push(next);
            }
        }
        group
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves a group, and tells each what became of it.
async fn serve(repository: &Repository, mut group: Vec<Waiting>) {
    while !group.is_empty() {
        let rows: Vec<&ReservationRow> = group.iter().map(|waiting| &waiting.row).collect();
        match repository.reserve_together(&rows).await {
            Ok(Together::Written) => return tell(group, &Ok(Outcome::Written)),
            Ok(Together::Rivals) => return tell(group, &Ok(Outcome::Overtaken)),
            Ok(Together::Decided(positions)) => {
                let mut position = 0;
                let decided = group.extract_if(.., |_| {
                    position += 1;
                    positions.contains(&(position - 1))
                });
                tell(decided.collect(), &Ok(Outcome::Overtaken));
            }
            // There is not enough for all of them, but there may be for some.
            Ok(Together::Changed) if group.len() > 1 => return serve_each(repository, group).await,
            Ok(Together::Changed) => return tell(group, &Ok(Outcome::Overtaken)),
            // One of them is at fault, which the others have nothing to do with.
            Err(error) if group.len() > 1 && !error.is_retryable() => {
                return serve_each(repository, group).await;
            }
            Err(error) => return tell(group, &Err(Arc::new(error))),
        }
    }
}

async fn serve_each(repository: &Repository, group: Vec<Waiting>) {
    for alone in group {
        Box::pin(serve(repository, vec![alone])).await;
    }
}

fn tell(group: Vec<Waiting>, answer: &Answer) {
    for waiting in group {
        // Nobody hears it who has gone.
        waiting.answer.send(answer.clone()).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use domain_events::{Currency, Money, Timestamp};

    use super::*;
    use crate::domain::{Line, Offer, Reservation};

    /// An order for a unit of each of so many products, and where its answer will be.
    fn order(number: u128, products: u128) -> (Waiting, oneshot::Receiver<Answer>) {
        let price = Money { amount: 500, currency: Currency::try_from("EUR".to_owned()).unwrap() };
        let line = |product| Line { product_id: Uuid::from_u128(product), quantity: 1, unit_price: None };
        let lines: Vec<Line> = (1..=products).map(line).collect();
        let offers: HashMap<Uuid, Offer> =
            lines.iter().map(|line| (line.product_id, Offer { price, stock: 9 })).collect();
        let reservation = Reservation::decide(Uuid::from_u128(number), &lines, &offers, Timestamp::now());
        let (answer, answered) = oneshot::channel();
        (Waiting { row: ReservationRow::new(&reservation), answer }, answered)
    }

    #[test]
    fn everybody_is_served_also_who_fits_with_nobody() {
        let counter = Counter::default();
        let (orders, _answered): (Vec<_>, Vec<_>) =
            [order(1, 1), order(2, 120), order(3, 1), order(1, 1)].into_iter().unzip();
        counter.waiting().extend(orders);
        let sizes: Vec<usize> = (0..4).map(|_| counter.next_group().len()).collect();
        // The first and the third; then the large one, and then the one that comes a second time.
        assert_eq!(sizes, [2, 1, 1, 0]);
    }

    #[test]
    fn who_has_gone_is_not_served() {
        let counter = Counter::default();
        let ((first, _), (second, _answered)) = (order(1, 1), order(2, 1));
        counter.waiting().extend([first, second]);
        assert_eq!(counter.next_group().len(), 1);
    }
}
