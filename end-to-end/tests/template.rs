//! What the template says in the words of the services' code.

use domain_events::Payload;

#[test]
fn every_filter_lets_events_through_that_exist() {
    for subscription in test_support::subscriptions() {
        for event_type in &subscription.event_types {
            let known = Payload::TYPES.contains(&event_type.as_str());
            assert!(known, "{} waits for {event_type}", subscription.queue);
        }
    }
}

#[test]
fn what_reports_cost_is_counted_by_what_the_filters_let_through() {
    let subscriptions = test_support::subscriptions().into_iter();
    let heard: Vec<String> = subscriptions
        .filter(|subscription| subscription.queue == "ReportEventsQueue")
        .flat_map(|subscription| subscription.event_types)
        .collect();
    for (event_type, _) in end_to_end::bill::REPORTED {
        assert!(heard.iter().any(|heard| heard == event_type), "nobody tells report-service of {event_type}");
    }
    let of_a_delivered_order = |event_type: &str| {
        event_type.starts_with("order_") && !["order_rejected", "order_cancelled"].contains(&event_type)
    };
    let counted = |event_type: &str| end_to_end::bill::REPORTED.iter().any(|(known, _)| *known == event_type);
    for event_type in heard.iter().filter(|event_type| of_a_delivered_order(event_type)) {
        assert!(counted(event_type), "{event_type} is not counted");
    }
}
