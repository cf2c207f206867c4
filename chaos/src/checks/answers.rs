use serde_json::Value;

use super::{Evidence, Finding, text};
use crate::{
    journal::{Deed, What},
    recorder::Change,
};

/// Whatever was answered with 5xx, or not at all, is answered in the end.
pub(super) fn failures_are_cured(evidence: &Evidence<'_>) -> Vec<Finding> {
    let uncured = |deed: &&Deed| deed.attempts.last().is_none_or(|last| last.outcome.is_unknown());
    let found = |deed: &Deed| {
        let last = deed.attempts.last().map(|attempt| attempt.outcome.to_string()).unwrap_or_default();
        Finding::new(
            entity(deed),
            format!("deed {}, {:?}, after {} tries: {last}", deed.number, deed.what, deed.attempts.len()),
        )
    };
    evidence.deeds.iter().filter(uncured).map(found).collect()
}

/// What can't be answered now is said to be so: by a service as a problem, or for a service that is gone.
pub(super) fn failures_are_problems(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (deed, status, body) in evidence.answers().filter(|(_, status, _)| *status >= 500) {
        let is_problem = body["status"] == status && body["title"].is_string() && body["type"].is_string();
        let of_gateway = body["message"].is_string();
        if !is_problem && !of_gateway {
            let found = format!("deed {}, {:?}, was answered {status} {body}", deed.number, deed.what);
            findings.push(Finding::new(entity(deed), found));
        }
    }
    findings
}

/// No shopper was given a wrong answer.
pub(super) fn are_as_promised(evidence: &Evidence<'_>) -> Vec<Finding> {
    let complaint = |deed: &Deed, complaint: &String| {
        Finding::new(entity(deed), format!("deed {}, {:?}: {complaint}", deed.number, deed.what))
    };
    let of_deed = |deed| move |text| complaint(deed, text);
    evidence.deeds.iter().flat_map(|deed| deed.complaints.iter().map(of_deed(deed))).collect()
}

/// An order, product or user in an answer is one that was written: a version of the row has all that the answer says.
pub(super) fn are_what_was_written(evidence: &Evidence<'_>) -> Vec<Finding> {
    const ENTITIES: [(&str, &str, &[&str]); 3] = [
        (
            "orders",
            "order_id",
            &["user_id", "status", "items", "total", "reason", "history", "created_at", "updated_at"],
        ),
        ("products", "product_id", &["name", "category", "price", "stock", "created_at", "updated_at"]),
        ("users", "user_id", &["email", "name", "role", "created_at", "updated_at"]),
    ];
    let mut findings = Vec::new();
    for (deed, status, body) in
        evidence.answers().filter(|(_, status, body)| *status < 300 && body["version"].is_i64())
    {
        let Some((table, key, members)) = ENTITIES.into_iter().find(|(_, key, _)| body[key].is_string())
        else {
            continue;
        };
        let id = text(body, key);
        let says_so = |change: &&Change| {
            change.after.as_ref().is_some_and(|row| {
                row["version"] == body["version"] && members.iter().all(|member| row[member] == body[member])
            })
        };
        if !evidence.history(table, id).iter().any(says_so) {
            let found =
                format!("deed {} was answered {status} and {body}, which was never in {table}", deed.number);
            findings.push(Finding::new(id, found));
        }
    }
    findings
}

/// What was answered with success stays so: what is cancelled is CANCELLED, what is shipped is SHIPPED or DELIVERED, what
/// is delivered is DELIVERED, a product that was deleted is gone, who registered is there until they go, and who has gone is gone. What could not be cancelled
/// was at an end or on its way.
pub(super) fn came_true(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (deed, status, body) in evidence.answers() {
        let is = |order_id: &str, statuses: &[&str]| {
            let order = evidence.row("orders", order_id);
            order.is_some_and(|order| statuses.contains(&text(order, "status")))
        };
        let came_true = match (&deed.what, status) {
            (What::Cancel { order_id }, 200) => is(order_id, &["CANCELLED"]),
            (What::Cancel { order_id }, 409) => is(order_id, &["REJECTED", "SHIPPED", "DELIVERED"]),
            (What::Ship { order_id }, 200) => is(order_id, &["SHIPPED", "DELIVERED"]),
            (What::Deliver { order_id }, 200) => is(order_id, &["DELIVERED"]),
            (What::CreateProduct { stock }, 201) => {
                let first = evidence.history("products", text(body, "product_id")).first().copied();
                first.and_then(|first| first.after.as_ref()).is_some_and(|row| row["stock"] == *stock)
            }
            // 404 at the end: an earlier try had done it.
            (What::DeleteProduct { product_id }, 204 | 404) if deed.status() == Some(status) => {
                evidence.row("products", product_id).is_none()
            }
            (What::Register { .. }, 201) => {
                let user = text(body, "user_id");
                evidence.row("users", user).is_some() || was_asked_to_go(evidence, user)
            }
            // 401 at the end: the account was gone when it was asked for again.
            (What::DeleteAccount { user_id, .. }, 204 | 401) if deed.status() == Some(status) => {
                evidence.row("users", user_id).is_none()
            }
            _ => true,
        };
        if !came_true {
            let found = format!("deed {}, {:?}, was answered {status}", deed.number, deed.what);
            findings.push(Finding::new(entity(deed), found));
        }
    }
    findings
}

fn was_asked_to_go(evidence: &Evidence<'_>, user: &str) -> bool {
    let asked = |deed: &Deed| matches!(&deed.what, What::DeleteAccount { user_id, .. } if user_id == user);
    evidence.deeds.iter().any(asked)
}

/// Of what a deed's story is told.
fn entity(deed: &Deed) -> String {
    let body = |name: &str| {
        deed.body().map_or(&Value::Null, |body| &body[name]).as_str().unwrap_or_default().to_owned()
    };
    match &deed.what {
        What::Cancel { order_id }
        | What::Ship { order_id }
        | What::Deliver { order_id }
        | What::ReadOrder { order_id } => order_id.clone(),
        What::ReadProduct { product_id }
        | What::ChangeStock { product_id, .. }
        | What::EditProduct { product_id }
        | What::DeleteProduct { product_id } => product_id.clone(),
        What::Place { key, .. } => {
            Some(body("order_id")).filter(|id| !id.is_empty()).unwrap_or_else(|| key.clone())
        }
        What::DeleteAccount { user_id, .. } | What::MakeAdmin { user_id } => user_id.clone(),
        What::Register { email, .. } | What::LogIn { email } => email.clone(),
        What::CreateProduct { .. } => body("product_id"),
        What::ReadReport { path } => path.clone(),
        What::Refresh | What::Browse | What::ListOrders => String::new(),
    }
}
