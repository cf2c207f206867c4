use super::{Evidence, Finding, lines, text};

const PREFIX: &str = "reservation#";

/// Live orders have their units, with the prices that they show; what was given up has given back what it had; what could
/// not be supplied has taken nothing. No reservation is without an order.
pub(super) fn fit_their_orders(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (key, order) in evidence.entities("orders") {
        let reservation = evidence.row("products", &format!("{PREFIX}{key}"));
        let state = reservation.map_or("none", |reservation| text(reservation, "state"));
        let (status, reason) = (text(order, "status"), text(order, "reason"));
        let fits = match status {
            "CONFIRMED" | "SHIPPED" | "DELIVERED" => {
                // In the sequence of the order, each with its price.
                state == "RESERVED"
                    && reservation.is_some_and(|kept| same_lines(&kept["lines"], &order["items"]))
            }
            // Whoever gives an order up may not know yet that there was nothing to have.
            "CANCELLED" => ["RELEASED", "REJECTED"].contains(&state),
            "REJECTED" if reason == "timed_out" => ["RELEASED", "REJECTED"].contains(&state),
            "REJECTED" => state == "REJECTED",
            _ => true,
        };
        if !fits {
            let found = format!("order {key} is {status} ({reason}), its reservation {reservation:?}");
            findings.push(Finding::new(key, found));
        }
    }
    let reservations = evidence.tables.get("products").into_iter().flatten();
    for order in reservations.filter_map(|(key, _)| key.strip_prefix(PREFIX)) {
        if evidence.row("orders", order).is_none() {
            findings
                .push(Finding::new(order, format!("there is a reservation for {order}, which is no order")));
        }
    }
    findings
}

/// A reservation is written once as what was decided, changes at most from RESERVED to RELEASED, and stays.
pub(super) fn happen_once(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (key, changes) in evidence.histories("products") {
        let Some(order) = key.strip_prefix(PREFIX) else { continue };
        let states: Vec<&str> = changes.iter().map(|change| change.text("state")).collect();
        let is_path = matches!(
            states.as_slice(),
            ["RESERVED"] | ["REJECTED"] | ["RELEASED"] | ["RESERVED", "RELEASED"]
        );
        // What is given back is what was taken.
        let kept = changes.windows(2).all(|pair| {
            let lines =
                |change: &crate::recorder::Change| change.after.as_ref().map(|row| lines(row, "lines"));
            lines(pair[0]) == lines(pair[1])
        });
        if !is_path || !kept {
            findings.push(Finding::new(order, format!("the reservation of order {order} was {states:?}")));
        }
    }
    findings
}

/// Whether two lists have the same lines, in whichever sequence.
fn same_lines(one: &serde_json::Value, other: &serde_json::Value) -> bool {
    let sorted = |lines: &serde_json::Value| {
        let mut lines: Vec<String> =
            lines.as_array().into_iter().flatten().map(ToString::to_string).collect();
        lines.sort();
        lines
    };
    sorted(one) == sorted(other)
}
