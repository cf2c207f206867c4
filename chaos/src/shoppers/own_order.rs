use serde_json::{Value, json};

use crate::journal::What;

/// An order as its customer knows it.
pub(super) struct OwnOrder {
    user_id: String,
    pub(super) key: String,
    items: Vec<(String, i64)>,
    address: Option<Value>,
    pub(super) order_id: Option<String>,
    /// The shop has said so.
    pub(super) too_late_to_cancel: bool,
    version: u64,
    status: String,
}

impl OwnOrder {
    pub(super) fn new(
        user_id: String,
        key: String,
        items: Vec<(String, i64)>,
        address: Option<Value>,
    ) -> Self {
        let (order_id, status) = (None, String::new());
        Self { user_id, key, items, address, order_id, too_late_to_cancel: false, version: 0, status }
    }

    /// What is asked for.
    pub(super) fn body(&self) -> Value {
        let line = |(id, quantity): &(String, i64)| json!({ "product_id": id, "quantity": quantity });
        let mut body = json!({ "items": self.items.iter().map(line).collect::<Vec<_>>() });
        if let Some(address) = &self.address {
            body["shipping_address"] = address.clone();
        }
        body
    }

    pub(super) fn what(&self) -> What {
        let Self { user_id, key, items, .. } = self;
        What::Place { user_id: user_id.clone(), key: key.clone(), items: items.clone() }
    }

    /// Takes note of the answer to its placement; says what is wrong with it.
    pub(super) fn placed(&mut self, body: &Value) -> Option<&'static str> {
        let order_id = body["order_id"].as_str();
        if order_id.is_none() || self.order_id.as_deref().is_some_and(|known| Some(known) != order_id) {
            return Some("one key is one order");
        }
        self.order_id = order_id.map(str::to_owned);
        self.found(200, body)
    }

    /// Takes note of the order as it was read; says what is wrong with it.
    pub(super) fn found(&mut self, status: u16, body: &Value) -> Option<&'static str> {
        if status != 200 {
            return Some("an order that was placed can't be read");
        }
        let lines = body["items"].as_array().map_or(&[][..], Vec::as_slice);
        let line = |line: &Value| Some((line["product_id"].as_str()?.to_owned(), line["quantity"].as_i64()?));
        let as_asked = lines.iter().map(line).eq(self.items.iter().cloned().map(Some))
            && body["user_id"] == self.user_id
            && body.get("shipping_address") == self.address.as_ref();
        if !as_asked {
            return Some("another order than was asked for");
        }
        let (Some(version), Some(status)) = (body["version"].as_u64(), body["status"].as_str()) else {
            return Some("an order without version or status");
        };
        if version < self.version || version == self.version && status != self.status {
            return Some("an order has gone back to an earlier state");
        }
        if version > self.version && matches!(&*self.status, "REJECTED" | "CANCELLED" | "DELIVERED") {
            return Some("an order has left a state that is its end");
        }
        if self.too_late_to_cancel && matches!(status, "PENDING" | "CONFIRMED") {
            return Some("it was not too late to cancel");
        }
        self.version = version;
        status.clone_into(&mut self.status);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> OwnOrder {
        OwnOrder::new("ada".to_owned(), "key".to_owned(), vec![("mug".to_owned(), 2)], None)
    }

    fn answer(version: u64, status: &str) -> Value {
        let items = json!([{ "product_id": "mug", "quantity": 2, "unit_price": 5 }]);
        json!({ "order_id": "1", "user_id": "ada", "items": items, "version": version, "status": status })
    }

    #[test]
    fn an_order_goes_forward_only() {
        let mut order = order();
        assert_eq!(order.placed(&answer(1, "PENDING")), None);
        assert_eq!(order.placed(&answer(1, "PENDING")), None);
        assert!(order.found(200, &answer(1, "CONFIRMED")).is_some());
        assert_eq!(order.found(200, &answer(2, "CONFIRMED")), None);
        assert!(order.found(200, &answer(1, "PENDING")).is_some());
        assert_eq!(order.found(200, &answer(3, "CANCELLED")), None);
        assert!(order.found(200, &answer(4, "SHIPPED")).is_some());
        assert!(order.found(404, &Value::Null).is_some());
    }

    #[test]
    fn an_order_is_the_one_that_was_asked_for() {
        let mut other = answer(1, "PENDING");
        assert_eq!(order().placed(&other), None);
        other["items"][0]["quantity"] = json!(3);
        assert!(order().placed(&other).is_some());
        let mut known = order();
        assert_eq!(known.placed(&answer(1, "PENDING")), None);
        let mut second = answer(1, "PENDING");
        second["order_id"] = json!("2");
        assert!(known.placed(&second).is_some());
    }

    #[test]
    fn what_was_too_late_to_cancel_is_not_open() {
        let mut order = order();
        assert_eq!(order.placed(&answer(1, "PENDING")), None);
        order.too_late_to_cancel = true;
        assert!(order.found(200, &answer(1, "PENDING")).is_some());
        assert_eq!(order.found(200, &answer(2, "REJECTED")), None);
    }
}
