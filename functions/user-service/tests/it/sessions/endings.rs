use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures_util::future::{join, join_all};
use serde_json::json;
use test_support::door;

use super::{OTHER_PASSWORD, assert_over, token};
use crate::{PASSWORD, Shop, assert_problem};

#[tokio::test]
async fn a_logout_ends_its_session_alone_and_can_be_repeated() {
    let shop = Shop::at_one_moment();
    let ada = shop.register("ada@example.com").await;
    shop.register("eve@example.com").await;
    let (first, second) = (shop.session("ada@example.com").await, shop.session("ada@example.com").await);
    let eve = shop.session("eve@example.com").await;
    for _ in 0..2 {
        let answer = shop.log_out(&token(&first)).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    }
    assert_over(&shop.refresh(&token(&first)).await);
    shop.refreshed(&token(&second)).await;
    shop.refreshed(&token(&eve)).await;

    // Also with a token that was used already, as after a lost answer.
    assert_eq!(shop.log_out(&token(&second)).await.status, 204);
    assert_eq!(shop.db_count_sessions(ada.user_id).await, 0);
    // What belongs to nobody makes no row.
    let rows = shop.db_dump().await.len();
    for nobodys in [BASE64_URL_SAFE_NO_PAD.encode([7; 56]), "no token".to_owned(), String::new()] {
        assert_eq!(shop.log_out(&nobodys).await.status, 204);
    }
    assert_eq!(shop.db_dump().await.len(), rows);
}

#[tokio::test]
async fn a_logout_everywhere_ends_all_sessions_of_its_user() {
    let shop = Shop::at_one_moment();
    let ada = shop.register("ada@example.com").await;
    shop.register("eve@example.com").await;
    let (first, second) = (shop.session("ada@example.com").await, shop.session("ada@example.com").await);
    let eve = shop.session("eve@example.com").await;
    let anonymous = shop.call(door::http_v2("POST", "/api/users/logout-all")).await;
    assert_problem(&anonymous, 401, "unauthorized", &[]);
    for _ in 0..2 {
        let answer = shop.log_out_everywhere(&ada).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    }
    assert_over(&shop.refresh(&token(&first)).await);
    assert_over(&shop.refresh(&token(&second)).await);
    assert_eq!(shop.db_sessions(ada.user_id).await, None);
    shop.refreshed(&token(&eve)).await;
    shop.refreshed(&token(&shop.session("ada@example.com").await)).await;
}

#[tokio::test]
async fn another_password_ends_all_sessions() {
    let shop = Shop::at_one_moment();
    let user = shop.register("ada@example.com").await;
    let (first, second) = (shop.session("ada@example.com").await, shop.session("ada@example.com").await);
    // Other changes don't.
    assert_eq!(shop.change_me(&user.token, json!({"name": "Ada King"})).await.status, 200);
    let first = shop.refreshed(&token(&first)).await;
    let written_late = shop.db_sessions(user.user_id).await;

    assert_eq!(shop.change_password(&user, OTHER_PASSWORD).await.status, 204);
    assert_over(&shop.refresh(&first).await);
    assert_over(&shop.refresh(&token(&second)).await);
    let answer = shop.log_in("ada@example.com", OTHER_PASSWORD).await;
    assert_eq!(shop.db_count_sessions(user.user_id).await, 1, "what is over was removed");
    shop.refreshed(&token(&answer.json())).await;

    // A login with the old password that was overtaken by the change, and comes to write its session only now.
    shop.db_put(written_late).await;
    assert_over(&shop.refresh(&first).await);
}

#[tokio::test]
async fn a_login_racing_with_another_password_opens_nothing_with_the_old_one() {
    let shop = Shop::at_one_moment();
    for round in 0..8 {
        let email = format!("ada-{round}@example.com");
        let user = shop.register(&email).await;
        let logins = join_all((0..3).map(|_| shop.log_in(&email, PASSWORD)));
        let (changed, logins) = join(shop.change_password(&user, OTHER_PASSWORD), logins).await;
        assert_eq!(changed.status, 204);
        for login in logins.iter().filter(|login| login.status == 200) {
            assert_over(&shop.refresh(&token(&login.json())).await);
        }
    }
}

#[tokio::test]
async fn what_ends_a_session_ends_it_also_while_it_is_refreshed() {
    let shop = Shop::at_one_moment();
    for round in 0..12 {
        let email = format!("ada-{round}@example.com");
        let user = shop.register(&email).await;
        let before = token(&shop.session(&email).await);
        let end = async || match round % 4 {
            0 => shop.log_out(&before).await.status,
            1 => shop.log_out_everywhere(&user).await.status,
            2 => shop.delete_me(&user.token).await.status,
            _ => shop.change_password(&user, OTHER_PASSWORD).await.status,
        };
        let (refreshed, ended) = join(shop.refresh(&before), end()).await;
        assert_eq!(ended, 204);
        let latest = match refreshed.status {
            200 => token(&refreshed.json()),
            _ => before,
        };
        assert_over(&shop.refresh(&latest).await);
        if round % 4 == 2 {
            assert_eq!(shop.db_sessions(user.user_id).await, None);
        }
    }
}

#[tokio::test]
async fn a_deleted_account_has_no_sessions() {
    let shop = Shop::at_one_moment();
    let user = shop.register("ada@example.com").await;
    let (first, second) = (shop.session("ada@example.com").await, shop.session("ada@example.com").await);
    assert_eq!(shop.delete_me(&user.token).await.status, 204);
    assert_eq!(shop.db_dump_without_counts().await, [""; 0]);
    for token in [token(&first), token(&second)] {
        assert_over(&shop.refresh(&token).await);
        assert_eq!(shop.log_out(&token).await.status, 204);
    }
    assert_eq!(shop.log_out_everywhere(&user).await.status, 204);
    assert_eq!(shop.db_dump_without_counts().await, [""; 0]);
}

#[tokio::test]
async fn a_session_that_was_opened_while_its_account_was_deleted_goes_with_the_event() {
    let shop = Shop::at_one_moment();
    let user = shop.register("ada@example.com").await;
    let session = shop.session("ada@example.com").await;
    let written_late = shop.db_sessions(user.user_id).await;
    assert_eq!(shop.delete_me(&user.token).await.status, 204);
    shop.db_put(written_late).await;
    assert_over(&shop.refresh(&token(&session)).await);
    assert_eq!(shop.tell_the_queue().await, ["user_deleted"]);
    assert_eq!(shop.db_dump_without_counts().await, [""; 0]);
}
