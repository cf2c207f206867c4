use serde_json::{Value, json};

use crate::harness::{
    Shop, basket, id, order_placed, stock_rejected, stock_reserved, user_deleted, user_updated,
};

const USERS: &str = "user-events";

#[tokio::test]
async fn a_deleted_users_orders_are_closed_and_nothing_personal_is_left() {
    let shop = Shop::open();
    let (customer, admin) = (shop.customer(), shop.admin());
    let pending = shop.order(&customer, &basket()).await;
    let confirmed = shop.confirmed_order(&customer).await;
    let shipped = shop.confirmed_order(&customer).await;
    shop.send(admin.does("ship", &shipped)).await;
    let rejected = shop.order(&customer, &basket()).await;
    shop.takes("order-processing", stock_rejected(&rejected)).await;
    let before = shop.db_text().await;
    for text in ["Ada Lovelace", "James's Square", "SW1Y 4JH", "London"] {
        assert!(before.contains(text), "{text}");
    }

    shop.takes(USERS, user_deleted(&customer)).await;

    let after = shop.db_text().await;
    for text in ["Ada Lovelace", "James's Square", "SW1Y 4JH", "London", "shipping_address", "request_hash"] {
        assert!(!after.contains(text), "{text}");
    }
    let deleted = Some("account_deleted".to_owned());
    assert_eq!(shop.state(&pending).await, ("CANCELLED".to_owned(), 2, deleted.clone()));
    assert_eq!(shop.state(&confirmed).await, ("CANCELLED".to_owned(), 3, deleted));
    assert_eq!(shop.state(&shipped).await, ("SHIPPED".to_owned(), 4, None));
    assert_eq!(shop.state(&rejected).await, ("REJECTED".to_owned(), 3, Some("out_of_stock".to_owned())));
}

#[tokio::test]
async fn orders_of_other_users_stay_as_they_are() {
    let shop = Shop::open();
    let (customer, other) = (shop.customer(), shop.customer());
    shop.order(&customer, &basket()).await;
    let order = shop.order(&other, &basket()).await;
    let row = shop.db_row(id(&order)).await;
    shop.takes(USERS, user_deleted(&customer)).await;
    assert_eq!(shop.db_row(id(&order)).await, row);
}

#[tokio::test]
async fn a_repeated_deletion_changes_nothing() {
    let shop = Shop::open();
    let customer = shop.customer();
    shop.order(&customer, &basket()).await;
    shop.takes(USERS, user_deleted(&customer)).await;
    let once = shop.db_rows().await;
    assert!(shop.deliver(USERS, vec![user_deleted(&customer); 5]).await.is_empty());
    assert_eq!(shop.db_rows().await, once);
}

#[tokio::test]
async fn more_orders_than_one_page_are_all_closed() {
    let shop = Shop::open();
    let customer = shop.customer();
    let body = basket();
    futures_util::future::join_all((0..130).map(|_| shop.order(&customer, &body))).await;
    shop.takes(USERS, user_deleted(&customer)).await;
    let rows = shop.db_rows().await;
    let orders: Vec<&Value> = rows.iter().filter(|row| row.get("user_id").is_some()).collect();
    assert_eq!(orders.len(), 130);
    for order in orders {
        assert_eq!((&order["status"], order.get("shipping_address")), (&json!("CANCELLED"), None));
    }
}

#[tokio::test]
async fn a_user_who_only_changes_keeps_the_orders() {
    let shop = Shop::open();
    let customer = shop.customer();
    let order = shop.order(&customer, &basket()).await;
    shop.takes(USERS, user_updated(&customer)).await;
    assert_eq!(shop.state(&order).await, ("PENDING".to_owned(), 1, None));
}

/// A token outlives its user by up to 15 minutes.
#[tokio::test]
async fn an_order_that_is_placed_after_the_deletion_is_caught_by_its_deadline() {
    let shop = Shop::open();
    let customer = shop.customer();
    shop.takes(USERS, user_deleted(&customer)).await;
    let (pending, confirmed) =
        (shop.order(&customer, &basket()).await, shop.confirmed_order(&customer).await);
    let cancelled = shop.order(&customer, &basket()).await;
    shop.send(customer.does("cancel", &cancelled)).await;
    for order in [&pending, &confirmed, &cancelled] {
        shop.takes("order-deadlines", order_placed(order)).await;
        assert_eq!(shop.status(order).await, "CANCELLED");
        let row = shop.db_row(id(order)).await;
        // And it stays so, whatever comes again.
        shop.takes("order-deadlines", order_placed(order)).await;
        shop.takes("order-processing", stock_reserved(order)).await;
        assert_eq!(shop.db_row(id(order)).await, row);
    }
    assert_eq!(shop.state(&cancelled).await.2, Some("cancelled_by_customer".to_owned()));
    let text = shop.db_text().await;
    assert!(!text.contains("Ada Lovelace") && !text.contains("request_hash"));
}

#[tokio::test]
async fn a_deletion_is_remembered_longer_than_any_deadline_message_lives() {
    let shop = Shop::open();
    let customer = shop.customer();
    shop.takes(USERS, user_deleted(&customer)).await;
    let row = shop.db_row(&format!("deleted-user#{}", customer.id)).await.unwrap();
    let seconds = row["expires_at"].as_i64().unwrap() - domain_events::Timestamp::now().as_seconds();
    assert!(seconds > 28 * 24 * 60 * 60, "{seconds}");
    assert_eq!(row.get("user_id"), None::<&Value>);
}
