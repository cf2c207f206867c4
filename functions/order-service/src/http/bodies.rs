use std::collections::HashSet;

use axum::response::{IntoResponse, Response};
use deserr::{Deserr, ValuePointerRef};
use domain_events::{Money, Timestamp};
use http::{HeaderValue, header::ETAG};
use problem_details::{EntityTag, FieldError, InputErrors, InvalidValue, Json, PageLimit};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::domain::{Basket, Line, Order, Quantity, ShippingAddress, Status, Step};

/// What a customer orders. Prices are the shop's.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = InputErrors, deny_unknown_fields, validate = check_items -> InputErrors)]
pub(super) struct PlaceOrder {
    /// 1 to 50 lines, no product twice.
    #[schema(min_items = 1, max_items = 50)]
    pub(super) items: Vec<PlaceOrderLine>,
    /// Where it goes.
    #[deserr(default)]
    pub(super) shipping_address: Option<ShippingAddress>,
}

/// A quantity of one product.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = InputErrors, deny_unknown_fields)]
pub(super) struct PlaceOrderLine {
    /// The product's id.
    product_id: ProductId,
    /// Units of it.
    pub(super) quantity: Quantity,
}

/// The id of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserr, ToSchema)]
#[deserr(error = InputErrors, try_from(String) = ProductId::try_from -> InvalidValue)]
#[schema(value_type = Uuid, example = "0198b2c4-7d1e-7a3b-9c55-0d2f6a1b8e01")]
struct ProductId(Uuid);

/// Which orders are listed.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = InputErrors, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListOrders {
    /// Only orders of this status.
    #[deserr(default)]
    #[param(inline)]
    pub(super) status: Option<Status>,
    /// How many, at most.
    #[deserr(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    pub(super) limit: PageLimit,
    /// `next_cursor` of the page before.
    #[deserr(default)]
    pub(super) cursor: Option<String>,
}

/// A page of orders.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderList)]
pub(super) struct OrderList {
    /// Newest first.
    pub(super) items: Vec<OrderBody>,
    /// Where the next page starts; `null` at the end.
    pub(super) next_cursor: Option<String>,
}

/// An order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Order)]
pub(super) struct OrderBody {
    /// The order's id.
    pub(super) order_id: Uuid,
    /// Whose order it is.
    pub(super) user_id: Uuid,
    /// Where it stands.
    pub(super) status: Status,
    /// What is ordered.
    pub(super) items: Vec<Line>,
    /// What it costs in all, once it is confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) total: Option<Money>,
    /// Where it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shipping_address: Option<ShippingAddress>,
    /// Why it was rejected or cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "out_of_stock")]
    pub(super) reason: Option<String>,
    /// Every status that it has had, oldest first.
    pub(super) history: Vec<Step>,
    /// Counts its changes; also the `ETag`.
    pub(super) version: u64,
    /// When it was placed.
    pub(super) created_at: Timestamp,
    /// When it changed last.
    pub(super) updated_at: Timestamp,
}

/// One entry for each line that should not be there.
fn check_items(body: PlaceOrder, _: ValuePointerRef<'_>) -> Result<PlaceOrder, InputErrors> {
    if !(1..=Basket::MAX_LINES).contains(&body.items.len()) {
        let (pointer, detail) = ("/items".to_owned(), "must have 1 to 50 lines".into());
        return Err(InputErrors(vec![FieldError { pointer, detail }]));
    }
    let mut known = HashSet::new();
    let repeated = body.items.iter().enumerate().filter(|(_, line)| !known.insert(line.product_id));
    let error = |(index, _)| {
        let pointer = format!("/items/{index}/product_id");
        FieldError { pointer, detail: "stands in a line before; add to its quantity".into() }
    };
    let errors: Vec<FieldError> = repeated.map(error).collect();
    if errors.is_empty() { Ok(body) } else { Err(InputErrors(errors)) }
}

impl From<PlaceOrder> for Basket {
    fn from(body: PlaceOrder) -> Self {
        let items = body.items.into_iter().map(|line| Line::new(line.product_id.0, line.quantity)).collect();
        Self { items, shipping_address: body.shipping_address }
    }
}

impl TryFrom<String> for ProductId {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        Uuid::try_parse(&text).map(Self).map_err(|_| InvalidValue::new("must be a UUID"))
    }
}

impl From<Order> for OrderBody {
    fn from(order: Order) -> Self {
        Self {
            order_id: order.order_id,
            user_id: order.user_id,
            status: order.status,
            items: order.items,
            total: order.total,
            shipping_address: order.shipping_address,
            reason: order.reason,
            history: order.history,
            version: order.version,
            created_at: order.created_at,
            updated_at: order.updated_at,
        }
    }
}

impl IntoResponse for OrderBody {
    fn into_response(self) -> Response {
        ([(ETAG, HeaderValue::from(EntityTag(self.version)))], Json(self)).into_response()
    }
}
