use futures_util::future::join_all;
use uuid::Uuid;

use crate::harness::{Shop, basket, id, stock_rejected, stock_reserved};

#[tokio::test]
async fn an_order_goes_from_confirmed_over_shipped_to_delivered() {
    let shop = Shop::open();
    let (customer, admin) = (shop.customer(), shop.admin());
    let order = shop.confirmed_order(&customer).await;
    let shipped = shop.send(admin.does("ship", &order)).await;
    assert_eq!((shipped.status, shipped.header("etag")), (200, Some("\"3\"")));
    let delivered = shop.send(admin.does("deliver", &order)).await.json();
    assert_eq!((&delivered["status"], &delivered["version"]), (&"DELIVERED".into(), &4.into()));
    let history: Vec<&str> = delivered["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["status"].as_str().unwrap())
        .collect();
    assert_eq!(history, ["PENDING", "CONFIRMED", "SHIPPED", "DELIVERED"]);
    let moments = delivered["history"].as_array().unwrap().iter().map(|step| step["at"].as_str());
    assert!(moments.is_sorted());
}

#[tokio::test]
async fn a_repeated_step_is_answered_with_the_order_as_it_is() {
    let shop = Shop::open();
    let (customer, admin) = (shop.customer(), shop.admin());
    let order = shop.confirmed_order(&customer).await;
    for step in ["ship", "deliver"] {
        let first = shop.send(admin.does(step, &order)).await;
        let again = shop.send(admin.does(step, &order)).await;
        assert_eq!((first.status, again.status), (200, 200));
        assert_eq!(first.json(), again.json());
    }
    let cancelled = shop.order(&customer, &basket()).await;
    let first = shop.send(customer.does("cancel", &cancelled)).await;
    let again = shop.send(customer.does("cancel", &cancelled)).await;
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(first.json(), again.json());
}

#[tokio::test]
async fn a_step_out_of_turn_is_refused() {
    let shop = Shop::open();
    let (customer, admin) = (shop.customer(), shop.admin());
    let pending = shop.order(&customer, &basket()).await;
    let rejected = shop.order(&customer, &basket()).await;
    shop.takes("order-processing", stock_rejected(&rejected)).await;
    let confirmed = shop.confirmed_order(&customer).await;
    let shipped = shop.confirmed_order(&customer).await;
    shop.send(admin.does("ship", &shipped)).await;
    let delivered = shop.confirmed_order(&customer).await;
    shop.send(admin.does("ship", &delivered)).await;
    shop.send(admin.does("deliver", &delivered)).await;
    for (step, order, problem) in [
        ("ship", &pending, "wrong-status"),
        ("deliver", &pending, "wrong-status"),
        ("ship", &rejected, "wrong-status"),
        ("deliver", &confirmed, "wrong-status"),
        ("ship", &delivered, "wrong-status"),
        ("cancel", &rejected, "order-not-cancellable"),
        ("cancel", &shipped, "order-not-cancellable"),
        ("cancel", &delivered, "order-not-cancellable"),
    ] {
        let before = shop.state(order).await;
        let answer = shop.send(admin.does(step, order)).await;
        assert_eq!(answer.status, 409, "{step} {before:?}");
        assert_eq!(answer.json()["type"], format!("urn:problem-type:shop:{problem}"));
        assert_eq!(shop.state(order).await, before);
    }
}

#[tokio::test]
async fn a_pending_and_a_confirmed_order_can_be_cancelled() {
    let shop = Shop::open();
    let (customer, admin) = (shop.customer(), shop.admin());
    for (user, reason) in [(&customer, "cancelled_by_customer"), (&admin, "cancelled_by_shop")] {
        for order in [shop.order(&customer, &basket()).await, shop.confirmed_order(&customer).await] {
            let cancelled = shop.send(user.does("cancel", &order)).await.json();
            assert_eq!(cancelled["status"], "CANCELLED");
            assert_eq!(cancelled["reason"], reason);
        }
    }
}

#[tokio::test]
async fn nobody_changes_another_customers_order_or_one_that_does_not_exist() {
    let shop = Shop::open();
    let (customer, other, admin) = (shop.customer(), shop.customer(), shop.admin());
    let order = shop.order(&customer, &basket()).await;
    let answer = shop.send(other.does("cancel", &order)).await;
    assert_eq!(answer.status, 404);
    // Nor is it told anything by a version, or once it is cancelled.
    assert_eq!(shop.send(other.does("cancel", &order).header("If-Match", "\"9\"")).await.status, 404);
    shop.send(customer.does("cancel", &order)).await;
    assert_eq!(shop.send(other.does("cancel", &order)).await.status, 404);
    let absent = serde_json::json!({"order_id": Uuid::now_v7()});
    for step in ["cancel", "ship", "deliver"] {
        assert_eq!(shop.send(admin.does(step, &absent)).await.status, 404);
    }
    assert!(shop.db_row(id(&absent)).await.is_none());
}

#[tokio::test]
async fn a_stale_if_match_changes_nothing() {
    let shop = Shop::open();
    let (customer, admin) = (shop.customer(), shop.admin());
    let order = shop.confirmed_order(&customer).await;
    for tag in ["\"1\"", "\"3\"", "\"x\"", "W/\"2\"", "\"18446744073709551615\""] {
        for request in
            [customer.does("cancel", &order), admin.does("ship", &order), admin.does("deliver", &order)]
        {
            assert_eq!(shop.send(request.header("If-Match", tag)).await.status, 412, "{tag}");
        }
    }
    assert_eq!(shop.state(&order).await.1, 2);
    assert_eq!(shop.send(admin.does("ship", &order).header("If-Match", "\"2\"")).await.status, 200);
    assert_eq!(shop.send(admin.does("deliver", &order).header("If-Match", "*")).await.status, 200);
}

/// Whatever wins, there is one winner, and the history shows one path.
#[tokio::test]
async fn cancel_and_ship_race_and_one_of_them_wins() {
    let shop = Shop::open();
    let (customer, admin) = (shop.customer(), shop.admin());
    for _ in 0..20 {
        let order = shop.confirmed_order(&customer).await;
        let requests = [customer.does("cancel", &order), admin.does("ship", &order)];
        let mut statuses: Vec<u16> = join_all(requests.map(|request| shop.send(request)))
            .await
            .iter()
            .map(|answer| answer.status)
            .collect();
        statuses.sort();
        assert_eq!(statuses, [200, 409]);
        assert_eq!(shop.state(&order).await.1, 3);
    }
}

#[tokio::test]
async fn cancel_and_confirmation_race_and_the_order_ends_cancelled() {
    let shop = Shop::open();
    let customer = shop.customer();
    for _ in 0..20 {
        let order = shop.order(&customer, &basket()).await;
        let (cancelled, ()) = tokio::join!(
            shop.send(customer.does("cancel", &order)),
            shop.takes("order-processing", stock_reserved(&order)),
        );
        assert_eq!(cancelled.status, 200);
        let (status, version, _) = shop.state(&order).await;
        // Overtaken by the cancellation, the confirmation is no change.
        assert_eq!(status, "CANCELLED");
        assert!((2..=3).contains(&version));
    }
}
