use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{Market, client::Client};

/// After this long without an end something is stuck.
const PATIENCE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(100);

/// The queue whose messages wait for the deadline of their order, whatever the load is.
const DEADLINES: &str = "order-deadlines";
/// Of a queue, what nobody has handled yet. What is delayed is only on the queue of deadlines.
const WAITING: [&str; 2] = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];

/// Waits until all queues are empty and every order was decided; answers how long that took.
pub(super) fn drain(market: &Market) -> Result<f64> {
    let (mut cloud, mut shop) = (Client::new(&market.cloud), Client::new(&market.shop));
    let start = Instant::now();
    loop {
        let waiting: u64 =
            queues(&mut cloud, |name| !name.ends_with("-dlq") && !name.ends_with(DEADLINES))?.values().sum();
        let pending = if waiting == 0 { pending(&mut shop, market)? } else { true };
        if waiting == 0 && !pending {
            return Ok(start.elapsed().as_secs_f64());
        }
        ensure!(!crate::interrupted(), "interrupted");
        if start.elapsed() > PATIENCE {
            bail!("after {} s {waiting} messages wait, and orders are pending", PATIENCE.as_secs());
        }
        thread::sleep(POLL);
    }
}

/// How many messages lie in dead-letter queues, by the name of the queue.
pub(super) fn dead_letters(market: &Market) -> Result<BTreeMap<String, u64>> {
    let mut dead = queues(&mut Client::new(&market.cloud), |name| name.ends_with("-dlq"))?;
    dead.retain(|_, messages| *messages > 0);
    Ok(dead)
}

fn queues(cloud: &mut Client, wanted: impl Fn(&str) -> bool) -> Result<BTreeMap<String, u64>> {
    let list = cloud.sqs("ListQueues", &json!({}))?;
    let urls = list["QueueUrls"].as_array().context("the cloud has no queues")?;
    let mut messages = BTreeMap::new();
    for url in urls.iter().filter_map(Value::as_str) {
        let name = url.rsplit('/').next().unwrap_or_default();
        if wanted(name) {
            let question = json!({ "QueueUrl": url, "AttributeNames": WAITING });
            let attributes = &cloud.sqs("GetQueueAttributes", &question)?["Attributes"];
            let count = |name: &&str| attributes[*name].as_str().and_then(|text| text.parse::<u64>().ok());
            messages.insert(name.to_owned(), WAITING.iter().filter_map(count).sum());
        }
    }
    ensure!(!messages.is_empty(), "the cloud has none of the shop's queues");
    Ok(messages)
}

/// Whether anybody has an order that is not decided.
fn pending(shop: &mut Client, market: &Market) -> Result<bool> {
    for customer in &market.customers {
        // A page without orders is not the last one: there may be orders in that status behind others.
        let mut path = "/api/orders?status=PENDING&limit=100".to_owned();
        loop {
            let page = shop.send("GET", &path, customer, "")?.expect(200)?;
            if !page["items"].as_array().context("a page without items")?.is_empty() {
                return Ok(true);
            }
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/api/orders?status=PENDING&limit=100&cursor={cursor}");
        }
    }
    Ok(false)
}
