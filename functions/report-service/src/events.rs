//! Which messages the service accepts, and what they say about what is reported.

use domain_events::{Event, Payload, payload};
use lambda_dispatch::{Content, HandlerError, Message, Service, Unreadable};

use crate::{
    ReportService,
    app::Projection,
    domain::{self, Lines, Order, Product, Status, Step, Uncountable},
};

/// Handles one message of a queue.
pub(crate) async fn handle(projection: &Projection, message: Message) -> Result<(), HandlerError> {
    let Content::Event(event) = message.content else {
        return Err("report-service has no bucket".into());
    };
    let time = event.time;
    let order = |order, status| order_of(order, Step { status, at: time }).map_err(Unreadable::new);
    let product = |product, deleted| product_of(product, deleted).map_err(Unreadable::new);
    let Event { payload, .. } = *event;
    match payload {
        Payload::OrderPlaced(placed) => projection.order(order(placed, Status::Pending)?).await?,
        Payload::OrderConfirmed(confirmed) => projection.order(order(confirmed, Status::Confirmed)?).await?,
        Payload::OrderRejected(rejected) => projection.order(order(rejected, Status::Rejected)?).await?,
        Payload::OrderCancelled(cancelled) => projection.order(order(cancelled, Status::Cancelled)?).await?,
        Payload::OrderShipped(shipped) => projection.order(order(shipped, Status::Shipped)?).await?,
        Payload::OrderDelivered(delivered) => projection.order(order(delivered, Status::Delivered)?).await?,
        Payload::ProductCreated(present) | Payload::ProductUpdated(present) => {
            projection.product(product(present, false)?).await?
        }
        Payload::ProductDeleted(gone) => projection.product(product(gone, true)?).await?,
        Payload::UserDeleted(user) => projection.erase(user.user_id).await?,
        // Let through by a filter that is wider than need be.
        _ => telemetry::count("ignored_messages", ("service", ReportService::NAME)),
    }
    Ok(())
}

fn order_of(order: payload::Order, step: Step) -> Result<Order, Uncountable> {
    let lines = order.items.into_iter().map(|line| (line.product_id, line.quantity, line.unit_price));
    Ok(Order {
        order_id: order.order_id,
        version: domain::version(order.version)?,
        user_id: Some(order.user_id),
        status: step.status,
        reason: order.reason.map(domain::reason),
        total: order.total,
        placed_at: order.created_at,
        steps: vec![step],
        lines: Lines::sum(lines)?,
    })
}

fn product_of(product: payload::Product, deleted: bool) -> Result<Product, Uncountable> {
    Ok(Product {
        product_id: product.product_id,
        version: domain::version(product.version)?,
        name: domain::text(product.name),
        category: domain::text(product.category),
        deleted,
    })
}
