//! What each event says.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{Money, Timestamp};

/// Declares the payloads once: variant, wire name, content.
macro_rules! payloads {
    ($($(#[$doc:meta])* $variant:ident = $name:literal ($content:ty),)*) => {
        /// The content of an event, one variant per event type.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Payload {
            $($(#[$doc])* $variant($content),)*
        }

        impl Payload {
            /// All event types, as in the CloudEvents `type` and the `event_type` attribute that filters use.
            pub const TYPES: &'static [&'static str] = &[$($name),*];

            /// The event's type.
            pub fn event_type(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            /// Reads the data of an event of the given type; `None` if the type is not known here.
            pub(crate) fn parse(event_type: &str, data: &RawValue) -> Option<serde_json::Result<Self>> {
                match event_type {
                    $($name => Some(serde_json::from_str(data.get()).map(Self::$variant)),)*
                    _ => None,
                }
            }

            /// The data of the event as JSON.
            pub(crate) fn data(&self) -> serde_json::Result<Box<RawValue>> {
                match self { $(Self::$variant(content) => serde_json::value::to_raw_value(content),)* }
            }
        }
    };
}

payloads! {
    /// A customer registered.
    UserCreated = "user_created" (User),
    /// Something about an account changed.
    UserUpdated = "user_updated" (User),
    /// An account was deleted; whoever holds personal data of it removes that.
    UserDeleted = "user_deleted" (User),
    /// An avatar is no longer its user's: deleted, or replaced by another. Its file is of no more use.
    UserAvatarRemoved = "user_avatar_removed" (Avatar),
    /// A product is on offer.
    ProductCreated = "product_created" (Product),
    /// A product or its stock changed.
    ProductUpdated = "product_updated" (Product),
    /// A product is no longer on offer.
    ProductDeleted = "product_deleted" (Product),
    /// An image is no longer a product's. Its file is of no more use.
    ProductImageRemoved = "product_image_removed" (ProductImage),
    /// All lines of an order were taken from stock.
    StockReserved = "stock_reserved" (Reservation),
    /// An order can't be supplied; nothing was taken.
    StockRejected = "stock_rejected" (Reservation),
    /// What an order had taken is back in stock.
    StockReleased = "stock_released" (Reservation),
    /// A customer placed an order; it waits for its stock.
    OrderPlaced = "order_placed" (Order),
    /// The order has its stock and its total is fixed.
    OrderConfirmed = "order_confirmed" (Order),
    /// The order can't be supplied, or was not confirmed in time.
    OrderRejected = "order_rejected" (Order),
    /// The customer or the shop cancelled the order.
    OrderCancelled = "order_cancelled" (Order),
    /// The order is on its way.
    OrderShipped = "order_shipped" (Order),
    /// The order has arrived.
    OrderDelivered = "order_delivered" (Order),
}

/// An account. Who the person is stays in user-service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The account's id.
    pub user_id: Uuid,
    /// `customer` or `admin`.
    pub role: String,
    /// Version of the row after the change; of the last one before a deletion.
    pub version: u64,
    /// When the account was created.
    pub created_at: Timestamp,
}

/// A picture of a user, without the picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Avatar {
    /// Whose it was.
    pub user_id: Uuid,
    /// The upload that it came by, which names its file.
    pub upload_id: Uuid,
}

/// A picture of a product, without the picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductImage {
    /// Whose it was.
    pub product_id: Uuid,
    /// The upload that it came by, which names its file.
    pub image_id: Uuid,
}

/// A product on offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// The product's id.
    pub product_id: Uuid,
    /// What it is called.
    pub name: String,
    /// The category that it is listed in.
    pub category: String,
    /// Price of one unit.
    pub price: Money,
    /// Units that are available.
    pub stock: u32,
    /// Version of the row after the change; of the last one before a deletion.
    pub version: u64,
    /// When the product was created.
    pub created_at: Timestamp,
}

/// The stock of one order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The order that the stock is for.
    pub order_id: Uuid,
    /// Reserved or released: every line of the order. Rejected: the lines that could not be supplied.
    pub lines: Vec<Line>,
    /// Rejected: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Version of the reservation after the change.
    pub version: u64,
}

/// A customer's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The order's id.
    pub order_id: Uuid,
    /// Whose order it is.
    pub user_id: Uuid,
    /// What is ordered; unit prices once they are known.
    pub items: Vec<Line>,
    /// What it costs in all, once it is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
    /// Why it was rejected or cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Version of the row after the change.
    pub version: u64,
    /// When the order was placed.
    pub created_at: Timestamp,
}

/// A quantity of one product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The product's id.
    pub product_id: Uuid,
    /// Units, at least 1.
    pub quantity: u32,
    /// Price of one unit when it was reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<Money>,
}
