use serde_json::json;

use super::scene::{CANCELLED, CONFIRMED, CUSTOMER, GONE, MARK, PRODUCT, REJECTED, Scene, entry, message};
use crate::{
    journal::{Outcome, What},
    story::LogLine,
};

/// The cache and what is read through it.
mod cached;
/// The reports.
mod reports;

/// Breaks a shop in which all is well; this promise must then be among those that are not kept.
#[track_caller]
fn finds(promise: &str, break_it: impl FnOnce(&mut Scene)) {
    let mut scene = Scene::new();
    break_it(&mut scene);
    let broken = scene.broken();
    assert!(broken.iter().any(|(kept, _)| kept.contains(promise)), "{promise}: {broken:#?}");
}

#[test]
fn a_shop_in_which_all_is_well_has_no_violation() {
    let broken = Scene::new().broken();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn what_does_not_end_is_found() {
    finds("comes to an end", |scene| scene.drained.stuck.push("3 messages in dev-stock-requests".to_owned()));
}

#[test]
fn a_row_that_was_written_past_the_record_is_found() {
    finds("last recorded change", |scene| {
        scene.kept.insert(("products", PRODUCT.to_owned()), Some(json!({ "stock": 13 })));
    });
    finds("last recorded change", |scene| {
        scene.kept.insert(("orders", CONFIRMED.to_owned()), None);
    });
}

#[test]
fn a_version_that_is_skipped_or_written_twice_is_found() {
    finds("have no gap", |scene| scene.last("orders", CONFIRMED)["version"] = 4.into());
    finds("have no gap", |scene| scene.last("products", PRODUCT)["version"] = 4.into());
}

#[test]
fn stock_below_zero_is_found_also_if_it_came_back() {
    finds("never negative", |scene| {
        let product = scene.last("products", PRODUCT).clone();
        for (version, stock) in [(6, -1), (7, 13)] {
            let mut product = product.clone();
            (product["version"], product["stock"]) = (version.into(), stock.into());
            scene.write("products", PRODUCT, product);
        }
    });
}

#[test]
fn units_that_nobody_has_are_found() {
    finds("stock = initial", |scene| scene.last("products", PRODUCT)["stock"] = 12.into());
    finds("stock = initial", |scene| scene.last("orders", CONFIRMED)["status"] = "CANCELLED".into());
    finds("stock = initial", |scene| scene.last("orders", REJECTED)["status"] = "CONFIRMED".into());
}

#[test]
fn a_change_of_stock_that_was_lost_or_made_twice_is_found() {
    let promise = "a change of stock";
    finds(promise, |scene| scene.answer(scene.stock_change(7, "key-2"), 200, json!(null)));
    finds(promise, |scene| {
        let key = format!("stock-change#{PRODUCT}#2");
        scene.write("products", &key, json!({ "product_id": key, "stock_change": 5 }));
    });
    // What was never answered may have happened, once.
    let unknown = |times: usize| {
        let mut scene = Scene::new();
        scene.attempt(scene.stock_change(7, "key-2"), Outcome::NoAnswer("reset".to_owned()));
        for number in 0..times {
            let key = format!("stock-change#{PRODUCT}#unknown{number}");
            scene.write("products", &key, json!({ "product_id": key, "stock_change": 7 }));
        }
        scene.broken().iter().any(|(broken, _)| broken.contains(promise))
    };
    assert_eq!([0, 1, 2].map(unknown), [false, false, true]);
}

#[test]
fn an_order_that_was_accepted_and_lost_or_changed_is_found() {
    let promise = "answered with 201 is there";
    finds(promise, |scene| {
        scene.kept.insert(("orders", CONFIRMED.to_owned()), None);
    });
    finds(promise, |scene| scene.last("orders", CONFIRMED)["user_id"] = GONE.into());
    finds(promise, |scene| scene.last("orders", CONFIRMED)["items"][0]["quantity"] = 3.into());
}

#[test]
fn an_order_that_nobody_asked_for_is_found() {
    let promise = "no order without a request";
    let stray = "00000000-0000-8000-8000-00000000000a";
    let unasked = |scene: &mut Scene| {
        let mut order = scene.last("orders", CONFIRMED).clone();
        order["order_id"] = stray.into();
        scene.write("orders", stray, order);
    };
    finds(promise, unasked);
    // A request without an answer explains one order, not two.
    let explained = |orders: usize| {
        let mut scene = Scene::new();
        let items = vec![(PRODUCT.to_owned(), 2)];
        let what = What::Place { user_id: CUSTOMER.to_owned(), key: "lost".to_owned(), items };
        scene.attempt(what, Outcome::NoAnswer("reset".to_owned()));
        for number in 0..orders {
            let order = scene.last("orders", CONFIRMED).clone();
            scene.write("orders", &format!("00000000-0000-8000-8000-00000000000{number}"), order);
        }
        !scene.broken().iter().any(|(broken, _)| broken.contains(promise))
    };
    assert_eq!([0, 1, 2].map(explained), [true, true, false]);
}

#[test]
fn a_key_that_means_two_orders_is_found() {
    finds("the same key", |scene| {
        let mut other =
            scene.deeds.iter().find(|deed| matches!(deed.what, What::Place { .. })).unwrap().clone();
        let Outcome::Answer { body, .. } = &mut other.attempts[0].outcome else { panic!("an answer") };
        body["order_id"] = REJECTED.into();
        scene.deeds.push(other);
    });
}

#[test]
fn an_order_that_waits_is_found() {
    finds("is at its end", |scene| scene.last("orders", REJECTED)["status"] = "PENDING".into());
}

#[test]
fn a_leap_in_the_saga_is_found() {
    let promise = "path of the saga";
    finds(promise, |scene| {
        let order = scene.last("orders", CONFIRMED);
        order["history"] = json!([{ "status": "PENDING" }, { "status": "SHIPPED" }]);
    });
    finds(promise, |scene| {
        let mut order = scene.last("orders", REJECTED).clone();
        (order["status"], order["version"]) = ("CONFIRMED".into(), 3.into());
        order["history"].as_array_mut().unwrap().push(json!({ "status": "CONFIRMED" }));
        scene.write("orders", REJECTED, order);
    });
}

#[test]
fn a_reservation_that_does_not_fit_is_found() {
    let promise = "exactly one reservation";
    let reservation = |order: &str| format!("reservation#{order}");
    finds(promise, |scene| {
        scene.kept.insert(("products", reservation(CONFIRMED)), None);
    });
    finds(promise, |scene| scene.last("products", &reservation(CANCELLED))["state"] = "RESERVED".into());
    finds(promise, |scene| scene.last("products", &reservation(CONFIRMED))["state"] = "RELEASED".into());
    finds(promise, |scene| scene.last("products", &reservation(REJECTED))["state"] = "RESERVED".into());
    finds(promise, |scene| {
        scene.last("products", &reservation(CONFIRMED))["lines"][0]["unit_price"]["amount"] = 6.into();
    });
    finds(promise, |scene| {
        let row = scene.last("products", &reservation(REJECTED)).clone();
        scene.write("products", &reservation(PRODUCT), row);
    });
}

#[test]
fn a_reservation_that_is_released_twice_or_made_twice_is_found() {
    let promise = "a reservation is made once";
    for state in ["RELEASED", "RESERVED"] {
        finds(promise, |scene| {
            let mut row = scene.last("products", &format!("reservation#{CANCELLED}")).clone();
            (row["state"], row["version"]) = (state.into(), 3.into());
            scene.write("products", &format!("reservation#{CANCELLED}"), row);
        });
    }
    finds(promise, |scene| scene.remove("products", &format!("reservation#{CANCELLED}")));
    finds(promise, |scene| {
        scene.last("products", &format!("reservation#{CANCELLED}"))["lines"][0]["quantity"] = 4.into();
    });
}

#[test]
fn an_event_that_is_missing_or_says_something_else_is_found() {
    let promise = "every change that is an event";
    finds(promise, |scene| {
        scene.recording.events.pop();
    });
    finds(promise, |scene| scene.recording.events[0].body["data"]["version"] = 9.into());
    finds(promise, |scene| scene.recording.events[0].body["type"] = "user_updated".into());
    finds(promise, |scene| {
        let mut again = scene.recording.events[0].clone();
        again.body["data"]["role"] = "admin".into();
        scene.recording.events.push(again);
    });
}

#[test]
fn an_event_of_nothing_or_with_a_second_id_is_found() {
    let promise = "every event that is published";
    finds(promise, |scene| {
        let mut second = scene.recording.events[0].clone();
        second.body["id"] = "another".into();
        scene.recording.events.push(second);
    });
    finds(promise, |scene| {
        let mut other = scene.recording.events[0].clone();
        other.body = "no event at all".into();
        scene.recording.events.push(other);
    });
}

#[test]
fn events_in_the_wrong_order_are_found_unless_they_come_again() {
    let promise = "in the order of its versions";
    let overtaken = |scene: &mut Scene| {
        let late = scene.now();
        let placed =
            |body: &serde_json::Value| body["subject"] == CONFIRMED && body["type"] == "order_placed";
        scene.recording.events.iter_mut().find(|event| placed(&event.body)).unwrap().at = late;
    };
    finds(promise, overtaken);
    let mut scene = Scene::new();
    overtaken(&mut scene);
    let of_order =
        |event: &&crate::recorder::Published| event.table == "orders" && event.body["subject"] == CONFIRMED;
    for mut again in scene.recording.events.iter().filter(of_order).cloned().collect::<Vec<_>>() {
        again.at = scene.now();
        scene.recording.events.push(again);
    }
    let broken = scene.broken();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn a_failure_that_nothing_cured_and_a_complaint_are_found() {
    let order_id = CONFIRMED.to_owned();
    finds("every failure is cured", |scene| {
        scene.answer(What::ReadOrder { order_id: order_id.clone() }, 503, json!(null));
    });
    finds("every failure is cured", |scene| {
        scene.attempt(What::ListOrders, Outcome::NoAnswer("timed out".to_owned()));
    });
    finds("answers are as the API", |scene| scene.deeds[0].complaints.push("a version went back".to_owned()));
}

#[test]
fn an_answer_that_was_never_written_is_found() {
    finds("what is answered is what was written", |scene| {
        let mut order = scene.last("orders", CONFIRMED).clone();
        order["total"] = json!({ "amount": 1 });
        scene.answer(What::ReadOrder { order_id: CONFIRMED.to_owned() }, 200, order);
    });
    finds("what is answered is what was written", |scene| {
        let mut product = scene.last("products", PRODUCT).clone();
        product["stock"] = 14.into();
        scene.answer(What::ReadProduct { product_id: PRODUCT.to_owned() }, 200, product);
    });
}

#[test]
fn a_promise_to_a_shopper_that_did_not_come_true_is_found() {
    let promise = "has happened";
    let order_id = CONFIRMED.to_owned();
    finds(promise, |scene| scene.answer(What::Cancel { order_id: order_id.clone() }, 200, json!(null)));
    finds(promise, |scene| scene.answer(What::Deliver { order_id: order_id.clone() }, 200, json!(null)));
    finds(promise, |scene| {
        scene.answer(What::Cancel { order_id: CANCELLED.to_owned() }, 409, json!(null));
    });
    finds(promise, |scene| {
        scene.answer(What::DeleteAccount { user_id: CUSTOMER.to_owned() }, 204, json!(null));
    });
    finds(promise, |scene| {
        scene.answer(What::DeleteAccount { user_id: CUSTOMER.to_owned() }, 401, json!(null));
    });
    finds(promise, |scene| scene.remove("users", CUSTOMER));
    finds(promise, |scene| {
        scene.answer(What::DeleteProduct { product_id: PRODUCT.to_owned() }, 204, json!(null));
    });
    finds(promise, |scene| {
        scene.answer(What::CreateProduct { stock: 3 }, 201, json!({ "product_id": PRODUCT }))
    });
}

#[test]
fn an_address_of_two_accounts_or_of_none_is_found() {
    let promise = "an account has its address alone";
    finds(promise, |scene| {
        let user = scene.last("users", CUSTOMER).clone();
        scene.write("users", PRODUCT, user);
    });
    finds(promise, |scene| {
        scene.write("users", "email#nobody@chaos.example", json!({ "owner": GONE }));
    });
    finds(promise, |scene| scene.remove("users", "email#stays@chaos.example"));
}

#[test]
fn what_is_left_of_a_deleted_account_is_found() {
    let promise = "of a deleted account";
    finds(promise, |scene| {
        let key = format!("sessions#{GONE}");
        scene.write("users", &key, json!({ "user_id": key }));
    });
    finds(promise, |scene| scene.last("orders", CANCELLED)["shipping_address"] = json!({ "city": "Ulm" }));
    finds(promise, |scene| scene.last("orders", CANCELLED)["status"] = "CONFIRMED".into());
}

#[test]
fn dead_letters_that_are_no_poison_and_poison_that_is_lost_are_found() {
    let promise = "dead-letter queues";
    finds(promise, |scene| scene.drained.dead_letters.push(message("dev-user-events-dlq", "{}")));
    finds(promise, |scene| scene.drained.dead_letters.clear());
}

#[test]
fn what_somebody_gave_is_found_in_every_place_also_encoded() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let promise = "personal data";
    let log = |text: String| LogLine { at: 0, function: "user-service".to_owned(), text };
    finds(promise, |scene| scene.log.push(log(format!("hello {}", MARK.to_uppercase()))));
    for before in ["", "a", "ab"] {
        finds(promise, |scene| scene.log.push(log(STANDARD.encode(format!("{before}Ada {MARK}")))));
    }
    finds(promise, |scene| scene.messages.push(message("dev-stock-requests", &format!("Ada {MARK}"))));
    finds(promise, |scene| scene.cache.push(entry("dev:products:v1:product:2", &format!("Ada {MARK}"))));
    finds(promise, |scene| scene.cache.push(entry(&format!("dev:users:{MARK}"), "1")));
    finds(promise, |scene| {
        scene.report.insert("report_next.orders".to_owned(), vec![json!({ "name": format!("Ada {MARK}") })]);
    });
    finds(promise, |scene| scene.last("orders", CONFIRMED)["gift_for"] = format!("Ada {MARK}").into());
    // In an event it is not even if the account is there.
    let other = "fee1dead-0000-4000-8000-00000000000b";
    finds(promise, |scene| {
        scene.last("orders", CONFIRMED)["shipping_address"] = json!({ "line1": format!("{other} Lane") });
        scene.recording.events[0].body["data"]["name"] = other.into();
    });
}
