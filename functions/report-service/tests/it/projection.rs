use domain_events::{Payload, payload};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    harness::{Blocker, Reports},
    story::{self, Story, at, eur},
};

/// Every way that an order can go.
const WAYS: [&[&str]; 7] = [
    &["PENDING", "CONFIRMED", "SHIPPED", "DELIVERED"],
    &["PENDING", "CONFIRMED", "SHIPPED"],
    &["PENDING", "CONFIRMED", "CANCELLED"],
    &["PENDING", "CONFIRMED"],
    &["PENDING", "CANCELLED"],
    &["PENDING", "REJECTED"],
    &["PENDING"],
];

#[tokio::test]
async fn an_order_is_as_its_last_event_says_and_remembers_when_each_of_them_was() {
    let reports = Reports::open().await;
    let story = Story::delivered();
    for event in story.events() {
        reports.takes([event]).await;
    }
    let contents = reports.place.contents();
    assert_eq!(
        contents["orders"],
        json!([{
            "order_id": story.order_id,
            "version": 4,
            "user_id": story.user_id,
            "status": "DELIVERED",
            "reason": null,
            "currency": "EUR",
            "total": 3500,
            "units": 5,
            "placed_at": "2026-11-22T00:00:00+00:00",
            "confirmed_at": "2026-11-22T00:00:01+00:00",
            "rejected_at": null,
            "cancelled_at": null,
            "shipped_at": "2026-11-22T00:00:02+00:00",
            "delivered_at": "2026-11-22T00:00:03+00:00",
            "day": "2026-11-22",
            "settled_after": 1000,
        }])
    );
    let line = |product_id: Uuid, units, revenue| {
        json!({
            "order_id": story.order_id, "product_id": product_id, "units": units, "currency": "EUR",
            "revenue": revenue, "placed_at": "2026-11-22T00:00:00+00:00", "sold": true,
        })
    };
    assert_eq!(contents["lines"], json!([line(story.lines[0].0, 2, 2000), line(story.lines[1].0, 3, 1500)]));
}

#[tokio::test]
async fn what_is_not_paid_for_is_no_sale() {
    let reports = Reports::open().await;
    for way in WAYS {
        let story = Story::new(way);
        reports.takes(story.events()).await;
        let sold =
            format!("SELECT bool_and(sold) FROM report.order_lines WHERE order_id = '{}'", story.order_id);
        let last = *way.last().unwrap();
        let expected = matches!(last, "CONFIRMED" | "SHIPPED" | "DELIVERED");
        assert_eq!(reports.place.value(&sold), expected, "{way:?}");
    }
}

#[tokio::test]
async fn every_permutation_of_an_orders_events_gives_the_same() {
    let (reference, reports) = tokio::join!(Reports::open(), Reports::open());
    for way in WAYS {
        let story = Story::new(way);
        let order = |reports: &Reports| {
            let id = story.order_id;
            reports.place.rows(&format!(
                "SELECT (SELECT to_jsonb(o) FROM report.orders AS o WHERE order_id = '{id}') AS order_row, \
                 (SELECT jsonb_agg(l ORDER BY product_id) FROM report.order_lines AS l WHERE order_id = '{id}')"
            ))
        };
        for event in story.events() {
            reference.takes([event]).await;
        }
        let expected = order(&reference);
        for permutation in permutations(&story.events()) {
            for event in &permutation {
                reports.takes([event.clone()]).await;
            }
            assert_eq!(order(&reports), expected, "{permutation:?}");
            reports.place.psql("TRUNCATE report.orders, report.order_lines");
        }
    }
}

fn permutations<T: Clone>(of: &[T]) -> Vec<Vec<T>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let with_first = |first: usize| {
        let mut rest = of.to_vec();
        let head = rest.remove(first);
        permutations(&rest).into_iter().map(move |tail| [vec![head.clone()], tail].concat())
    };
    (0..of.len()).flat_map(with_first).collect()
}

/// Orders of three customers, of whom one leaves, for products that come, are renamed and go: in any order, each event once
/// or more often, in batches that are handled at once.
#[test]
fn whatever_comes_in_whatever_order_and_number_gives_the_same() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (reference, reports) = runtime.block_on(async { (Reports::open().await, Reports::open().await) });
    let events = prop::collection::vec(0..WAYS.len(), 1..5).prop_flat_map(|ways| {
        let events = world(&ways);
        let repeated = prop::collection::vec(0..events.len(), 0..12);
        let shuffled = repeated.prop_flat_map({
            let events = events.clone();
            move |repeated| {
                let again = repeated.into_iter().map(|event| events[event].clone());
                let all: Vec<String> = events.iter().cloned().chain(again).collect();
                Just(all).prop_shuffle()
            }
        });
        (Just(events), shuffled, 1..11_usize)
    });
    let mut runner = TestRunner::new(Config { cases: 48, max_shrink_iters: 200, ..Config::default() });
    let everything = "TRUNCATE report.orders, report.order_lines, report.products, public.erased_customers";
    runner
        .run(&events, |(in_order, shuffled, batch)| {
            runtime.block_on(async {
                for place in [&reference.place, &reports.place] {
                    place.psql(everything);
                }
                for event in in_order {
                    reference.takes([event]).await;
                }
                for events in shuffled.chunks(batch) {
                    reports.takes(events.to_vec()).await;
                }
            });
            prop_assert_eq!(reports.place.contents(), reference.place.contents());
            Ok(())
        })
        .unwrap();
}

