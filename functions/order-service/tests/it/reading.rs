use std::collections::HashSet;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Shop, User, basket, id, stock_rejected};

/// All pages of a list, one after the other.
async fn walk(shop: &Shop, user: &User, query: &str, limit: usize) -> Vec<Vec<Value>> {
    let (mut pages, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut request = user.gets(&format!("/api/orders?limit={limit}{query}"));
        if let Some(cursor) = &cursor {
            request = request.query("cursor", cursor);
        }
        let answer = shop.send(request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let page = answer.json();
        pages.push(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else {
            assert_eq!(page["next_cursor"], Value::Null);
            return pages;
        };
        cursor = Some(next.to_owned());
    }
}

#[tokio::test]
async fn own_orders_are_listed_newest_first_page_by_page() {
    let shop = Shop::open();
    let (customer, other) = (shop.customer(), shop.customer());
    let mut placed = HashSet::new();
    for _ in 0..7 {
        placed.insert(id(&shop.order(&customer, &basket()).await).to_owned());
        shop.order(&other, &basket()).await;
    }
    let pages = walk(&shop, &customer, "", 3).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    let listed: Vec<Value> = pages.into_iter().flatten().collect();
    assert!(listed.iter().map(|order| order["created_at"].as_str()).rev().is_sorted());
    assert_eq!(listed.iter().map(|order| id(order).to_owned()).collect::<HashSet<_>>(), placed);
    assert_eq!(listed.len(), placed.len());

    let whole = walk(&shop, &customer, "", 7).await;
    assert_eq!(whole.concat(), listed);
    assert_eq!(walk(&shop, &shop.customer(), "", 7).await, [Vec::<Value>::new()]);
}

#[tokio::test]
async fn a_status_filter_lists_the_orders_of_that_status() {
    let shop = Shop::open();
    let customer = shop.customer();
    let mut rejected = HashSet::new();
    for number in 0..9 {
        let order = shop.order(&customer, &basket()).await;
        if number % 4 == 0 {
            shop.takes("order-processing", stock_rejected(&order)).await;
            rejected.insert(id(&order).to_owned());
        }
    }
    let listed = walk(&shop, &customer, "&status=REJECTED", 2).await.concat();
    assert_eq!(listed.iter().map(|order| id(order).to_owned()).collect::<HashSet<_>>(), rejected);
    assert_eq!(walk(&shop, &customer, "&status=PENDING", 2).await.concat().len(), 6);
    assert!(walk(&shop, &customer, "&status=SHIPPED", 2).await.concat().is_empty());
}

#[tokio::test]
async fn a_cursor_opens_nothing_but_the_list_that_it_came_from() {
    let shop = Shop::open();
    let (customer, other) = (shop.customer(), shop.customer());
    for user in [&customer, &other] {
        for _ in 0..3 {
            shop.order(user, &basket()).await;
        }
    }
    let page = shop.send(customer.gets("/api/orders?limit=1")).await.json();
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    let with = |user: &User, path: &str, cursor: &str| user.gets(path).query("cursor", cursor);
    assert_eq!(shop.send(with(&customer, "/api/orders", &cursor)).await.status, 200);

    let (truncated, doubled) = (&cursor[..cursor.len() - 1], cursor.repeat(2));
    let forged = cursor.replacen(&cursor[4..5], if &cursor[4..5] == "A" { "B" } else { "A" }, 1);
    for request in [
        with(&other, "/api/orders", &cursor),
        with(&customer, "/api/orders?status=PENDING", &cursor),
        with(&customer, "/api/orders", truncated),
        with(&customer, "/api/orders", &doubled),
        with(&customer, "/api/orders", &forged),
        with(&customer, "/api/orders", "nonsense"),
        with(&customer, "/api/orders", ""),
    ] {
        let answer = shop.send(request).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert_eq!(answer.json()["errors"][0]["pointer"], "/cursor");
    }
}

#[tokio::test]
async fn a_wrong_query_is_named() {
    let shop = Shop::open();
    let customer = shop.customer();
    for (query, pointer) in [
        ("limit=0", "/limit"),
        ("limit=101", "/limit"),
        ("limit=ten", "/limit"),
        ("status=pending", "/status"),
        ("status=LOST", "/status"),
        ("user_id=1", "/user_id"),
        ("limit=1&limit=2", "/limit"),
    ] {
        let answer = shop.send(customer.gets(&format!("/api/orders?{query}"))).await;
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{query}");
    }
}

#[tokio::test]
async fn another_customers_order_is_not_there_but_for_admins() {
    let shop = Shop::open();
    let (customer, other, admin) = (shop.customer(), shop.customer(), shop.admin());
    let order = shop.order(&customer, &basket()).await;
    let path = format!("/api/orders/{}", id(&order));
    let own = shop.send(customer.gets(&path)).await;
    assert_eq!((own.status, own.header("etag")), (200, Some("\"1\"")));
    assert_eq!(own.header("cache-control"), Some("no-store"));
    assert_eq!(shop.send(admin.gets(&path)).await.json(), order);
    let hidden = shop.send(other.gets(&path)).await;
    let absent = shop.send(other.gets(&format!("/api/orders/{}", Uuid::now_v7()))).await;
    assert_eq!((hidden.status, absent.status), (404, 404));
    assert_eq!(hidden.json()["detail"], absent.json()["detail"]);
    // A list is one's own, an admin's too.
    assert_eq!(shop.send(admin.gets("/api/orders")).await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_text_that_is_no_id_names_no_order() {
    let shop = Shop::open();
    let customer = shop.customer();
    for path in ["1", "deleted-user%23x", "%00", "%FF", "0198b2c4-7d1e-7a3b-9c55"] {
        assert_eq!(shop.send(customer.gets(&format!("/api/orders/{path}"))).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn health_is_asked_of_table_and_secret() {
    let shop = Shop::open();
    for path in ["/health/ready", "/api/orders/health/ready", "/api/orders/health/live"] {
        assert_eq!(shop.send(test_support::door::http_v2("GET", path)).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn without_its_table_the_service_asks_to_come_again() {
    let shop = Shop::without_a_table();
    let (customer, admin) = (shop.customer(), shop.admin());
    let order = json!({"order_id": Uuid::now_v7(), "user_id": customer.id, "items": []});
    for request in [
        test_support::door::http_v2("GET", "/api/orders/health/ready"),
        customer.places("key", &basket()),
        customer.gets("/api/orders"),
        customer.gets(&format!("/api/orders/{}", id(&order))),
        customer.does("cancel", &order),
        admin.does("ship", &order),
    ] {
        let answer = shop.send(request).await;
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(answer.header("retry-after").is_some());
        assert!(!answer.body.contains("127.0.0.1"));
    }
    assert_eq!(shop.deliver("order-processing", [stock_rejected(&order)]).await, [0]);
}
