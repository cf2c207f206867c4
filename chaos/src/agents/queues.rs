use anyhow::{Context, Result};
use aws_sdk_sqs::types::QueueAttributeName;

use crate::world::World;

/// For how long a queue hides a message that a function has, which is also how long it is away after the function was
/// killed. A deployed queue waits for minutes, more than a short run has.
const VISIBILITY_SECONDS: &str = "10";

/// Shortens the visibility timeouts of the queues that lead to functions.
pub(crate) async fn hurry(world: &World) -> Result<()> {
    let prefix = format!("{}-", world.environment);
    let queues = world.sqs.list_queues().queue_name_prefix(prefix).send().await;
    let queues = queues.context("the queues can't be listed")?;
    for queue in queues.queue_urls().iter().filter(|queue| !queue.ends_with("-dlq")) {
        let request = world.sqs.set_queue_attributes().queue_url(queue);
        let request = request.attributes(QueueAttributeName::VisibilityTimeout, VISIBILITY_SECONDS);
        request.send().await.with_context(|| format!("{queue} can't be set"))?;
    }
    Ok(())
}