/// All events of some orders and of what they are about, in the order in which they happened.
fn world(ways: &[usize]) -> Vec<String> {
    let users = [1, 2, 3].map(Uuid::from_u128);
    let products = [11, 12].map(Uuid::from_u128);
    let mut events = vec![
        story::product_created(products[0], "car"),
        story::product_updated(products[0], 2, "red car"),
        story::product_updated(products[0], 3, "car"),
        story::product_updated(products[0], 4, "car"),
        story::product_created(products[1], "doll"),
        story::product_updated(products[1], 2, "puppet"),
        story::product_deleted(products[1], 2, "puppet"),
    ];
    for (number, way) in ways.iter().enumerate() {
        let story = Story {
            order_id: Uuid::from_u128(100 + number as u128),
            user_id: users[number % users.len()],
            lines: vec![(products[0], 2, 1000), (products[1], 1, 700), (products[0], 1, 900)],
            states: WAYS[*way].to_vec(),
        };
        events.extend(story.events());
    }
    events.push(story::user_deleted(users[0]));
    events
}

#[tokio::test]
async fn lines_of_one_product_are_summed() {
    let reports = Reports::open().await;
    let product = Uuid::now_v7();
    let lines = vec![(product, 2, 1000), (product, 1, 900)];
    let story = Story { lines, ..Story::new(&["PENDING", "CONFIRMED"]) };
    reports.takes(story.events()).await;
    let lines = reports.place.rows("SELECT units, revenue FROM report.order_lines");
    assert_eq!(lines, json!([{ "units": 3, "revenue": 2900 }]));
}

/// The events of an order name the same lines; if a later one ever does not, it is what counts.
#[tokio::test]
async fn lines_and_prices_are_those_of_the_highest_version() {
    let reports = Reports::open().await;
    let [first, second] = [Uuid::now_v7(), Uuid::now_v7()];
    let before =
        Story { lines: vec![(first, 1, 100), (second, 1, 100)], ..Story::new(&["PENDING", "CONFIRMED"]) };
    let after = Story {
        lines: vec![(second, 4, 300)],
        states: vec!["PENDING", "PENDING", "REJECTED"],
        ..before.clone()
    };
    reports.takes([before.event(1)]).await;
    reports.takes([after.event(2)]).await;
    reports.takes(before.events()).await;
    let lines = reports.place.rows("SELECT product_id, units, revenue, sold FROM report.order_lines");
    assert_eq!(lines, json!([{ "product_id": second, "units": 4, "revenue": null, "sold": false }]));
    let order = reports
        .place
        .rows("SELECT status, total, currency, confirmed_at IS NOT NULL AS was FROM report.orders");
    assert_eq!(order, json!([{ "status": "REJECTED", "total": null, "currency": null, "was": true }]));
}

#[tokio::test]
async fn what_is_known_already_is_not_written_again() {
    let reports = Reports::open().await;
    let story = Story::delivered();
    let product = Uuid::now_v7();
    let events =
        [story.events(), vec![story::product_created(product, "car"), story::user_deleted(story.user_id)]]
            .concat();
    reports.takes(events.clone()).await;
    let written = "SELECT jsonb_build_array((SELECT jsonb_agg(xmin::text) FROM report.orders), \
        (SELECT jsonb_agg(xmin::text) FROM report.order_lines), (SELECT jsonb_agg(xmin::text) FROM report.products))";
    let before = reports.place.value(written);
    reports.takes(events).await;
    assert_eq!(reports.place.value(written), before);
}

#[tokio::test]
async fn a_product_that_is_gone_keeps_its_name_and_stays_gone() {
    let reports = Reports::open().await;
    let product = Uuid::now_v7();
    for event in [
        story::product_deleted(product, 2, "car"),
        story::product_updated(product, 2, "car"),
        story::product_created(product, "cart"),
    ] {
        reports.takes([event]).await;
        let row = reports.place.rows("SELECT version, name, deleted FROM report.products");
        assert_eq!(row, json!([{ "version": 2, "name": "car", "deleted": true }]));
    }
}

#[tokio::test]
async fn nothing_is_left_of_whose_orders_they_were_once_the_account_is_deleted() {
    let reports = Reports::open().await;
    let [before, late] = [Story::delivered(), Story::new(&["PENDING", "CONFIRMED"])];
    let late = Story { user_id: before.user_id, ..late };
    let other = Story::delivered();
    reports.takes([before.events(), other.events()].concat()).await;
    reports.takes([story::user_deleted(before.user_id)]).await;
    reports.takes(late.events()).await;
    reports.takes(before.events()).await;
    let owners = reports.place.rows("SELECT DISTINCT user_id FROM report.orders ORDER BY user_id");
    assert_eq!(owners, json!([{ "user_id": other.user_id }, { "user_id": null }]));
    assert_eq!(reports.place.value("SELECT count(*) FROM report.orders"), 3, "what was sold stays");
}

