use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    mem,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use super::{
    Progress, Reports, is_taken_over, persistently, stopped,
    tables::{OrderRow, Page, ProductRow, Row, UserRow},
};

/// Rows that a task takes.
const BATCH_ROWS: usize = 500;
/// Bytes of them. Lambda takes six times as much; a batch is one transaction, which should not take long.
const BATCH_BYTES: usize = 1_000_000;

/// How the reports are to be made anew.
pub struct Rebuild<'a> {
    /// Who does it: what somebody is told who wants to do it at the same time.
    pub by: &'a str,
    /// Whether a rebuild that is under way is abandoned for this one.
    pub restart: bool,
    /// Set to true, it abandons the rebuild.
    pub stop: watch::Receiver<bool>,
    /// Is told how far it is.
    pub progress: &'a dyn Fn(&Progress),
}

/// What is in the reports now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Rebuilt {
    /// Orders.
    pub orders: u64,
    /// Lines of orders.
    pub lines: u64,
    /// Products, also those that are gone.
    pub products: u64,
    /// Customers whose orders are nobody's, because their accounts are deleted.
    #[serde(skip)]
    pub gone: usize,
    /// Rows of the tables that can't be read, and why. They are not in the reports.
    #[serde(skip)]
    pub unreadable: Vec<String>,
}

#[derive(Deserialize)]
struct Started {
    rebuild_id: Uuid,
}

/// One rebuild, from the moment when report-service knows of it.
struct Run<'a> {
    reports: &'a Reports,
    id: Uuid,
    progress: &'a dyn Fn(&Progress),
    unreadable: RefCell<Vec<String>>,
}

impl Reports {
    /// Makes the reports anew out of the tables, beside those that are read, and then puts them in their place. `None` if it
    /// was stopped: then, and after an error, the reports are as they were.
    ///
    /// Events that arrive meanwhile are projected into both, from the moment in which the rebuild begins. So a row may be
    /// read before or after its change: the version decides, in whatever order the two arrive.
    ///
    /// Which customers are gone is known from the table of users, which is read after the orders are: whoever has placed an
    /// order that was read had an account before that, and is missing in the table only if it was deleted. An account that
    /// is opened meanwhile is therefore never taken for a deleted one; one that is deleted meanwhile is either missed there,
    /// or its event is yet to come and is projected into both.
    pub async fn rebuild(&self, rebuild: &Rebuild<'_>) -> Result<Option<Rebuilt>> {
        let Rebuild { by, restart, stop, progress } = rebuild;
        let input = json!({ "by": by, "restart": restart });
        let started: Started = self.task("rebuild/start", &input).await?;
        let run = Run {
            reports: self,
            id: started.rebuild_id,
            progress: *progress,
            unreadable: RefCell::default(),
        };
        let filled = tokio::select! {
            filled = run.fill() => filled.map(Some),
            () = stopped(stop) => Ok(None),
        };
        let outcome = match filled {
            Ok(Some(gone)) => run.swap(gone).await.map(Some),
            stopped_or_failed => stopped_or_failed.map(|_| None),
        };
        match outcome {
            Ok(Some(rebuilt)) => Ok(Some(rebuilt)),
            Ok(None) => run.abandon().await.map(|()| None),
            Err(error) if is_taken_over(&error) => {
                Err(error.context("another rebuild has taken the place of this one"))
            }
            Err(error) => {
                // Why it failed is what matters; what is left is taken over by `--restart`.
                let left =
                    run.abandon().await.err().map(|left| format!(" (and it is still under way: {left:#})"));
                Err(error.context(format!("the rebuild is abandoned{}", left.unwrap_or_default())))
            }
        }
    }
}

