/// Accounts, and what is left of deleted ones.
mod accounts;
/// What shoppers were told.
mod answers;
/// What is read through the cache.
mod cached;
/// What ended in dead-letter queues.
mod dead_letters;
/// What the topics were told of changes.
mod events;
/// Orders and their way from placed to delivered.
mod orders;
/// What people gave, after they are gone.
mod personal_data;
/// Whether what was recorded is all there was.
mod recording;
/// What admins are told of orders and sales.
mod report_answers;
/// What is reported of orders and products.
mod reports;
/// The stock of orders.
mod reservations;
/// Units of products.
mod stock;

/// A small shop in which all is well, for each check to find what a test then breaks.
#[cfg(test)]
mod scene;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use operations::reports::{Difference, Verify};
use serde_json::{Value, json};

use crate::{
    announcements::is_id,
    drain::{self, Drained, Message},
    journal::{Deed, Outcome},
    ledger::{Fault, Ledger, Outage},
    operator::Operator,
    recorder::{Change, Recording, Rows, TABLES, row},
    stores::{Entry, ReportRows, Stores},
    story::{self, LogLine},
    visit::{Reports, Visit},
    world::World,
};

/// How many of the violations of one promise are told with their story; of the rest, there are enough.
const STORIES: usize = 3;

/// How often it is looked whether the shop shows what is, while that may still be kept from it by what the cache has.
const LOOK: Duration = Duration::from_millis(500);

/// How long what differs may differ when it is compared.
const SETTLE: Duration = Duration::from_secs(5);

/// What product-service logs when it goes on without the cache for a while.
const CACHE_FAILED: &str = "the cache failed";

/// What the checks found.
pub(crate) struct Findings {
    /// What was looked at, with its number: `("orders", 412)`.
    pub(crate) checked: Vec<(&'static str, usize)>,
    /// Promises that were not kept.
    pub(crate) violations: Vec<Violation>,
}

/// A promise that was not kept.
pub(crate) struct Violation {
    /// The promise.
    pub(crate) promise: &'static str,
    /// What was found instead.
    pub(crate) found: String,
    /// The story of the entity that shows it.
    pub(crate) story: String,
}

/// A promise, and what finds where it was not kept.
type Check = (&'static str, fn(&Evidence<'_>) -> Vec<Finding>);

/// All promises; causes before what follows from them.
const CHECKS: &[Check] = &[
    ("everything comes to an end once nothing fails any more", everything_ends),
    ("every row is as its last recorded change left it", recording::tables_are_as_recorded),
    ("the versions of a row have no gap", recording::versions_have_no_gap),
    ("every order has exactly one reservation, which fits its status", reservations::fit_their_orders),
    ("a reservation is made once, and released once where the order was given up", reservations::happen_once),
    ("stock is never negative, at any version", stock::is_never_negative),
    ("stock = initial + changes - units of live orders", stock::adds_up),
    ("a change of stock that was answered happened once, and any other at most once", stock::changes_once),
    ("every order that was answered with 201 is there, as it was asked for", orders::accepted_are_there),
    ("there is no order without a request that explains it", orders::are_explained),
    ("the same key always means the same order", orders::keys_are_kept),
    ("every order is at its end, or CONFIRMED, or SHIPPED", orders::are_settled),
    ("the history of an order is a path of the saga", orders::follow_the_saga),
    ("every change that is an event is published, as one event", events::every_change_is_published),
    ("every event that is published is a change", events::nothing_else_is_published),
    ("an entity's events are published in the order of its versions", events::are_in_order),
    ("every failure is cured by repeating the request", answers::failures_are_cured),
    ("what is not answered now is answered as a problem", answers::failures_are_problems),
    ("answers are as the API promises", answers::are_as_promised),
    ("what is answered is what was written", answers::are_what_was_written),
    ("what somebody was told has happened", answers::came_true),
    ("an account has its address alone, and every address its account", accounts::addresses_are_unique),
    ("of a deleted account no session and no open order is left", accounts::deleted_are_gone),
    ("dead-letter queues hold the poison that was sent, and nothing else", dead_letters::hold_the_poison),
    ("while Redis answers, no read shows less than what was answered before", cached::reads_are_current),
    ("whatever Redis does, no read is older than an entry of the cache gets", cached::reads_are_bounded),
    ("every entry of the cache is this environment's and expires in time", cached::entries_expire),
    ("in the end each product is shown as it is", cached::products_are_shown),
    ("in the end each list is shown as it is", cached::lists_are_shown),
    ("every order is reported as its last event left it", reports::orders_are_reported),
    ("every line of an order is reported", reports::lines_are_reported),
    ("every product is reported under its name", reports::products_are_reported),
    ("the totals of the reports are those of the orders", reports::totals_are_reported),
    ("the API reports as many orders and sales as there are", report_answers::are_right),
    ("`report verify` finds no difference", reports::verification_is_clean),
    ("no report knows a customer who is gone", reports::erased_are_gone),
    ("personal data of deleted accounts is nowhere, and never in an event", personal_data::is_gone),
];

