//! Routes and bodies, and the one mapping from errors to problem details.

/// What requests and answers say.
mod bodies;

use access_token::{Admin, Caller};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use dynamodb_store::CursorError;
use http::{HeaderValue, StatusCode, header::LOCATION};
use problem_details::{IdempotencyKey, IfMatch, Json, PathId, Problem, Query, Replayed};
use uuid::Uuid;

use self::bodies::{ListOrders, OrderBody, OrderList, PlaceOrder};
use crate::{
    OrderService,
    app::{OrderError, Placed},
    domain::{Canceller, Command, Status},
    repository::Condition,
};

lambda_dispatch::routes! {
    OrderService: place, list, read, cancel, ship, deliver
}

/// Place an order
///
/// The order waits as PENDING until its stock is taken, which fixes prices and total (CONFIRMED), or can't be
/// (REJECTED). Repeated under the same `Idempotency-Key`, the request places nothing more and is answered with the order
/// as it is by then and the header `Idempotency-Replayed: true`. The same key with another body is refused (422).
#[utoipa::path(
    post,
    path = "/api/orders",
    operation_id = "place_order",
    tag = "orders",
    security(("bearer" = [])),
    params(("Idempotency-Key" = String, Header, description = "1 to 255 visible ASCII characters, new for each order",
        min_length = 1, max_length = 255, example = "cart-4711-checkout-1")),
    request_body = PlaceOrder,
    responses(
        (status = 201, description = "The order", body = OrderBody, headers(
            ("Location" = String, description = "Where the order is"),
            ("ETag" = String, description = "The order's version"),
            ("Idempotency-Replayed" = Option<String>, description = "`true` if the order had been placed before"),
        )),
        (status = 422, description = "The key was used for another order: type `idempotency-key-reused`"),
    ),
)]
async fn place(
    State(service): State<OrderService>,
    caller: Caller,
    key: IdempotencyKey,
    Json(body): Json<PlaceOrder>,
) -> Result<Response, Problem> {
    let Placed { order, replayed } = service.orders.place(caller.user_id, &key, body.into()).await?;
    let location =
        HeaderValue::try_from(format!("/api/orders/{}", order.order_id)).map_err(Problem::internal)?;
    let order = OrderBody::from(order);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Replayed(replayed), order).into_response())
}

/// List your orders
///
/// Newest first. With `status`, a page can have fewer than `limit` orders, even none, although more follow: only
/// `next_cursor: null` is the end.
#[utoipa::path(
    get,
    path = "/api/orders",
    operation_id = "list_orders",
    tag = "orders",
    security(("bearer" = [])),
    params(ListOrders),
    responses((status = 200, description = "A page of orders", body = OrderList)),
)]
async fn list(
    State(service): State<OrderService>,
    caller: Caller,
    Query(query): Query<ListOrders>,
) -> Result<Json<OrderList>, Problem> {
    let scope = format!("orders/{}/{}", caller.user_id, query.status.map_or("all", Status::name));
    let after = service.cursors.open(&scope, query.cursor.as_deref()).await.map_err(|error| match error {
        CursorError::Invalid => Problem::invalid_field("/cursor", "must be the next_cursor of this list"),
        CursorError::Undecided(cause) => Problem::unavailable(10).caused_by(cause),
    })?;
    let page = service.orders.list(caller.user_id, query.status, after, query.limit.get()).await?;
    let next_cursor = page.next.map(|position| service.cursors.seal(&scope, &position));
    Ok(Json(OrderList { items: page.items.into_iter().map(OrderBody::from).collect(), next_cursor }))
}

/// Read an order
///
/// Customers read their own orders, admins any.
#[utoipa::path(
    get,
    path = "/api/orders/{order_id}",
    operation_id = "read_order",
    tag = "orders",
    security(("bearer" = [])),
    params(("order_id" = Uuid, Path, description = "The order's id")),
    responses((status = 200, description = "The order", body = OrderBody,
        headers(("ETag" = String, description = "The order's version")))),
)]
async fn read(
    State(service): State<OrderService>,
    caller: Caller,
    PathId(order_id): PathId,
) -> Result<OrderBody, Problem> {
    Ok(service.orders.find(order_id, owner(&caller)).await?.into())
}

