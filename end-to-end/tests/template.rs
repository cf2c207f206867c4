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
