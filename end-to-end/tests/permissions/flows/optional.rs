use super::{Effect, Shop};
use crate::client::Client;

/// An order is in the reports.
pub(crate) fn order_is_reported(shop: &Shop) -> Effect {
    let customer = Client::customer();
    shop.place(&customer);
    let (admin, path) = (shop.admin.clone(), format!("/api/reports/customers/{}", customer.user_id));
    Effect::new("the order is in the reports", move || {
        let answer = admin.get(&path);
        answer.status == 200 && answer.expect(200)["orders"] == 1
    })
}

/// A report is made, by a function that has just started.
pub(crate) fn reports_answer(shop: &Shop) -> Effect {
    let admin = shop.admin.clone();
    let path = "/api/reports/funnel?from=2026-01-01&to=2026-01-02";
    Effect::new("a report", move || admin.get(path).status == 200)
}

/// A product is read, whatever becomes of the cache.
pub(crate) fn product_is_read(shop: &Shop) -> Effect {
    let (customer, path) = (shop.customer.clone(), format!("/api/products/{}", shop.product));
    Effect::new("a product", move || customer.get(&path).status == 200)
}
