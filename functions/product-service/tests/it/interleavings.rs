//! Any order and repetition of the messages of several orders ends as one after the other would.

use std::collections::{BTreeMap, HashMap};

use domain_events::{Event, Payload};
use proptest::{collection::vec, prelude::*};
use uuid::Uuid;

use crate::{ALL_DONE, Shop, cancelled, placed, rejected, run};

/// Which order, and what comes for it.
type Delivery = (usize, Kind);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Place,
    Cancel,
    Reject,
}

/// Stock of the products, lines (product, quantity) of the orders, messages in batches.
#[derive(Clone, Debug)]
struct Story {
    stock: Vec<u32>,
    orders: Vec<Vec<(usize, u32)>>,
    batches: Vec<Vec<Delivery>>,
}

fn stories(batch: std::ops::Range<usize>, batches: std::ops::Range<usize>) -> impl Strategy<Value = Story> {
    let kind = prop_oneof![3 => Just(Kind::Place), 1 => Just(Kind::Cancel), 1 => Just(Kind::Reject)];
    (
        vec(0_u32..4, 2),
        vec(vec((0_usize..2, 1_u32..3), 1..4), 4),
        vec(vec((0_usize..4, kind), batch), batches),
    )
        .prop_map(|(stock, orders, batches)| Story { stock, orders, batches })
}

/// What is true at the end.
#[derive(Debug, PartialEq, Eq)]
struct End {
    stock: Vec<i64>,
    states: Vec<Option<String>>,
}

/// The rules, without a store.
fn model(story: &Story) -> End {
    let mut stock: Vec<i64> = story.stock.iter().copied().map(i64::from).collect();
    let mut states: Vec<Option<&str>> = vec![None; story.orders.len()];
    for (order, kind) in story.batches.concat() {
        let wanted = |product| units(&story.orders[order], product);
        let next = match (states[order], kind) {
            (None, Kind::Place) if (0..stock.len()).all(|product| wanted(product) <= stock[product]) => {
                (0..stock.len()).for_each(|product| stock[product] -= wanted(product));
                "RESERVED"
            }
            (None, Kind::Place) => "REJECTED",
            (None, _) => "RELEASED",
            (Some("RESERVED"), Kind::Cancel | Kind::Reject) => {
                (0..stock.len()).for_each(|product| stock[product] += wanted(product));
                "RELEASED"
            }
            (Some(state), _) => state,
        };
        states[order] = Some(next);
    }
    End { stock, states: states.into_iter().map(|state| state.map(str::to_owned)).collect() }
}

fn units(lines: &[(usize, u32)], product: usize) -> i64 {
    lines.iter().filter(|line| line.0 == product).map(|line| i64::from(line.1)).sum()
}

/// Tells the story to the service: what is true at the end, and the events that it published.
async fn tell(story: &Story) -> (End, Vec<Event>, Vec<Uuid>) {
    let shop = Shop::open();
    let mut products = Vec::new();
    for stock in &story.stock {
        products.push(shop.product(*stock).await);
    }
    let orders: Vec<Uuid> = story.orders.iter().map(|_| Uuid::now_v7()).collect();
    let message = |(order, kind): &Delivery| match kind {
        Kind::Place => {
            let lines =
                story.orders[*order].iter().map(|(product, quantity)| (products[*product], *quantity));
            placed(orders[*order], &lines.collect::<Vec<_>>())
        }
        Kind::Cancel => cancelled(orders[*order]),
        Kind::Reject => rejected(orders[*order]),
    };
    for batch in &story.batches {
        assert_eq!(shop.deliver(batch.iter().map(message)).await, ALL_DONE);
    }
    let (mut stock, mut states) = (Vec::new(), Vec::new());
    for product in products {
        stock.push(shop.stock(product).await);
    }
    for order in &orders {
        states.push(shop.db_state(*order).await);
    }
    (End { stock, states }, shop.publish().await, orders)
}

/// What the events say about each order: how often stock was taken, refused and given back.
fn told(events: &[Event]) -> HashMap<Uuid, BTreeMap<&'static str, usize>> {
    let mut told: HashMap<Uuid, BTreeMap<&'static str, usize>> = HashMap::new();
    for event in events {
        if let Payload::StockReserved(stock) | Payload::StockRejected(stock) | Payload::StockReleased(stock) =
            &event.payload
        {
            *told.entry(stock.order_id).or_default().entry(event.payload.event_type()).or_default() += 1;
        }
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_after_the_other_as_the_rules_say(story in stories(1..2, 1..25)) {
        let (end, events, orders) = run(tell(&story));
        prop_assert_eq!(&end, &model(&story));
        let told = told(&events);
        for (order, state) in orders.iter().zip(&end.states) {
            let told = told.get(order).cloned().unwrap_or_default();
            let told: Vec<_> = told.into_iter().collect();
            match state.as_deref() {
                Some("RESERVED") => prop_assert_eq!(told, [("stock_reserved", 1)]),
                Some("REJECTED") => prop_assert_eq!(told, [("stock_rejected", 1)]),
                Some("RELEASED") if told.is_empty() => {}
                Some("RELEASED") => prop_assert_eq!(told, [("stock_released", 1), ("stock_reserved", 1)]),
                _ => prop_assert_eq!(told, []),
            }
        }
    }

    #[test]
    fn at_once_stock_is_taken_exactly_by_what_is_reserved(story in stories(2..11, 1..4)) {
        let (end, events, orders) = run(tell(&story));
        for (product, before) in story.stock.iter().enumerate() {
            let reserved = story.orders.iter().zip(&end.states).filter(|(_, state)| state.as_deref() == Some("RESERVED"));
            let taken: i64 = reserved.map(|(lines, _)| units(lines, product)).sum();
            prop_assert_eq!(end.stock[product], i64::from(*before) - taken);
        }
        for event in &events {
            if let Payload::ProductUpdated(product) = &event.payload {
                prop_assert!(product.stock <= *story.stock.iter().max().unwrap());
            }
        }
        let told = told(&events);
        for (order, state) in orders.iter().zip(&end.states) {
            let told = told.get(order).cloned().unwrap_or_default();
            prop_assert!(told.values().all(|times| *times == 1), "{:?}", told);
            prop_assert_eq!(told.contains_key("stock_rejected"), state.as_deref() == Some("REJECTED"));
            let in_stock = told.contains_key("stock_released") == told.contains_key("stock_reserved");
            prop_assert_eq!(in_stock, state.as_deref() != Some("RESERVED"));
        }
    }
}