impl Run<'_> {
    /// Hands over all that there is; how many customers are gone.
    async fn fill(&self) -> Result<usize> {
        self.each_page("products", async |products: Vec<ProductRow>| {
            self.hand_over_rows("products", products).await
        })
        .await?;

        let customers = RefCell::new(HashSet::new());
        self.each_page("orders", async |orders: Vec<OrderRow>| {
            customers.borrow_mut().extend(orders.iter().map(|order| order.user_id));
            self.hand_over_rows("orders", orders).await
        })
        .await?;

        self.each_page("customers", async |users: Vec<UserRow>| {
            for user in users {
                customers.borrow_mut().remove(&user.user_id);
            }
            Ok(())
        })
        .await?;
        // What is erased once stays so: each of them is looked for by name once more.
        let gone: Vec<Uuid> = self.reports.tables().gone(customers.take()).await?.into_iter().collect();
        for user_ids in gone.chunks(BATCH_ROWS) {
            let _: IgnoredAny = self.hand_over("erased", json!({ "user_ids": user_ids })).await?;
        }
        Ok(gone.len())
    }

    /// Reads a table and does something with each part of it.
    async fn each_page<T: Row>(
        &self,
        step: &'static str,
        work: impl AsyncFn(Vec<T>) -> Result<()>,
    ) -> Result<()> {
        let tables = self.reports.tables();
        let (of, done) = (Some(tables.about::<T>().await?).filter(|about| *about > 0), Cell::new(0));
        let take = async |page: Page<T>| {
            self.unreadable.borrow_mut().extend(page.unreadable);
            work(page.rows).await?;
            done.set(done.get() + page.read);
            (self.progress)(&Progress { step, done: done.get(), of });
            Ok(())
        };
        tables.scan(take).await
    }

    async fn hand_over_rows<T: Serialize>(&self, kind: &str, rows: Vec<T>) -> Result<()> {
        for batch in batches(&rows)? {
            let _: IgnoredAny = self.hand_over(kind, json!({ kind: batch })).await?;
        }
        Ok(())
    }

    /// Has report-service go on with this rebuild. What it did already changes nothing the second time.
    async fn hand_over<T: for<'de> Deserialize<'de>>(&self, what: &str, mut input: Value) -> Result<T> {
        input["rebuild_id"] = json!(self.id);
        let task = format!("rebuild/{what}");
        persistently(|| self.reports.task(&task, &input)).await
    }

    async fn swap(&self, gone: usize) -> Result<Rebuilt> {
        let rebuilt: Rebuilt = self.hand_over("swap", json!({})).await?;
        Ok(Rebuilt { gone, unreadable: self.unreadable.take(), ..rebuilt })
    }

    async fn abandon(&self) -> Result<()> {
        let input = json!({ "rebuild_id": self.id });
        let abandoned: Result<IgnoredAny> = self.reports.task("rebuild/abandon", &input).await;
        abandoned.map(drop).context("the rebuild could not be abandoned: begin the next one with --restart")
    }
}

/// Rows in as few batches as a task takes, in their order.
fn batches<T: Serialize>(rows: &[T]) -> Result<Vec<Vec<Value>>> {
    let (mut batches, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    for row in rows {
        let row = serde_json::to_value(row)?;
        let size = row.to_string().len();
        if batch.len() == BATCH_ROWS || (bytes + size > BATCH_BYTES && !batch.is_empty()) {
            batches.push(mem::take(&mut batch));
            bytes = 0;
        }
        bytes += size;
        batch.push(row);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    Ok(batches)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(rows: &[String]) -> Vec<usize> {
        batches(rows).unwrap().iter().map(Vec::len).collect()
    }

    #[test]
    fn a_batch_has_no_more_rows_and_bytes_than_a_task_takes() {
        let rows = |number: usize, bytes: usize| vec!["x".repeat(bytes - 2); number];
        assert_eq!(sizes(&[]), [] as [usize; 0]);
        assert_eq!(sizes(&rows(500, 10)), [500]);
        assert_eq!(sizes(&rows(1001, 10)), [500, 500, 1]);
        assert_eq!(sizes(&rows(5, 400_000)), [2, 2, 1]);
        // What is larger by itself goes alone.
        assert_eq!(sizes(&rows(2, 2_000_000)), [1, 1]);
    }

    #[test]
    fn batches_are_all_of_the_rows_in_their_order() {
        let rows: Vec<String> = (0..1234).map(|row| row.to_string()).collect();
        let again: Vec<Value> = batches(&rows).unwrap().concat();
        assert_eq!(again, rows.iter().map(|row| json!(row)).collect::<Vec<_>>());
    }
}