/// The order is written by a transaction that is not at its end when the deletion comes.
#[tokio::test]
async fn a_deletion_waits_for_an_order_that_is_being_written_and_does_not_miss_it() {
    let reports = Reports::open().await;
    let story = Story::delivered();
    // What holds the order's transaction up: somebody else's, who writes the same row.
    let blocker = Blocker::hold_order(&reports.place, story.order_id).await;
    let order = reports.takes([story.event(3)]);
    let deletion = async {
        reports.place.waits(1).await;
        reports.takes([story::user_deleted(story.user_id)]).await
    };
    let release = async {
        // Both wait: the order for the row, the deletion for the order.
        reports.place.waits(2).await;
        blocker.release().await;
    };
    tokio::join!(order, deletion, release);
    assert_eq!(
        reports.place.rows("SELECT user_id, version FROM report.orders"),
        json!([{ "user_id": null, "version": 4 }])
    );
}

#[tokio::test]
async fn what_can_not_be_counted_fails_alone_and_changes_nothing() {
    let reports = Reports::open().await;
    let [good, dear] = [Story::delivered(), Story::delivered()];
    let product = Uuid::now_v7();
    let order = |version, items| payload::Order {
        order_id: dear.order_id,
        user_id: dear.user_id,
        items,
        total: None,
        reason: None,
        version,
        created_at: at(0),
    };
    let line = |price| payload::Line { product_id: product, quantity: 3, unit_price: price };
    let bodies = [
        good.event(3),
        story::event(Payload::OrderConfirmed(order(1, vec![line(Some(eur(i64::MAX)))])), at(1)),
        story::event(Payload::OrderConfirmed(order(1, vec![line(Some(eur(1))), line(None)])), at(1)),
        story::event(Payload::OrderConfirmed(order(u64::MAX, vec![])), at(1)),
    ];
    assert_eq!(reports.deliver(bodies).await, [1, 2, 3]);
    assert_eq!(reports.state(good.order_id), json!(["DELIVERED", 4]));
    assert_eq!(reports.place.value("SELECT count(*) FROM report.orders"), 1);
}

#[tokio::test]
async fn texts_are_kept_as_far_as_the_database_can() {
    let reports = Reports::open().await;
    let product = Uuid::now_v7();
    reports.takes([story::product_created(product, "a\0b \"'\\ \u{1F680}\u{fffe}")]).await;
    assert_eq!(reports.place.value("SELECT name FROM report.products"), "a\u{fffd}b \"'\\ \u{1F680}\u{fffe}");
}

#[tokio::test]
async fn of_a_long_reason_the_beginning_is_kept() {
    let reports = Reports::open().await;
    let order = payload::Order {
        order_id: Uuid::now_v7(),
        user_id: Uuid::now_v7(),
        items: vec![],
        total: None,
        reason: Some("\u{1F680}".repeat(10_000)),
        version: 2,
        created_at: at(0),
    };
    reports.takes([story::event(Payload::OrderRejected(order), at(1))]).await;
    assert_eq!(reports.place.value("SELECT length(reason) FROM report.orders"), 200);
}

#[tokio::test]
async fn what_is_of_no_interest_is_acknowledged() {
    let reports = Reports::open().await;
    let user =
        payload::User { user_id: Uuid::now_v7(), role: "customer".into(), version: 1, created_at: at(0) };
    reports.takes([story::event(Payload::UserCreated(user), at(0))]).await;
    let expected: Value = json!({ "orders": [], "lines": [], "products": [], "erased": [] });
    assert_eq!(reports.place.contents(), expected);
}

#[tokio::test]
async fn transactions_that_are_given_up_for_one_another_are_done_again() {
    let reports = Reports::open().await;
    let story = Story::delivered();
    reports.takes([story.event(0)]).await;
    // The database gives up the next three transactions that change the order, as for a deadlock.
    reports.place.psql(
        "CREATE SEQUENCE public.tries; GRANT ALL ON SEQUENCE public.tries TO public; \
         CREATE FUNCTION public.give_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('public.tries') <= 3 THEN RAISE SQLSTATE '40P01'; END IF; RETURN NEW; END $$; \
         CREATE TRIGGER give_up BEFORE UPDATE ON report.orders FOR EACH ROW EXECUTE FUNCTION public.give_up()",
    );
    reports.takes([story.event(3)]).await;
    assert_eq!(reports.state(story.order_id), json!(["DELIVERED", 4]));
    reports.place.psql("SELECT setval('public.tries', 1, false)");
    reports.place.psql(
        "CREATE OR REPLACE FUNCTION public.give_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         PERFORM nextval('public.tries'); RAISE SQLSTATE '40001'; END $$",
    );
    let late = Story { states: vec!["PENDING"; 5], ..story };
    assert_eq!(reports.deliver([late.event(4)]).await, [0], "not for ever");
    assert_eq!(reports.place.value("SELECT last_value FROM public.tries"), 4);
}