/// All that is known when everything is over.
pub(crate) struct Evidence<'a> {
    pub(crate) environment: &'a str,
    pub(crate) deeds: &'a [Deed],
    pub(crate) faults: Vec<Fault>,
    /// When Redis or PostgreSQL did not work.
    pub(crate) outages: Vec<Outage>,
    pub(crate) recording: &'a Recording,
    pub(crate) drained: &'a Drained,
    pub(crate) poison: &'a [String],
    /// Every row's changes, by table and key.
    rows: Rows<'a>,
    /// What is in the tables at the end, by table and key.
    tables: BTreeMap<&'static str, BTreeMap<String, Value>>,
    /// What is in the queues at the end.
    messages: Vec<Message>,
    /// What the functions logged.
    log: Vec<LogLine>,
    /// What is in PostgreSQL at the end.
    report: ReportRows,
    /// What is in Redis at the end.
    cache: Vec<Entry>,
    /// What the API shows at the end.
    visit: Visit,
    /// What the API reports at the end.
    reports: Reports,
    /// What an operator's comparison of the reports with the tables finds.
    verified: Vec<String>,
}

/// Something that should not be, and whose it is.
#[derive(Debug)]
struct Finding {
    /// Of what the story is told: an id.
    entity: String,
    found: String,
}

/// Checks all promises. `poison` are the ids of the unreadable messages that were sent.
pub(crate) async fn check(
    world: &World,
    stores: &Arc<Stores>,
    deeds: &[Deed],
    ledger: &Ledger,
    recording: &Recording,
    drained: &Drained,
    poison: &[String],
) -> Result<Findings> {
    let operator = Operator::new(&world.cloud);
    let mut tables = BTreeMap::new();
    for table in TABLES {
        tables.insert(table, rows_of(&operator, &world.table(table)).await?);
    }
    let kept = Arc::clone(stores);
    let (report, cache) =
        tokio::task::spawn_blocking(move || anyhow::Ok((kept.rows()?, kept.entries()?))).await??;
    let mut evidence = Evidence {
        environment: &world.environment,
        deeds,
        faults: ledger.faults(),
        outages: ledger.outages(),
        recording,
        drained,
        poison,
        rows: recording.rows(),
        tables,
        messages: drain::messages(&operator).await?,
        log: story::log(&operator).await?,
        report,
        cache,
        visit: Visit::default(),
        reports: Reports::read(world).await?,
        verified: verify(world).await?,
    };
    evidence.visit(world).await?;
    Ok(evidence.judge())
}

/// Compares the reports with the tables as an operator does.
async fn verify(world: &World) -> Result<Vec<String>> {
    let reports = operations::reports::Reports::find(&world.config, &world.environment).await?;
    let found = reports.verify(&Verify { settle: SETTLE, progress: &|_| {} }).await?;
    let differences =
        found.differences.iter().map(|Difference { kind, id, says }| format!("{kind} {id}: {says}"));
    Ok(differences.chain(found.unreadable).collect())
}

/// Everything that is in a table, by key.
async fn rows_of(operator: &Operator, table: &str) -> Result<BTreeMap<String, Value>> {
    let key = if table.ends_with("users") {
        "user_id"
    } else if table.ends_with("products") {
        "product_id"
    } else {
        "order_id"
    };
    let (mut rows, mut input) = (BTreeMap::new(), json!({ "TableName": table, "ConsistentRead": true }));
    loop {
        let page = operator.json("dynamodb", "DynamoDB_20120810.Scan", &input).await?;
        for item in page["Items"].as_array().into_iter().flatten() {
            let row = row(item);
            rows.insert(row[key].as_str().unwrap_or_default().to_owned(), row);
        }
        match page.get("LastEvaluatedKey") {
            Some(last) => input["ExclusiveStartKey"] = last.clone(),
            None => return Ok(rows),
        }
    }
}

