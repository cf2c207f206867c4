//! Keys, rows and conditional writes of the order table.

use domain_events::{Money, Timestamp};
use dynamodb_store::{Consistency, Key, Page, Position, StoreError, Table, Update, from_item};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use telemetry::Trace;
use uuid::Uuid;

use crate::domain::{Command, Decision, Line, Order, ShippingAddress, Status, Step, decide};

const KEY: &str = "order_id";
const BY_CUSTOMER: &str = "user_id-created_at-index";

/// The order table.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    table: Table,
}

/// An order as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OrderRow {
    order_id: Uuid,
    user_id: Uuid,
    status: Status,
    items: Vec<Line>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shipping_address: Option<ShippingAddress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    history: Vec<Step>,
    /// Fingerprint of the request; gone with the customer's account, because the address went into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_hash: Option<String>,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// Of the request or message that caused the last change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
}

/// Remembers for a while that a user is gone: an access token, and so an order, can outlive its user a little.
#[derive(Debug, Serialize, Deserialize)]
struct Tombstone {
    order_id: String,
    /// Seconds since 1970, after which DynamoDB removes the row.
    expires_at: i64,
}

/// A row of either kind. An order never has `expires_at`, a tombstone little else.
#[derive(Deserialize)]
#[serde(untagged)]
enum Row {
    Order(Box<OrderRow>),
    Tombstone(Tombstone),
}

/// What became of a new order.
#[derive(Debug)]
pub(crate) enum Insertion {
    /// It is new.
    Inserted,
    /// There is one under its id, made by a request of this fingerprint.
    Taken { order: Box<Order>, fingerprint: Option<String> },
}

/// What an order has to be, beside its status, for a command to change it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Condition {
    /// This customer's.
    pub(crate) owner: Option<Uuid>,
    /// At this version.
    pub(crate) version: Option<u64>,
}

