use std::sync::Arc;

use anyhow::Result;
use operations::reports::{Rebuild, Reports};
use tokio::{runtime::Handle, sync::watch, task::spawn_blocking};

use crate::{plan::Kind, schedule::Schedule, world::World};

/// Makes the reports anew, as an operator does, beside the traffic and the faults. That can fail, and must not do harm.
pub(super) async fn rebuild(world: Arc<World>, schedule: Arc<Schedule>) -> Result<Vec<String>> {
    for moment in schedule.plan.moments(Kind::Rebuild) {
        if !schedule.reaches(moment).await {
            break;
        }
        let (is_over, stop) = watch::channel(false);
        let (world, at) = (Arc::clone(&world), Handle::current());
        // It is made for a thread of its own.
        let mut rebuild = spawn_blocking(move || {
            at.block_on(async {
                let reports = Reports::find(&world.config, &world.environment).await?;
                // One that was given up may not have been able to say so.
                let rebuild = Rebuild { by: "chaos", restart: true, stop, progress: &|_| {} };
                reports.rebuild(&rebuild).await
            })
        });
        let outcome = tokio::select! {
            outcome = &mut rebuild => outcome,
            _ = schedule.reaches(schedule.plan.duration) => {
                is_over.send_replace(true);
                rebuild.await
            }
        };
        let outcome = match outcome? {
            Ok(Some(_)) => "done".to_owned(),
            Ok(None) => "stopped with the run".to_owned(),
            Err(error) => {
                schedule.ledger.write(&format!("the reports were not made anew: {error:#}"));
                "given up".to_owned()
            }
        };
        schedule.ledger.injected(Kind::Rebuild, &outcome);
    }
    Ok(Vec::new())
}
