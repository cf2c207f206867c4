use domain_events::{Payload, Timestamp, payload};
use image_uploads::{FileId, Removed};
use lambda_dispatch::{Change, Content, Fact, HandlerError, Message, Row};

use crate::{
    ProductService,
    cache::News,
    domain::{Line, Product, Reservation, ReservationState},
    repository::{CreationRow, ProductRow, ReservationRow, StockChangeRow},
};

/// The queue that tells of the files of pictures.
const IMAGE_UPLOADS: &str = "image-uploads";

/// Does what an order's event asks of the stock, and sees to the files of pictures.
pub(crate) async fn handle(service: &ProductService, message: Message) -> Result<(), HandlerError> {
    let event = match message.content {
        Content::Objects(arrived) if message.queue == IMAGE_UPLOADS => {
            return service.images.arrived(&arrived, service).await;
        }
        Content::Objects(_) => {
            return Err(format!("no objects are expected from the queue {}", message.queue).into());
        }
        Content::Event(event) => event,
    };
    match event.payload {
        Payload::OrderPlaced(order) => {
            let lines: Vec<Line> = order.items.iter().map(ordered).collect();
            service.place(order.order_id, &lines).await?;
        }
        Payload::OrderCancelled(order) | Payload::OrderRejected(order) => {
            service.release(order.order_id).await?;
        }
        Payload::ProductImageRemoved(payload::ProductImage { product_id, image_id }) => {
            service.images.erase(FileId { owner: product_id, upload_id: image_id }).await?;
        }
        Payload::ProductDeleted(product) => service.images.erase_all(product.product_id).await?,
        // A subscription that lets more through than it should is no reason to lose its messages one by one.
        _ => telemetry::count(
            "ignored_messages",
            ("service", <ProductService as lambda_dispatch::Service>::NAME),
        ),
    }
    Ok(())
}

/// The event that a change of a row means to others.
pub(crate) fn fact(change: &Change) -> Result<Option<Fact>, HandlerError> {
    let Some(row) = change.after().or(change.before()) else {
        return Err("the change shows no row".into());
    };
    if row.has("state") {
        stock_fact(change)
    } else if row.has("name") {
        product_fact(change).map(Some)
    } else if row.has("upload_state") {
        Ok(image_uploads::removed(change)?.map(|removed| image_fact(removed, change.time())))
    } else if row.has(StockChangeRow::MARK) || row.has(CreationRow::MARK) {
        Ok(None)
    } else {
        Err("the row is no product, no reservation, no upload and remembers no key".into())
    }
}

/// What changes make out of date in the cache. What can't be read is no news: it is told where it is to become an event.
pub(crate) fn news(changes: &[&Change]) -> News {
    let mut news = News::default();
    let product = |row: Row<'_>| row.has("name").then(|| row.read::<ProductRow>().ok())?.map(Product::from);
    for change in changes {
        let before = change.before().and_then(product);
        match (before, change.after()) {
            (before, Some(row)) => {
                if let Some(after) = product(row) {
                    news.change(before.as_ref(), &after);
                }
            }
            (Some(before), None) => news.removal(&before, change.time()),
            (None, None) => {}
        }
    }
    news
}

fn image_fact(Removed { file, traceparent }: Removed, time: Timestamp) -> Fact {
    let FileId { owner: product_id, upload_id: image_id } = file;
    let payload = Payload::ProductImageRemoved(payload::ProductImage { product_id, image_id });
    Fact { subject: product_id.to_string(), traceparent, time, payload }
}

fn product_fact(change: &Change) -> Result<Fact, HandlerError> {
    let gone = change.after().is_none();
    let row = change.after().or(change.before()).ok_or("the change shows no row")?;
    let row: ProductRow = row.read()?;
    // A removal leaves no trace of its own: the row's is that of the change before.
    let traceparent = row.traceparent.clone().filter(|_| !gone);
    let product = Product::from(row);
    let time = if gone { change.time() } else { product.updated_at };
    let subject = product.product_id.to_string();
    let content = payload::Product::from(product);
    let payload = match (change.before(), gone) {
        (_, true) => Payload::ProductDeleted(content),
        (None, false) => Payload::ProductCreated(content),
        (Some(_), false) => Payload::ProductUpdated(content),
    };
    Ok(Fact { subject, traceparent, time, payload })
}

/// A reservation says something when it is made, unless nothing was ever to be taken, and when it is released. Its
/// end, when its time to live is over, says nothing.
fn stock_fact(change: &Change) -> Result<Option<Fact>, HandlerError> {
    let Some(row) = change.after() else { return Ok(None) };
    let row: ReservationRow = row.read()?;
    let traceparent = row.traceparent.clone();
    let reservation = Reservation::from(row);
    let was_reserved = match change.before() {
        Some(before) => {
            Some(Reservation::from(before.read::<ReservationRow>()?).state == ReservationState::Reserved)
        }
        None => None,
    };
    let payload = match (was_reserved, reservation.state) {
        (None, ReservationState::Reserved) => Payload::StockReserved,
        (None, ReservationState::Rejected) => Payload::StockRejected,
        (Some(true), ReservationState::Released) => Payload::StockReleased,
        _ => return Ok(None),
    };
    Ok(Some(Fact {
        subject: reservation.order_id.to_string(),
        traceparent,
        time: reservation.updated_at,
        payload: payload(reservation.into()),
    }))
}

/// A line as it was ordered: what a unit costs is not the order's to say.
fn ordered(line: &payload::Line) -> Line {
    Line { product_id: line.product_id, quantity: line.quantity, unit_price: None }
}

impl From<Product> for payload::Product {
    fn from(product: Product) -> Self {
        Self {
            product_id: product.product_id,
            name: product.name.as_str().to_owned(),
            category: product.category.as_str().to_owned(),
            price: product.price,
            stock: product.stock,
            version: product.version,
            created_at: product.created_at,
        }
    }
}

impl From<Reservation> for payload::Reservation {
    fn from(reservation: Reservation) -> Self {
        let line = |line: Line| payload::Line {
            product_id: line.product_id,
            quantity: line.quantity,
            unit_price: line.unit_price,
        };
        Self {
            order_id: reservation.order_id,
            lines: reservation.lines.into_iter().map(line).collect(),
            reason: reservation.reason.map(|reason| reason.name().to_owned()),
            version: reservation.version,
        }
    }
}