/// Why an order was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotChanged {
    /// There is no such order.
    #[error("there is no such order")]
    Absent,
    /// The condition, or the command in the present status, does not allow it. The order is as it is here.
    #[error("the order is {} at version {}", .0.status.name(), .0.version)]
    Unfit(Box<Order>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Repository {
    pub(crate) fn new(table: Table) -> Self {
        Self { table }
    }

    /// Whether the table answers.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.table.get::<IgnoredAny>(&Key::new(KEY, "ping"), Consistency::Eventual).await.map(drop)
    }

    /// Writes a new order, unless its id is taken.
    pub(crate) async fn insert(&self, order: Order, fingerprint: String) -> Result<Insertion, StoreError> {
        match self.table.create(KEY, &OrderRow::new(order, fingerprint)).await {
            Ok(()) => Ok(Insertion::Inserted),
            Err(StoreError::ConditionFailed { item: Some(item) }) => {
                let row: OrderRow = from_item(item)?;
                let fingerprint = row.request_hash.clone();
                Ok(Insertion::Taken { order: Box::new(row.into()), fingerprint })
            }
            Err(error) => Err(error),
        }
    }

    /// The order, with every change that was acknowledged.
    pub(crate) async fn find(&self, order_id: Uuid) -> Result<Option<Order>, StoreError> {
        let row: Option<OrderRow> = self.table.get(&key(order_id), Consistency::Strong).await?;
        Ok(row.map(Order::from))
    }

    /// The order, and whether its customer is known to be gone.
    pub(crate) async fn find_with_customer(
        &self,
        order_id: Uuid,
        user_id: Uuid,
    ) -> Result<(Option<Order>, bool), StoreError> {
        let tombstone_id = tombstone_id(user_id);
        let keys = [key(order_id), Key::new(KEY, &tombstone_id)];
        let (mut order, mut gone) = (None, false);
        for row in self.table.get_many(&keys, Consistency::Strong).await? {
            match row {
                Row::Order(row) => order = Some((*row).into()),
                Row::Tombstone(tombstone) => gone = tombstone.order_id == tombstone_id,
            }
        }
        Ok((order, gone))
    }

    /// A page of a customer's orders, newest first. With a status it can be short, even empty, and not be the last.
    pub(crate) async fn page_of_customer(
        &self,
        user_id: Uuid,
        status: Option<Status>,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Page<Order>, StoreError> {
        let query = self.table.query(Some(BY_CUSTOMER)).partition("user_id", user_id).newest_first();
        let query = match status {
            Some(status) => query.filter_equals("status", status),
            None => query,
        };
        let page = query.start_after(after).page::<OrderRow>(limit).await?;
        Ok(Page { items: page.items.into_iter().map(Order::from).collect(), next: page.next })
    }

    /// Makes a command happen, in one write and without a read, if the order's status lets it change anything.
    pub(crate) async fn change(
        &self,
        order_id: Uuid,
        command: &Command,
        condition: Condition,
        at: Timestamp,
    ) -> Result<Order, NotChanged> {
        let mut update = self.enter(order_id, command, at).if_in("status", command.changes());
        if let Some(owner) = condition.owner {
            update = update.if_equals("user_id", owner);
        }
        if let Some(version) = condition.version {
            update = update.if_version(version);
        }
        send(update).await
    }

    /// Removes what is known of the customer, and cancels the order if it is open. Nothing else may have changed it
    /// since it was read.
    pub(crate) async fn forget_customer(&self, order: &Order, at: Timestamp) -> Result<Order, NotChanged> {
        let command = Command::CloseAccount;
        let update = match decide(order.status, &command) {
            Decision::Become(_) => self.enter(order.order_id, &command, at),
            Decision::Done | Decision::Refuse => self.touch(order.order_id, at),
        };
        let update = update.remove("shipping_address").remove("request_hash");
        send(update.if_version(order.version)).await
    }

    /// Remembers that a user is gone; a repetition changes nothing.
    pub(crate) async fn remember_deletion(&self, user_id: Uuid, until: Timestamp) -> Result<(), StoreError> {
        let tombstone = Tombstone { order_id: tombstone_id(user_id), expires_at: until.as_seconds() };
        match self.table.create(KEY, &tombstone).await {
            Err(StoreError::ConditionFailed { .. }) => Ok(()),
            written => written,
        }
    }

    /// All that a new status brings with it.
    fn enter(&self, order_id: Uuid, command: &Command, at: Timestamp) -> Update {
        let status = command.target();
        let update = self
            .touch(order_id, at)
            .set("status", status)
            .append("history", Step { status, at })
            .set_opt("reason", command.reason());
        match command {
            // Prices are taken for the very lines that were ordered, and for no others.
            Command::Confirm(priced) => update
                .set("items", priced.items())
                .set("total", priced.total())
                .if_equals("items", priced.unpriced()),
            _ => update,
        }
    }

    /// What every change brings with it.
    fn touch(&self, order_id: Uuid, at: Timestamp) -> Update {
        let update = self.table.update(key(order_id)).set("updated_at", at).bump_version();
        match current_traceparent() {
            Some(traceparent) => update.set("traceparent", traceparent),
            // The trace of an earlier change would send whoever follows it to the wrong request.
            None => update.remove("traceparent"),
        }
    }
}

async fn send(update: Update) -> Result<Order, NotChanged> {
    match update.send::<OrderRow>().await {
        Ok(row) => Ok(row.into()),
        Err(StoreError::ConditionFailed { item: Some(item) }) => {
            Err(NotChanged::Unfit(Box::new(from_item::<OrderRow>(item)?.into())))
        }
        Err(StoreError::ConditionFailed { item: None }) => Err(NotChanged::Absent),
        Err(error) => Err(error.into()),
    }
}

fn key(order_id: Uuid) -> Key {
    Key::new(KEY, order_id)
}

fn tombstone_id(user_id: Uuid) -> String {
    format!("deleted-user#{user_id}")
}

fn current_traceparent() -> Option<String> {
    Trace::current().map(|trace| trace.to_string())
}

impl OrderRow {
    fn new(order: Order, fingerprint: String) -> Self {
        Self {
            order_id: order.order_id,
            user_id: order.user_id,
            status: order.status,
            items: order.items,
            total: order.total,
            shipping_address: order.shipping_address,
            reason: order.reason,
            history: order.history,
            request_hash: Some(fingerprint),
            version: order.version,
            created_at: order.created_at,
            updated_at: order.updated_at,
            traceparent: current_traceparent(),
        }
    }

    /// The attribute that no order and every other row of the table has.
    pub(crate) const NOT_AN_ORDER: &str = "expires_at";

    /// Trace context of what changed the row last.
    pub(crate) fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }
}

impl From<OrderRow> for Order {
    fn from(row: OrderRow) -> Self {
        Self {
            order_id: row.order_id,
            user_id: row.user_id,
            status: row.status,
            items: row.items,
            total: row.total,
            shipping_address: row.shipping_address,
            reason: row.reason,
            history: row.history,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
