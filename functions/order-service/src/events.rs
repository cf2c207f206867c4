//! Which messages the service accepts, and which events the changes of its rows are.

use domain_events::{Payload, payload};
use lambda_dispatch::{Change, Content, Fact, HandlerError, Message, Service};
use problem_details::InvalidValue;

use crate::{
    OrderService,
    app::Orders,
    domain::{Line, Order, Priced, Status},
    repository::OrderRow,
};

/// What a rejection says that gives no reason.
const NO_REASON: &str = "not_available";

/// Handles one message of a queue.
pub(crate) async fn handle(orders: &Orders, message: Message) -> Result<(), HandlerError> {
    let Content::Event(event) = message.content else {
        return Err("order-service has no bucket".into());
    };
    match (message.queue.as_str(), event.payload) {
        ("order-processing", Payload::StockReserved(reservation)) => {
            let lines: Result<Vec<Line>, InvalidValue> =
                reservation.lines.into_iter().map(Line::try_from).collect();
            orders.confirm(reservation.order_id, Priced::new(lines?)?).await?;
        }
        ("order-processing", Payload::StockRejected(reservation)) => {
            let reason = reservation.reason.unwrap_or_else(|| NO_REASON.to_owned());
            orders.reject(reservation.order_id, reason).await?;
        }
        ("order-deadlines", Payload::OrderPlaced(order)) => {
            orders.expire(order.order_id, order.user_id).await?
        }
        ("user-events", Payload::UserDeleted(user)) => orders.forget_customer(user.user_id).await?,
        ("user-events", Payload::UserCreated(_) | Payload::UserUpdated(_)) => {}
        // Let through by a filter that is wider than need be.
        _ => telemetry::count("ignored_messages", ("service", OrderService::NAME)),
    }
    Ok(())
}

/// The event that a change of a row is, if it is one.
pub(crate) fn event_of(change: &Change) -> Result<Option<Fact>, HandlerError> {
    let Some(after) = change.after().filter(|row| !row.has(OrderRow::NOT_AN_ORDER)) else {
        return Ok(None);
    };
    let row: OrderRow = after.read()?;
    let traceparent = row.traceparent().map(str::to_owned);
    let order = Order::from(row);
    let before = change.before().map(|row| row.read::<OrderRow>()).transpose()?.map(Order::from);
    if before.is_some_and(|before| before.status == order.status) {
        return Ok(None);
    }
    let payload = match order.status {
        Status::Pending => Payload::OrderPlaced,
        Status::Confirmed => Payload::OrderConfirmed,
        Status::Rejected => Payload::OrderRejected,
        Status::Cancelled => Payload::OrderCancelled,
        Status::Shipped => Payload::OrderShipped,
        Status::Delivered => Payload::OrderDelivered,
    };
    let (subject, time) = (order.order_id.to_string(), order.updated_at);
    Ok(Some(Fact { subject, traceparent, time, payload: payload(order.into()) }))
}

/// Without the address: it concerns nobody else.
impl From<Order> for payload::Order {
    fn from(order: Order) -> Self {
        Self {
            order_id: order.order_id,
            user_id: order.user_id,
            items: order.items.into_iter().map(payload::Line::from).collect(),
            total: order.total,
            reason: order.reason,
            version: order.version,
            created_at: order.created_at,
        }
    }
}

impl From<Line> for payload::Line {
    fn from(line: Line) -> Self {
        Self { product_id: line.product_id, quantity: line.quantity.units(), unit_price: line.unit_price }
    }
}

impl TryFrom<payload::Line> for Line {
    type Error = InvalidValue;

    fn try_from(line: payload::Line) -> Result<Self, InvalidValue> {
        let quantity = i64::from(line.quantity).try_into()?;
        Ok(Self { unit_price: line.unit_price, ..Self::new(line.product_id, quantity) })
    }
}