impl Evidence<'_> {
    /// Looks at the shop, again and again for as long as the cache may show what was.
    async fn visit(&mut self, world: &World) -> Result<()> {
        let began = Instant::now();
        loop {
            let products: Vec<&str> =
                self.histories("products").map(|(key, _)| key).filter(|key| is_id(key)).collect();
            let categories: BTreeSet<&str> =
                self.entities("products").map(|(_, row)| text(row, "category")).collect();
            self.visit = Visit::pay(world, &products, &categories).await?;
            let is_current =
                cached::products_are_shown(self).is_empty() && cached::lists_are_shown(self).is_empty();
            if is_current || began.elapsed() > cached::OLDEST {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn judge(&self) -> Findings {
        let mut violations = Vec::new();
        for (promise, check) in CHECKS {
            for (index, finding) in check(self).into_iter().enumerate() {
                let story = if index < STORIES { self.story(&finding.entity) } else { String::new() };
                violations.push(Violation { promise, found: finding.found, story });
            }
        }
        Findings { checked: self.checked(), violations }
    }

    fn checked(&self) -> Vec<(&'static str, usize)> {
        let attempts = self.deeds.iter().map(|deed| deed.attempts.len()).sum();
        let (current, bounded) = cached::counts(self);
        vec![
            ("promises", CHECKS.len()),
            ("requests", attempts),
            ("users", self.entities("users").count()),
            ("products", self.entities("products").count()),
            ("orders", self.entities("orders").count()),
            ("versions of rows", self.recording.changes.len()),
            ("publications", self.recording.events.len()),
            ("reads that had to be current", current),
            ("reads while Redis failed", bounded),
            ("failures of the cache that functions saw", cached::failures(self).count()),
            ("entries of the cache", self.cache.len()),
            ("rows of reports", self.report.values().map(Vec::len).sum()),
            ("dead letters", self.drained.dead_letters.len()),
            ("log lines", self.log.len()),
        ]
    }

    /// The rows of a table that are users, products or orders, as they are at the end.
    fn entities(&self, table: &str) -> impl Iterator<Item = (&str, &Value)> {
        let rows = self.tables.get(table).into_iter().flatten();
        rows.filter(|(key, _)| is_id(key)).map(|(key, row)| (key.as_str(), row))
    }

    /// A row as it is at the end.
    fn row(&self, table: &str, key: &str) -> Option<&Value> {
        self.tables.get(table)?.get(key)
    }

    /// The changes of the rows of a table, with their keys.
    fn histories(&self, table: &str) -> impl Iterator<Item = (&str, &[&Change])> {
        let rows = self.rows.get(table).into_iter().flatten();
        rows.map(|(key, changes)| (*key, changes.as_slice()))
    }

    /// The changes of a row.
    fn history(&self, table: &str, key: &str) -> &[&Change] {
        self.rows.get(table).and_then(|rows| rows.get(key)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Every body that somebody was answered, with its status.
    fn answers(&self) -> impl Iterator<Item = (&Deed, u16, &Value)> {
        self.deeds.iter().flat_map(|deed| answers_to(deed).map(move |(status, body)| (deed, status, body)))
    }

    fn story(&self, entity: &str) -> String {
        story::tell(
            entity,
            self.deeds,
            &self.faults,
            &self.outages,
            self.recording,
            &self.messages,
            &self.log,
        )
    }
}

impl Finding {
    fn new(entity: impl Into<String>, found: impl Into<String>) -> Self {
        Self { entity: entity.into(), found: found.into() }
    }
}

/// The drain left nothing behind.
fn everything_ends(evidence: &Evidence<'_>) -> Vec<Finding> {
    evidence.drained.stuck.iter().map(|stuck| Finding::new(stuck_entity(stuck, evidence), stuck)).collect()
}

/// An order that shows it, if that is what is stuck.
fn stuck_entity(stuck: &str, evidence: &Evidence<'_>) -> String {
    let pending = || evidence.entities("orders").find(|(_, order)| order["status"] == "PENDING");
    let order = stuck.contains("PENDING").then(pending).flatten();
    order.map(|(id, _)| id.to_owned()).unwrap_or_default()
}

/// The answers to all tries of a deed.
fn answers_to(deed: &Deed) -> impl Iterator<Item = (u16, &Value)> {
    deed.attempts.iter().filter_map(|attempt| match &attempt.outcome {
        Outcome::Answer { status, body, .. } => Some((*status, body)),
        Outcome::NoAnswer(_) => None,
    })
}

/// A text of a row.
fn text<'v>(row: &'v Value, name: &str) -> &'v str {
    row[name].as_str().unwrap_or_default()
}

/// A number of a row.
fn number(row: &Value, name: &str) -> i64 {
    row[name].as_i64().unwrap_or_default()
}

/// Which products are on an order's or a reservation's lines, and how many units of each.
fn lines(row: &Value, name: &str) -> Vec<(String, i64)> {
    let lines = row[name].as_array().into_iter().flatten();
    lines.map(|line| (text(line, "product_id").to_owned(), number(line, "quantity"))).collect()
}
