use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Progress, Reports,
    comparison::{Difference, Entry, Order, Pair, Product, Totals},
    persistently,
    tables::{OrderRow, Page, ProductRow, Row, Tables, UserRow},
};

/// Rows that report-service is asked for at once.
const PAGE: usize = 2000;
/// Rows that it is asked for by their ids at once.
const IDS: usize = 500;
/// From one look at what differs to the next.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

/// How the reports are to be compared with the tables.
pub struct Verify<'a> {
    /// What differs and has not changed for so long, on either side, is a difference and not under way.
    pub settle: Duration,
    /// Is told how far it is.
    pub progress: &'a dyn Fn(&Progress),
}

/// How the reports compare with the tables.
#[derive(Debug, Clone, Default)]
pub struct Verification {
    /// The table's orders.
    pub table: Totals,
    /// The reports' orders.
    pub report: Totals,
    /// Products of the table and of the reports, those that are deleted left out.
    pub products: (u64, u64),
    /// What they do not agree about.
    pub differences: Vec<Difference>,
    /// Rows of the tables that can't be read, and why. They were not compared.
    pub unreadable: Vec<String>,
}

impl Verification {
    /// Whether the reports are as the tables are.
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty() && self.unreadable.is_empty()
    }
}

/// What is compared: rows of a table with what report-service has of them.
trait Kind: Entry + DeserializeOwned + From<Self::Row> {
    type Row: Row;
    /// What report-service calls it.
    const NAME: &'static str;
    const STEPS: [&'static str; 3];

    /// Leaves out what the reports must not have. `all` says that these are all of the table's rows.
    async fn forget(tables: &Tables<'_>, rows: &mut HashMap<Uuid, Self>, all: bool) -> Result<()>;
}

impl Kind for Order {
    type Row = OrderRow;
    const NAME: &'static str = "order";
    const STEPS: [&'static str; 3] =
        ["orders of the table", "orders of the reports", "orders that differ, once more"];

    async fn forget(tables: &Tables<'_>, rows: &mut HashMap<Uuid, Self>, all: bool) -> Result<()> {
        let mut customers: HashSet<Uuid> = rows.values().filter_map(|order| order.user_id).collect();
        if all {
            // Cheaper than to ask for each of them; those that are left are asked for all the same.
            let left = RefCell::new(customers);
            let take = async |page: Page<UserRow>| {
                for user in page.rows {
                    left.borrow_mut().remove(&user.user_id);
                }
                Ok(())
            };
            tables.scan(take).await?;
            customers = left.into_inner();
        }
        let gone = tables.gone(customers).await?;
        for order in rows.values_mut() {
            order.user_id = order.user_id.filter(|user| !gone.contains(user));
        }
        Ok(())
    }
}

impl Kind for Product {
    type Row = ProductRow;
    const NAME: &'static str = "product";
    const STEPS: [&'static str; 3] =
        ["products of the table", "products of the reports", "products that differ, once more"];

    async fn forget(_: &Tables<'_>, _: &mut HashMap<Uuid, Self>, _: bool) -> Result<()> {
        Ok(())
    }
}

impl Reports {
    /// Compares the reports with the tables of orders and products. What differs is looked at again until both sides agree,
    /// or have not changed for the time that [`Verify::settle`] says.
    pub async fn verify(&self, verify: &Verify<'_>) -> Result<Verification> {
        let mut found = Verification::default();
        let products = &mut found.products;
        let count = |pair: &Pair<Product>| {
            products.0 += u64::from(pair.table.is_some());
            products.1 += u64::from(pair.report.as_ref().is_some_and(|product| !product.may_be_alone()));
        };
        let (mut differences, mut unreadable) = self.compare(verify, count).await?;
        let (table, report) = (&mut found.table, &mut found.report);
        let count = |pair: &Pair<Order>| {
            pair.table.iter().for_each(|order| table.add(order));
            pair.report.iter().for_each(|order| report.add(order));
        };
        let of_orders = self.compare(verify, count).await?;
        differences.extend(of_orders.0);
        unreadable.extend(of_orders.1);
        differences.sort();
        Ok(Verification { differences, unreadable, ..found })
    }

    /// Compares everything of one kind; how it differs, and what of the table can't be read. Each pair is counted as it is in
    /// the end.
    async fn compare<T: Kind>(
        &self,
        verify: &Verify<'_>,
        mut count: impl FnMut(&Pair<T>),
    ) -> Result<(Vec<Difference>, Vec<String>)> {
        let [of_table, of_report, again] = T::STEPS;
        let tables = self.tables();
        let of = Some(tables.about::<T::Row>().await?).filter(|about| *about > 0);
        let (rows, unreadable, read) = (RefCell::new(HashMap::new()), RefCell::new(Vec::new()), Cell::new(0));
        let take = async |page: Page<T::Row>| {
            read.set(read.get() + page.read);
            (verify.progress)(&Progress { step: of_table, done: read.get(), of });
            rows.borrow_mut().extend(page.rows.into_iter().map(T::from).map(|row| (row.id(), row)));
            unreadable.borrow_mut().extend(page.unreadable);
            Ok(())
        };
        tables.scan(take).await?;
        let mut rows = rows.into_inner();
        T::forget(&tables, &mut rows, true).await?;

        let mut suspects = Vec::new();
        let mut sort = |pair: Pair<T>| match pair.difference() {
            None => count(&pair),
            Some(_) => suspects.push(pair),
        };
        let of = Some(rows.len() as u64);
        let (mut after, mut done) = (Value::Null, 0);
        loop {
            let page = self.read::<T>(json!({ "after": after, "limit": PAGE })).await?;
            done += page.entries.len() as u64;
            (verify.progress)(&Progress { step: of_report, done, of });
            for entry in page.entries {
                sort(Pair::new(rows.remove(&entry.id()), Some(entry), Instant::now()));
            }
            after = page.next;
            if after.is_null() {
                break;
            }
        }
        rows.into_values().for_each(|row| sort(Pair::new(Some(row), None, Instant::now())));

        let mut differences = Vec::new();
        while !suspects.is_empty() {
            let left = suspects.len() as u64;
            (verify.progress)(&Progress { step: again, done: 0, of: Some(left) });
            tokio::time::sleep(BETWEEN_LOOKS.min(verify.settle)).await;
            self.look_again(&mut suspects).await?;
            let now = Instant::now();
            suspects.retain(|pair| {
                let difference = pair.difference();
                let is_over = difference.is_none() || pair.has_settled(verify.settle, now);
                if is_over {
                    count(pair);
                    differences.extend(difference);
                }
                !is_over
            });
        }
        Ok((differences, unreadable.into_inner()))
    }

    async fn look_again<T: Kind>(&self, suspects: &mut [Pair<T>]) -> Result<()> {
        let tables = self.tables();
        for part in suspects.chunks_mut(IDS) {
            let ids: Vec<Uuid> = part.iter().filter_map(Pair::id).collect();
            let rows = tables.get::<T::Row>(ids.iter().copied()).await?.rows;
            let mut rows = rows.into_iter().map(T::from).map(|row| (row.id(), row)).collect();
            T::forget(&tables, &mut rows, false).await?;
            let entries = self.read::<T>(json!({ format!("{}_ids", T::NAME): ids })).await?.entries;
            let mut entries: HashMap<Uuid, T> =
                entries.into_iter().map(|entry| (entry.id(), entry)).collect();
            let now = Instant::now();
            for (pair, id) in part.iter_mut().zip(&ids) {
                pair.look(rows.remove(id), entries.remove(id), now);
            }
        }
        Ok(())
    }

    async fn read<T: Kind>(&self, input: Value) -> Result<Entries<T>> {
        let task = format!("read-{}s", T::NAME);
        let mut answer: Value = persistently(|| self.task(&task, &input)).await?;
        let entries = answer[format!("{}s", T::NAME)].take();
        let entries = serde_json::from_value(entries).context("entries of another shape")?;
        Ok(Entries { entries, next: answer["next"].take() })
    }
}

/// What report-service has.
struct Entries<T> {
    entries: Vec<T>,
    /// After what the next ones come.
    next: Value,
}
