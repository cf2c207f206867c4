//! Writers, readers and the stream at the same time, in any order: who reads after a write was answered never sees what was
//! before it.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::{Rc, Weak},
    time::Duration,
};

use futures_util::future::join_all;
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};
use test_support::door::{self, HttpAnswer};
use uuid::Uuid;

use super::{Environment, World};
use crate::run;

const ENVIRONMENTS: usize = 3;
const PRODUCTS: usize = 2;

/// What somebody does, and how often others may get on before that.
#[derive(Clone, Debug)]
struct Step {
    environment: usize,
    pause: usize,
    act: Act,
}

#[derive(Clone, Debug)]
enum Act {
    Read(usize),
    List,
    Rename(usize),
    Stock(usize),
    Remove(usize),
    /// The stream hands over what is new, or once more what it has handed over before.
    Stream {
        again: Option<prop::sample::Index>,
    },
    /// So much time goes by that entries may no longer be shown.
    Wait,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let product = 0..PRODUCTS;
    let act = prop_oneof![
        8 => product.clone().prop_map(Act::Read),
        2 => Just(Act::List),
        4 => product.clone().prop_map(Act::Rename),
        3 => product.clone().prop_map(Act::Stock),
        1 => product.prop_map(Act::Remove),
        3 => any::<Option<prop::sample::Index>>().prop_map(|again| Act::Stream { again }),
        1 => Just(Act::Wait),
    ];
    let step = (0..ENVIRONMENTS, 0_usize..40, act);
    vec(step.prop_map(|(environment, pause, act)| Step { environment, pause, act }), 1..12)
}

/// What is known to have happened.
struct Story {
    world: World,
    environments: Vec<Environment>,
    products: Vec<Uuid>,
    /// The newest version of each product that somebody was answered; the greatest, if it was removed.
    answered: RefCell<HashMap<Uuid, u64>>,
    /// All records that the stream has handed over.
    handed_over: RefCell<Vec<Value>>,
    /// What had been answered when the lists that are under way began, the oldest first.
    lists: RefCell<Vec<Weak<HashMap<Uuid, u64>>>>,
}

impl Story {
    async fn begin() -> Self {
        let world = World::open();
        let mut environments = Vec::new();
        for _ in 0..ENVIRONMENTS {
            environments.push(world.environment().await);
        }
        let mut products = Vec::new();
        for _ in 0..PRODUCTS {
            products.push(world.shop.product(100).await);
        }
        let answered = products.iter().map(|id| (*id, 1)).collect();
        let answered = RefCell::new(answered);
        let (handed_over, lists) = (RefCell::default(), RefCell::default());
        Self { world, environments, products, answered, handed_over, lists }
    }

    async fn tell(&self, steps: &[Step]) {
        for Step { environment, pause, act } in steps {
            for _ in 0..*pause {
                tokio::task::yield_now().await;
            }
            self.act(&self.environments[*environment], act).await;
        }
    }

    async fn act(&self, environment: &Environment, act: &Act) {
        match act {
            Act::Read(product) => self.read(environment, self.products[*product]).await,
            Act::List => self.list(environment).await,
            Act::Rename(product) => {
                let name = Uuid::now_v7().to_string();
                let answer = environment.patch(self.products[*product], json!({ "name": name })).await;
                self.written(self.products[*product], &answer);
            }
            Act::Stock(product) => {
                let answer = environment.change_stock(self.products[*product], -1).await;
                self.written(self.products[*product], &answer);
            }
            Act::Remove(product) => {
                let id = self.products[*product];
                // Who finds it gone may be faster than the one who has removed it, and has not been answered yet.
                match environment.remove(id).await.status {
                    204 => self.answered(id, u64::MAX),
                    status => assert_eq!(status, 404),
                }
            }
            Act::Stream { again: None } => self.stream(environment).await,
            Act::Stream { again: Some(position) } => {
                let records = self.handed_over.borrow().clone();
                if !records.is_empty() {
                    environment.changes(&records[position.index(records.len())..]).await;
                }
            }
            Act::Wait => self.world.shop.clock.advance(Duration::from_secs(20)),
        }
    }

    fn written(&self, id: Uuid, answer: &HttpAnswer) {
        match answer.status {
            200 => self.answered(id, answer.json()["version"].as_u64().unwrap()),
            status => assert_eq!(status, 404, "{}", answer.body),
        }
    }

    fn answered(&self, id: Uuid, version: u64) {
        let mut answered = self.answered.borrow_mut();
        let known = answered.entry(id).or_default();
        *known = version.max(*known);
    }

    async fn stream(&self, environment: &Environment) {
        let records = self.world.shop.table.new_stream_records();
        environment.changes(&records).await;
        self.handed_over.borrow_mut().extend(records);
    }

    async fn read(&self, environment: &Environment, id: Uuid) {
        let before = self.answered.borrow()[&id];
        let answer = environment.read(id).await;
        self.seen(id, before, &answer);
    }

    fn seen(&self, id: Uuid, before: u64, answer: &HttpAnswer) {
        let seen = match answer.status {
            200 => answer.json()["version"].as_u64().unwrap(),
            404 => u64::MAX,
            status => panic!("{status} {}", answer.body),
        };
        assert!(seen >= before, "{id} was answered at {before} and then read at {seen}");
    }

    /// The products of a page, too; but who comes while somebody else reads it from the table gets what that one gets.
    async fn list(&self, environment: &Environment) {
        let before = Rc::new(self.answered.borrow().clone());
        let oldest = {
            let mut lists = self.lists.borrow_mut();
            lists.retain(|list| list.strong_count() > 0);
            lists.push(Rc::downgrade(&before));
            lists.iter().find_map(Weak::upgrade).unwrap_or_else(|| Rc::clone(&before))
        };
        let list = door::http_v2("GET", "/api/products").query("category", "Kitchen");
        let answer = environment.http(list).await.json();
        for item in answer["items"].as_array().unwrap() {
            let id: Uuid = item["product_id"].as_str().unwrap().parse().unwrap();
            let version = item["version"].as_u64().unwrap();
            assert!(
                version >= oldest[&id],
                "{id} was answered at {} and then listed at {version}",
                oldest[&id]
            );
        }
    }

    /// At the end, all is as in the table.
    async fn end(&self) {
        self.stream(&self.environments[0]).await;
        for environment in &self.environments {
            for id in &self.products {
                let (read, table) = (environment.read(*id).await, self.world.shop.read(*id).await);
                assert_eq!((read.status, read.header("etag")), (table.status, table.header("etag")));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_read_never_goes_back_behind_a_write_that_was_answered(clients in vec(steps(), 2..6)) {
        run(async {
            let story = Story::begin().await;
            join_all(clients.iter().map(|steps| story.tell(steps))).await;
            story.end().await;
        });
    }
}