/// Cancel an order
///
/// As long as it is PENDING or CONFIRMED; what it had taken goes back into stock. An order that is CANCELLED already is
/// answered as it is. Customers cancel their own orders, admins any.
#[utoipa::path(
    post,
    path = "/api/orders/{order_id}/cancel",
    operation_id = "cancel_order",
    tag = "orders",
    security(("bearer" = [])),
    params(
        ("order_id" = Uuid, Path, description = "The order's id"),
        ("If-Match" = Option<String>, Header, description = "The version that the order must have", example = "\"2\""),
    ),
    responses(
        (status = 200, description = "The order", body = OrderBody,
            headers(("ETag" = String, description = "The order's version"))),
        (status = 409, description = "Too late: type `order-not-cancellable`"),
        (status = 412, description = "The order has another version than `If-Match` names"),
    ),
)]
async fn cancel(
    State(service): State<OrderService>,
    caller: Caller,
    PathId(order_id): PathId,
    IfMatch(version): IfMatch,
) -> Result<OrderBody, Problem> {
    let canceller = if caller.is_admin() { Canceller::Shop } else { Canceller::Customer };
    let condition = Condition { owner: owner(&caller), version };
    Ok(service.orders.execute(order_id, Command::Cancel(canceller), condition).await?.into())
}

/// Ship an order
///
/// From CONFIRMED. An order that is SHIPPED already is answered as it is.
#[utoipa::path(
    post,
    path = "/api/orders/{order_id}/ship",
    operation_id = "ship_order",
    tag = "orders",
    security(("bearer" = [])),
    params(
        ("order_id" = Uuid, Path, description = "The order's id"),
        ("If-Match" = Option<String>, Header, description = "The version that the order must have", example = "\"2\""),
    ),
    responses(
        (status = 200, description = "The order", body = OrderBody,
            headers(("ETag" = String, description = "The order's version"))),
        (status = 409, description = "Not from its present status: type `wrong-status`"),
        (status = 412, description = "The order has another version than `If-Match` names"),
    ),
)]
async fn ship(
    State(service): State<OrderService>,
    _: Admin,
    PathId(order_id): PathId,
    IfMatch(version): IfMatch,
) -> Result<OrderBody, Problem> {
    Ok(service.orders.execute(order_id, Command::Ship, Condition { owner: None, version }).await?.into())
}

/// Mark an order as delivered
///
/// From SHIPPED. An order that is DELIVERED already is answered as it is.
#[utoipa::path(
    post,
    path = "/api/orders/{order_id}/deliver",
    operation_id = "deliver_order",
    tag = "orders",
    security(("bearer" = [])),
    params(
        ("order_id" = Uuid, Path, description = "The order's id"),
        ("If-Match" = Option<String>, Header, description = "The version that the order must have", example = "\"3\""),
    ),
    responses(
        (status = 200, description = "The order", body = OrderBody,
            headers(("ETag" = String, description = "The order's version"))),
        (status = 409, description = "Not from its present status: type `wrong-status`"),
        (status = 412, description = "The order has another version than `If-Match` names"),
    ),
)]
async fn deliver(
    State(service): State<OrderService>,
    _: Admin,
    PathId(order_id): PathId,
    IfMatch(version): IfMatch,
) -> Result<OrderBody, Problem> {
    Ok(service.orders.execute(order_id, Command::Deliver, Condition { owner: None, version }).await?.into())
}

/// Whose order it has to be for this caller; an admin may have any.
fn owner(caller: &Caller) -> Option<Uuid> {
    (!caller.is_admin()).then_some(caller.user_id)
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::NotFound => no_such_order(),
            OrderError::KeyReused => Self::idempotency_key_reused(),
            OrderError::Stale => Self::precondition_failed(),
            OrderError::NotCancellable(status) => Self::conflict(
                "order-not-cancellable",
                "Order not cancellable",
                format!("An order that is {} can't be cancelled.", status.name()),
            ),
            OrderError::WrongStatus(status) => Self::conflict(
                "wrong-status",
                "Wrong status",
                format!("This is not possible for an order that is {}.", status.name()),
            ),
            OrderError::Store(error) => Self::failure(error.is_retryable(), error),
        }
    }
}

fn no_such_order() -> Problem {
    Problem::not_found("There is no such order.")
}
