use std::collections::BTreeMap;

use super::{Evidence, Finding, text};
use crate::announcements::is_id;

/// No two accounts have the same address, and the rows that see to it are those of the accounts.
pub(super) fn addresses_are_unique(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut owners = BTreeMap::new();
    let mut findings = Vec::new();
    for (key, user) in evidence.entities("users") {
        let email = text(user, "email").to_lowercase();
        if let Some(other) = owners.insert(email.clone(), key) {
            findings.push(Finding::new(key, format!("{email} is the address of {key} and {other}")));
        }
    }
    let rows = evidence.tables.get("users").into_iter().flatten();
    for (email, claim) in rows.filter_map(|(key, row)| Some((key.strip_prefix("email#")?, row))) {
        let owner = text(claim, "owner");
        if owners.remove(email) != Some(owner) {
            findings
                .push(Finding::new(owner, format!("{email} is kept for {owner}, which does not have it")));
        }
    }
    findings.extend(owners.into_iter().map(|(email, key)| {
        Finding::new(key, format!("{email}, the address of {key}, is not kept from others"))
    }));
    findings
}

/// Who has gone has no session, and no order that is still open; their orders name no address.
pub(super) fn deleted_are_gone(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for user in deleted(evidence) {
        if let Some(sessions) = evidence.row("users", &format!("sessions#{user}")) {
            let found = format!("user {user} is gone and has sessions: {}", sessions["user_id"]);
            findings.push(Finding::new(user, found));
        }
    }
    let gone: Vec<&str> = deleted(evidence).collect();
    for (key, order) in
        evidence.entities("orders").filter(|(_, order)| gone.contains(&text(order, "user_id")))
    {
        let is_open = ["PENDING", "CONFIRMED"].contains(&text(order, "status"));
        if is_open || order.get("shipping_address").is_some() {
            findings.push(Finding::new(key, format!("whose customer is gone: {order}")));
        }
    }
    findings
}

/// The ids of accounts that are gone.
pub(super) fn deleted<'e>(evidence: &'e Evidence<'_>) -> impl Iterator<Item = &'e str> {
    let users = evidence.histories("users").filter(|(key, _)| is_id(key));
    users.filter(|(_, changes)| changes.last().is_some_and(|last| last.after.is_none())).map(|(key, _)| key)
}
