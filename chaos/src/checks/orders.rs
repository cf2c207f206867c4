use std::collections::{BTreeMap, BTreeSet};

use super::{Evidence, Finding, answers_to, lines, text};
use crate::{announcements::is_id, journal::What};

/// Who ordered what: what there is to tell an order by whose id nobody was told.
type Wish = (String, Vec<(String, i64)>);

/// Every order that somebody was told is placed is in the table: theirs, with the lines that they asked for.
pub(super) fn accepted_are_there(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (deed, status, body) in evidence.answers() {
        let What::Place { user_id, items, .. } = &deed.what else { continue };
        if status != 201 {
            continue;
        }
        let order_id = text(body, "order_id");
        let kept = evidence.row("orders", order_id);
        let is_kept =
            kept.is_some_and(|order| text(order, "user_id") == user_id && lines(order, "items") == *items);
        if !is_kept {
            let found = format!("deed {}: 201 for order {order_id}, which is {kept:?}", deed.number);
            findings.push(Finding::new(order_id, found));
        }
    }
    findings
}

/// Every order in the table was asked for: its id was answered, or there is a request of its customer for the same lines
/// that was not answered and that no other order stands for.
pub(super) fn are_explained(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut answered = BTreeSet::new();
    let mut unanswered = BTreeMap::<Wish, BTreeSet<&str>>::new();
    for deed in evidence.deeds {
        let What::Place { user_id, items, key } = &deed.what else { continue };
        let told = answers_to(deed).filter(|(status, _)| *status == 201);
        let ids: Vec<&str> = told.map(|(_, body)| text(body, "order_id")).collect();
        if ids.is_empty() && deed.attempts.iter().any(|attempt| attempt.outcome.is_unknown()) {
            unanswered.entry((user_id.clone(), items.clone())).or_default().insert(key);
        }
        answered.extend(ids);
    }
    let mut findings = Vec::new();
    for (key, order) in evidence.entities("orders").filter(|(key, _)| !answered.contains(key)) {
        let wish = (text(order, "user_id").to_owned(), lines(order, "items"));
        if unanswered.get_mut(&wish).and_then(BTreeSet::pop_first).is_none() {
            findings.push(Finding::new(key, format!("order {key}: {order}")));
        }
    }
    findings
}

/// Whoever repeats a request under its key is told of the same order.
pub(super) fn keys_are_kept(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut orders = BTreeMap::<(&str, &str), BTreeSet<&str>>::new();
    for (deed, status, body) in evidence.answers() {
        if let What::Place { user_id, key, .. } = &deed.what
            && status == 201
        {
            orders.entry((user_id, key)).or_default().insert(text(body, "order_id"));
        }
    }
    let mut known = BTreeMap::new();
    let mut findings = Vec::new();
    for ((user, key), ids) in orders {
        if ids.len() > 1 {
            let found = format!("the key {key} of user {user} means {ids:?}");
            findings.push(Finding::new(ids.first().copied().unwrap_or_default(), found));
        }
        for id in ids {
            if let Some(other) = known.insert(id, key) {
                findings.push(Finding::new(id, format!("order {id} has the keys {other} and {key}")));
            }
        }
    }
    findings
}

/// No order waits any more.
pub(super) fn are_settled(evidence: &Evidence<'_>) -> Vec<Finding> {
    const ENDS: [&str; 5] = ["CONFIRMED", "REJECTED", "CANCELLED", "SHIPPED", "DELIVERED"];
    let waits = evidence.entities("orders").filter(|(_, order)| !ENDS.contains(&text(order, "status")));
    waits.map(|(key, order)| Finding::new(key, format!("order {key} is {}", order["status"]))).collect()
}

/// The history of each version begins with PENDING, goes on as the saga may, ends with the version's status, and begins
/// with the history of the version before.
pub(super) fn follow_the_saga(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (key, changes) in evidence.histories("orders").filter(|(key, _)| is_id(key)) {
        let mut before = Vec::new();
        for change in changes {
            let Some(after) = &change.after else {
                findings.push(Finding::new(key, format!("order {key} was removed")));
                continue;
            };
            let history: Vec<&str> =
                after["history"].as_array().into_iter().flatten().map(|step| text(step, "status")).collect();
            let is_path = history.first() == Some(&"PENDING")
                && history.windows(2).all(|pair| may_follow(pair[0], pair[1]))
                && history.last() == Some(&text(after, "status"))
                && history.starts_with(&before);
            if !is_path {
                let found = format!("order {key} is {} by {history:?} after {before:?}", after["status"]);
                findings.push(Finding::new(key, found));
            }
            before = history;
        }
    }
    findings
}

fn may_follow(before: &str, after: &str) -> bool {
    matches!(
        (before, after),
        ("PENDING", "CONFIRMED" | "REJECTED" | "CANCELLED")
            | ("CONFIRMED", "CANCELLED" | "SHIPPED")
            | ("SHIPPED", "DELIVERED")
    )
}
