//! Every permission is needed: taken away one at a time, each of them breaks something that the shop does, and put back
//! it mends that.
//!
//! These tests run as those in `local_cloud` do, but apart from them: for moments, the shop here does not work.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]
#![expect(clippy::print_stdout, reason = "what was tried is shown beside the result")]

/// The account as its owner sees it: roles, logs, mappings.
mod account;
#[expect(dead_code, reason = "the customer can do more than is asked of them here")]
#[path = "../local_cloud/client.rs"]
mod client;
#[expect(dead_code, reason = "the operator can see more than is asked of them here")]
#[path = "../local_cloud/cloud.rs"]
mod cloud;
/// What the shop does, and how it is seen to fail and to work.
mod flows;
/// What a role may not do.
mod strangers;
/// Which permission is for what.
mod table;
#[expect(dead_code, reason = "more is done with files than is asked of them here")]
#[path = "../local_cloud/uploads.rs"]
mod uploads;

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::{
    account::{Part, Permission},
    flows::Shop,
    table::Row,
};

/// While a permission is away, nobody else may rely on it.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn every_permission_is_needed() {
    let _turn = alone();
    let (roles, parts) = (account::roles(), account::parts());
    let deployed = |part: &Part| match part {
        Part::Role(name) => roles.iter().any(|role| role.logical_id == *name),
        part => parts.contains(part),
    };
    let permissions = roles.iter().flat_map(account::Role::permissions);
    let granted = by_name(permissions.collect::<Vec<Permission>>());
    let rows = table::rows().into_iter().filter(|row| row.parts.iter().all(deployed));
    let needed = by_name(rows.collect::<Vec<Row>>());

    let unexplained: Vec<_> = granted.keys().filter(|name| !needed.contains_key(*name)).collect();
    assert!(
        unexplained.is_empty(),
        "nothing in table.rs needs these: remove them from the template, or say what they are for: {unexplained:#?}"
    );
    let absent: Vec<_> = needed.keys().filter(|name| !granted.contains_key(*name)).collect();
    assert!(absent.is_empty(), "no role has these, so that table.rs must not list them: {absent:#?}");

    let shop = Shop::open();
    let mut awaited = Vec::new();
    let mut tried = 0;
    for (name, permission) in &granted {
        let Row { flow: Some(flow), purpose, .. } = &needed[name] else { continue };
        let started = Instant::now();
        awaited.extend(flow.fails_without(permission, &shop));
        tried += 1;
        println!("{:5} ms  {name}: {purpose}", started.elapsed().as_millis());
    }
    for effect in awaited {
        effect.wait();
    }
    println!("{tried} of {} permissions were taken away and put back", granted.len());
}

/// Each under what it is called in messages; none may be there twice.
fn by_name<T: ToString>(all: Vec<T>) -> BTreeMap<String, T> {
    let mut named = BTreeMap::new();
    for one in all {
        let name = one.to_string();
        assert!(named.insert(name.clone(), one).is_none(), "twice: {name}");
    }
    named
}
