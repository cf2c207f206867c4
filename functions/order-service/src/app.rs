//! What can be done with orders, whichever trigger asks for it.

use std::time::Duration;

use domain_events::Timestamp;
use dynamodb_store::{Page, Position, StoreError};
use futures_util::{StreamExt, stream};
use problem_details::IdempotencyKey;
use uuid::Uuid;

use crate::{
    domain::{Basket, Command, Decision, NoTotal, Order, Priced, Status, decide},
    repository::{Condition, Insertion, NotChanged, Repository},
};

/// Remembered deletions outlive the deadline message of any order that was placed with a leftover access token: 14 days,
/// its time in the dead-letter queue included, and as long again if it is redriven on its last day.
const DELETION_REMEMBERED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Orders of one customer that are changed at the same time.
const CONCURRENCY: usize = 8;

/// Orders that are read at once to be changed.
const PAGE: usize = 100;

/// How often a change is decided anew because another one came first.
const TRIES: usize = 5;

/// The use cases.
#[derive(Debug, Clone)]
pub(crate) struct Orders {
    repository: Repository,
}

/// An order that was asked for.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) order: Order,
    /// It had been placed before, under the same key.
    pub(crate) replayed: bool,
}

/// Why a customer or an admin did not get what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    #[error("there is no such order for this caller")]
    NotFound,
    #[error("the key was used for another order")]
    KeyReused,
    #[error("the order has another version")]
    Stale,
    #[error("an order that is {} can't be cancelled", .0.name())]
    NotCancellable(Status),
    #[error("not possible for an order that is {}", .0.name())]
    WrongStatus(Status),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a message about an order had no effect.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MessageError {
    #[error("order {0} does not exist")]
    NoSuchOrder(Uuid),
    #[error("the stock of order {0} is reserved for other lines than it has")]
    OtherLines(Uuid),
    #[error(transparent)]
    NoTotal(#[from] NoTotal),
    #[error("order {0} changes too often")]
    Contended(Uuid),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What customers and admins ask for.
impl Orders {
    pub(crate) fn new(repository: Repository) -> Self {
        Self { repository }
    }

    /// Whether orders can be read.
    pub(crate) async fn ready(&self) -> Result<(), StoreError> {
        self.repository.ping().await
    }

    /// Places an order, once per customer and key.
    pub(crate) async fn place(
        &self,
        user_id: Uuid,
        key: &IdempotencyKey,
        basket: Basket,
    ) -> Result<Placed, OrderError> {
        let fingerprint = basket.fingerprint();
        let order = Order::place(Order::id_under(key, user_id), user_id, basket, Timestamp::now());
        match self.repository.insert(order.clone(), fingerprint.clone()).await? {
            Insertion::Inserted => Ok(Placed { order, replayed: false }),
            Insertion::Taken { order: present, fingerprint: taken_by }
                if taken_by.as_ref() == Some(&fingerprint) =>
            {
                // The very order of this call, if the SDK has repeated a write whose answer got lost.
                let replayed = *present != order;
                Ok(Placed { order: *present, replayed })
            }
            Insertion::Taken { .. } => Err(OrderError::KeyReused),
        }
    }

    /// Reads an order; with an owner, only if it is the owner's.
    pub(crate) async fn find(&self, order_id: Uuid, owner: Option<Uuid>) -> Result<Order, OrderError> {
        let order = self.repository.find(order_id).await?;
        order.filter(|order| owner.is_none_or(|owner| owner == order.user_id)).ok_or(OrderError::NotFound)
    }

    /// A page of a customer's orders, newest first.
    pub(crate) async fn list(
        &self,
        user_id: Uuid,
        status: Option<Status>,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Page<Order>, OrderError> {
        Ok(self.repository.page_of_customer(user_id, status, after, limit).await?)
    }

    /// Makes a command happen, or finds that it has happened already.
    pub(crate) async fn execute(
        &self,
        order_id: Uuid,
        command: Command,
        condition: Condition,
    ) -> Result<Order, OrderError> {
        let order = match self.repository.change(order_id, &command, condition, Timestamp::now()).await {
            Ok(changed) => return Ok(changed),
            Err(NotChanged::Unfit(order)) => *order,
            Err(NotChanged::Absent) => return Err(OrderError::NotFound),
            Err(NotChanged::Store(error)) => return Err(error.into()),
        };
        if condition.owner.is_some_and(|owner| owner != order.user_id) {
            return Err(OrderError::NotFound);
        }
        match decide(order.status, &command) {
            // Also for the version before it: a repetition is answered as what it repeats (RFC 9110, 13.1.1).
            Decision::Done => Ok(order),
            _ if condition.version.is_some_and(|version| version != order.version) => Err(OrderError::Stale),
            _ if matches!(command, Command::Cancel(_)) => Err(OrderError::NotCancellable(order.status)),
            _ => Err(OrderError::WrongStatus(order.status)),
        }
    }
}

/// What messages report. All of it may be repeated.
impl Orders {
    /// The order's stock is taken, at these prices.
    pub(crate) async fn confirm(&self, order_id: Uuid, reserved: Priced) -> Result<(), MessageError> {
        let Some(order) = self.report(order_id, &Command::Confirm(reserved.clone())).await? else {
            return Ok(());
        };
        // Still pending, and yet not changed: the lines are in another sequence, or others.
        let reserved = reserved.in_sequence_of(&order.items).ok_or(MessageError::OtherLines(order_id))?;
        match self.report(order_id, &Command::Confirm(reserved)).await? {
            None => Ok(()),
            Some(_) => Err(MessageError::OtherLines(order_id)),
        }
    }

    /// The order can't be supplied.
    pub(crate) async fn reject(&self, order_id: Uuid, reason: String) -> Result<(), MessageError> {
        self.report(order_id, &Command::Reject(reason)).await.map(drop)
    }

    /// The time for an order to be confirmed is over. If its customer is gone by now, nobody waits for it.
    pub(crate) async fn expire(&self, order_id: Uuid, user_id: Uuid) -> Result<(), MessageError> {
        let (order, customer_gone) = self.repository.find_with_customer(order_id, user_id).await?;
        let order = order.ok_or(MessageError::NoSuchOrder(order_id))?;
        if customer_gone {
            self.forget_customer_of(order).await
        } else if decide(order.status, &Command::Expire) != Decision::Done {
            self.report(order_id, &Command::Expire).await.map(drop)
        } else {
            Ok(())
        }
    }

    /// A user is gone: open orders are cancelled, and personal data is removed from all.
    ///
    /// Every order is a write of its own: one that fails holds up no other, and what was done stays done when the time is
    /// up; the repetition goes on with the rest. An order that the index does not show yet is caught by its deadline.
    pub(crate) async fn forget_customer(&self, user_id: Uuid) -> Result<(), MessageError> {
        let now = Timestamp::now();
        let until = now.as_millis() + i64::try_from(DELETION_REMEMBERED.as_millis()).unwrap_or(i64::MAX);
        self.repository.remember_deletion(user_id, Timestamp::from_millis(until)).await?;
        let (mut after, mut outcome) = (None, Ok(()));
        loop {
            let page = self.repository.page_of_customer(user_id, None, after, PAGE).await?;
            outcome = stream::iter(page.items)
                .map(|order| self.forget_customer_of(order))
                .buffer_unordered(CONCURRENCY)
                .fold(outcome, async |so_far, order| so_far.and(order))
                .await;
            after = page.next;
            if after.is_none() {
                return outcome;
            }
        }
    }

    async fn forget_customer_of(&self, mut order: Order) -> Result<(), MessageError> {
        let order_id = order.order_id;
        for _ in 0..TRIES {
            if !order.concerns_customer() {
                return Ok(());
            }
            match self.repository.forget_customer(&order, Timestamp::now()).await {
                Ok(_) => return Ok(()),
                Err(NotChanged::Unfit(changed)) => order = *changed,
                Err(NotChanged::Absent) => return Err(MessageError::NoSuchOrder(order_id)),
                Err(NotChanged::Store(error)) => return Err(error.into()),
            }
        }
        Err(MessageError::Contended(order_id))
    }

    /// Makes a command happen unless its time is over; answers the order if it should have changed and did not.
    async fn report(&self, order_id: Uuid, command: &Command) -> Result<Option<Order>, MessageError> {
        match self.repository.change(order_id, command, Condition::default(), Timestamp::now()).await {
            Ok(order) => {
                measure(&order, command);
                Ok(None)
            }
            Err(NotChanged::Unfit(order)) if decide(order.status, command) == Decision::Done => Ok(None),
            Err(NotChanged::Unfit(order)) => Ok(Some(*order)),
            Err(NotChanged::Absent) => Err(MessageError::NoSuchOrder(order_id)),
            Err(NotChanged::Store(error)) => Err(error.into()),
        }
    }
}

/// Measures how long an order waited for its stock, once: here, where it has just been changed by the answer. In the
/// stream it would be measured anew whenever a batch comes again.
fn measure(order: &Order, command: &Command) {
    if let Some(outcome) = command.outcome() {
        telemetry::duration("saga_seconds", order.age(), ("outcome", outcome));
    }
}
