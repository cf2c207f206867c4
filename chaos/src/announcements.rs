use serde_json::Value;

use crate::recorder::Change;

/// The event that others have to hear of a change.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Announcement {
    pub(crate) kind: &'static str,
    pub(crate) subject: String,
    /// The version that it tells of; of what is removed, the last one.
    pub(crate) version: i64,
}

impl Announcement {
    /// What a change of a row means to others, given the row before it: the documented events, stated here once more and
    /// apart from the services. Rows of pictures are left out, since no shopper has any.
    pub(crate) fn of(change: &Change, before: Option<&Value>) -> Option<Self> {
        let after = change.after.as_ref();
        let kind = if let Some(order) = change.key.strip_prefix("reservation#") {
            return Self::of_reservation(order, before, after?);
        } else if !is_id(&change.key) {
            return None;
        } else {
            match (change.table, before, after) {
                ("users", None, Some(_)) => "user_created",
                // A hash that is written anew concerns nobody.
                ("users", Some(before), Some(after)) if before["version"] != after["version"] => {
                    "user_updated"
                }
                ("users", Some(_), None) => "user_deleted",
                ("products", None, Some(_)) => "product_created",
                ("products", Some(_), Some(_)) => "product_updated",
                ("products", Some(_), None) => "product_deleted",
                ("orders", before, Some(after)) => {
                    let status = &after["status"];
                    if before.is_some_and(|before| before["status"] == *status) {
                        return None;
                    }
                    match status.as_str()? {
                        "PENDING" => "order_placed",
                        "CONFIRMED" => "order_confirmed",
                        "REJECTED" => "order_rejected",
                        "CANCELLED" => "order_cancelled",
                        "SHIPPED" => "order_shipped",
                        "DELIVERED" => "order_delivered",
                        _ => return None,
                    }
                }
                _ => return None,
            }
        };
        let version = after.or(before)?["version"].as_i64()?;
        Some(Self { kind, subject: change.key.clone(), version })
    }

    fn of_reservation(order: &str, before: Option<&Value>, after: &Value) -> Option<Self> {
        let kind = match (before.map(|row| &row["state"]), after["state"].as_str()?) {
            (None, "RESERVED") => "stock_reserved",
            (None, "REJECTED") => "stock_rejected",
            (Some(before), "RELEASED") if before == "RESERVED" => "stock_released",
            _ => return None,
        };
        Some(Self { kind, subject: order.to_owned(), version: after["version"].as_i64()? })
    }
}

/// Whether a row's key is the id of a user, a product or an order: all other rows have a word before it.
pub(crate) fn is_id(key: &str) -> bool {
    uuid::Uuid::try_parse(key).is_ok()
}
