use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::json;
use uuid::Uuid;

use crate::{plan::Kind, schedule::Schedule, world::World};

/// The queues that lead to a function.
const QUEUES: [&str; 7] = [
    "stock-requests",
    "order-processing",
    "user-events",
    "order-deadlines",
    "avatar-uploads",
    "image-uploads",
    "report-events",
];

/// Sends messages that nobody can read, each of which has to end in its dead-letter queue; gives their ids.
pub(super) async fn send(world: Arc<World>, schedule: Arc<Schedule>) -> Result<Vec<String>> {
    let mut sent = Vec::new();
    for (n, moment) in schedule.plan.moments(Kind::Poison).into_iter().enumerate() {
        if !schedule.reaches(moment).await {
            break;
        }
        let queue = QUEUES[n % QUEUES.len()];
        let id = Uuid::now_v7().to_string();
        let (what, body) = message(queue, &id, schedule.draw(Kind::Poison, "form"));
        let address = world.queue_url(queue).await?;
        let request = world.sqs.send_message().queue_url(address).message_body(body);
        request.send().await.with_context(|| format!("no poison can be sent to {queue}"))?;
        schedule.ledger.injected(Kind::Poison, &format!("{queue}: {what}"));
        schedule.ledger.write(&format!("that poison was {id}"));
        sent.push(id);
    }
    Ok(sent)
}

/// One of the ways in which a message can be unreadable.
///
/// What `user-events` is asked for is `user_deleted` alone: everything else, and what is no JSON, the mapping's filter
/// takes out of the queue before a function sees it.
fn message(queue: &str, id: &str, form: f64) -> (&'static str, String) {
    let filtered = queue == "user-events";
    let kind = if filtered { "user_deleted" } else { "order_placed" };
    let form = if filtered { 0.5 + form / 2.0 } else { form };
    let event = |data| {
        json!({
            "specversion": "1.0",
            "id": id,
            "source": "/order-service",
            "type": kind,
            "subject": id,
            "time": "2026-01-01T00:00:00Z",
            "data": data,
            "poison": id,
        })
    };
    match form {
        0.0..0.25 => ("no JSON", format!("{{\"poison\":\"{id}\", and then it breaks off")),
        0.25..0.5 => ("no event", json!({ "poison": id, "hello": "world" }).to_string()),
        0.5..0.75 => ("an event without what it is about", event(json!({ "order_id": 7 })).to_string()),
        _ => ("an event without data", event(json!(null)).to_string()),
    }
}
