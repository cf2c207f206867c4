//! What becomes of reads and pages of lists when there are many rows: the same calls at different numbers of rows, side
//! by side in one run.

/// Rows like one that a service has written.
mod filling;
/// The table of results.
mod report;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;

pub(crate) use self::filling::Filling;
use self::filling::{Instead, text};
pub use self::report::{Figure, Report, Verdict};
use crate::{
    clock::Nanos,
    function::{Function, Launch},
    progress::Progress,
    stats::{micros, percentile, summary},
    store::{ORDERS, PRODUCTS, Store, Transport},
    targets::Program,
    workload::Workload,
};

/// Rows of a page.
const PAGE: usize = 20;
/// The page that is read deep in a list; of a shorter list, that in the middle. Near the end there is less to read.
const DEEP_PAGE: u64 = 100;
/// Calls in a row.
const SLICE: usize = 50;
/// Slices that don't count.
const WARM_UP: usize = 2;
/// The least number of products.
const FEW: u64 = 1000;
/// One order in so many is that of the customer who asks.
const ONE_IN: u64 = 100;
/// Every other product is in the category that is asked for.
const CATEGORIES: u64 = 2;
/// Rows that are written at once.
const PORTION: u64 = 10_000;

/// What is measured, and how often.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The repository.
    pub root: PathBuf,
    /// The folder with `<service>/bootstrap`.
    pub services: PathBuf,
    /// Most rows of a table.
    pub rows: u64,
    /// Slices of calls for each figure.
    pub slices: usize,
    /// Where logs and the like go: a folder that exists, and that is for this run alone.
    pub work: PathBuf,
}

/// A shop with so many rows in the table of one service.
struct Shop {
    rows: u64,
    store: Store,
    workload: Workload,
    function: Function,
    filling: Filling,
    filled: u64,
    lists: Vec<List>,
    program: Program,
}

/// A list that can be read page by page.
struct List {
    /// What its first page and a deep one are called.
    calls: [&'static str; 2],
    sample: &'static str,
    path: &'static str,
    /// Only rows with this member, which the query names, too.
    only: Option<(&'static str, String)>,
    length: u64,
}

/// A call that is repeated.
struct Case {
    shop: usize,
    call: &'static str,
    list: Option<u64>,
    page: Option<u64>,
    /// The request; of a read, every call has another.
    request: Option<String>,
    latencies: Vec<Nanos>,
    slices: Vec<u64>,
    outside_store: Vec<u64>,
    store: Nanos,
    cpu: Nanos,
    aws_calls: u64,
}

/// Measures all.
pub fn run(plan: &Plan) -> Result<Report> {
    let mut sizes = BTreeSet::from([FEW, plan.rows / 10, plan.rows]);
    sizes.retain(|rows| *rows >= FEW);
    let mut shops = Vec::new();
    for rows in sizes {
        shops.push(Shop::of_products(plan, rows).with_context(|| format!("a shop of {rows} products"))?);
    }
    // The same customer with as many orders, once alone.
    for (rows, one_in) in [(plan.rows / ONE_IN, 1), (plan.rows, ONE_IN)] {
        shops.push(Shop::of_orders(plan, rows, one_in).with_context(|| format!("a shop of {rows} orders"))?);
    }
    fill(&mut shops)?;
    let mut cases = Vec::new();
    for (index, shop) in shops.iter_mut().enumerate() {
        cases.extend(shop.cases(index)?);
    }
    measure(plan, &mut shops, &mut cases)?;
    // The same calls side by side, in the order in which they came up.
    let calls: Vec<&str> = cases.iter().map(|case| case.call).collect();
    cases.sort_by_key(|case| (calls.iter().position(|call| *call == case.call), case.shop));
    let figures = cases.into_iter().map(|case| case.figure(&shops)).collect::<Result<_>>()?;
    Ok(Report::new(plan, figures))
}

/// All at once, as far as the processors go.
fn fill(shops: &mut [Shop]) -> Result<()> {
    let portions: u64 = shops.iter().map(|shop| (shop.rows - shop.filled).div_ceil(PORTION)).sum();
    let progress = std::sync::Mutex::new(Progress::new("tables are filled", portions.try_into()?));
    thread::scope(|scope| {
        let fillers: Vec<_> = shops
            .iter_mut()
            .map(|shop| {
                let progress = &progress;
                scope.spawn(move || {
                    while shop.fill_on()? {
                        if let Ok(mut progress) = progress.lock() {
                            progress.advance();
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        fillers.into_iter().try_for_each(|filler| {
            filler.join().map_err(|_| anyhow!("the filling of a table was broken off"))?
        })
    })
}

fn measure(plan: &Plan, shops: &mut [Shop], cases: &mut [Case]) -> Result<()> {
    // Nobody always comes after the same neighbour, and the order is the same in each run.
    let mut order = fastrand::Rng::with_seed(1);
    let mut progress = Progress::new("reads and pages", plan.slices);
    let mut turns: Vec<usize> = (0..cases.len()).collect();
    for round in 0..WARM_UP + plan.slices {
        order.shuffle(&mut turns);
        for &turn in &turns {
            let case = &mut cases[turn];
            case.take_turn(&mut shops[case.shop], &mut order, round >= WARM_UP)?;
        }
        if round >= WARM_UP {
            progress.advance();
        }
    }
    Ok(())
}

impl Shop {
    fn of_products(plan: &Plan, rows: u64) -> Result<Self> {
        let (mut store, workload, function) =
            open(plan, Program::ProductService, &format!("products-{rows}"))?;
        let ids = workload.products();
        let mut feeds = BTreeSet::new();
        for id in ids {
            feeds.insert(text(&store.row(PRODUCTS, "product_id", id)?, "feed")?.to_owned());
        }
        let there = u64::try_from(ids.len())?;
        let row = store.row(PRODUCTS, "product_id", ids.first().context("a shop without a product")?)?;
        let category = text(&row, "category")?.to_owned();
        let filling = Filling::like(&row, PRODUCTS, "product_id", rows)?
            .change(text(&row, "feed")?, Instead::AnyOf(feeds.into_iter().collect()))
            .change(&category, Instead::InTurn(vec![category.clone(), format!("Not {category}")]));
        let list = |calls, sample, only, length| List { calls, sample, path: "/api/products", only, length };
        let in_category = there + (rows - there).div_ceil(CATEGORIES);
        let lists = vec![
            list(["all products", "all products, deep"], "list-products", None, rows),
            list(
                ["a category", "a category, deep"],
                "list-category",
                Some(("category", category)),
                in_category,
            ),
        ];
        let program = Program::ProductService;
        Ok(Self { rows, store, workload, function, filling, filled: there, lists, program })
    }

    fn of_orders(plan: &Plan, rows: u64, one_in: u64) -> Result<Self> {
        let (store, workload, function) = open(plan, Program::OrderService, &format!("orders-{rows}"))?;
        let row = workload.order();
        let customer = text(row, "user_id")?.to_owned();
        let filling =
            Filling::like(row, ORDERS, "order_id", rows)?.change(&customer, Instead::Kept { one_in });
        // One was placed with the service, and is the newest.
        let length = 1 + (1..rows).filter(|number| number.is_multiple_of(one_in)).count() as u64;
        let lists = vec![List {
            calls: ["own orders", "own orders, deep"],
            sample: "list-orders",
            path: "/api/orders",
            only: None,
            length,
        }];
        let program = Program::OrderService;
        Ok(Self { rows, store, workload, function, filling, filled: 1, lists, program })
    }

    /// Writes some more rows; whether any were missing.
    fn fill_on(&mut self) -> Result<bool> {
        if crate::interrupted() {
            bail!("interrupted");
        }
        let until = self.rows.min(self.filled + PORTION);
        if until == self.filled {
            return Ok(false);
        }
        self.store.fill(&self.filling, self.filled..until)?;
        self.filled = until;
        Ok(true)
    }

    fn cases(&mut self, shop: usize) -> Result<Vec<Case>> {
        let mut cases = vec![Case::new(shop, self.read_call())];
        for list in std::mem::take(&mut self.lists) {
            let pages = DEEP_PAGE.min(list.length / PAGE as u64 / 2);
            let first = self.page(&list, None)?;
            let deep = self.turn_pages(&list, pages)?;
            let requests = list.calls.into_iter().zip([(1, first), (pages, deep)]);
            cases.extend(requests.map(|(call, (page, request))| Case {
                list: Some(list.length),
                page: Some(page),
                request: Some(request),
                ..Case::new(shop, call)
            }));
        }
        Ok(cases)
    }

    fn read_call(&self) -> &'static str {
        match self.program {
            Program::OrderService => "an order",
            _ => "a product",
        }
    }

    /// The request of any row, and its id.
    fn read(&mut self, random: &mut fastrand::Rng) -> Result<(String, String)> {
        // The lowest numbers are those of rows that were there before.
        let id = self.filling.id(random.u64(PAGE as u64 * 5..self.rows));
        let (sample, folder) = match self.program {
            Program::OrderService => ("read-order", "orders"),
            _ => ("get-product", "products"),
        };
        let path = format!("/api/{folder}/{id}");
        Ok((self.workload.read(self.program.name(), sample, &path, &[])?, id))
    }

    fn page(&mut self, list: &List, cursor: Option<&str>) -> Result<String> {
        let limit = PAGE.to_string();
        let mut query = Vec::new();
        if let Some((name, value)) = &list.only {
            query.push((*name, value.as_str()));
        }
        query.push(("limit", &limit));
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        self.workload.read(self.program.name(), list.sample, list.path, &query)
    }

    /// Reads a list up to a page, and gives the request of that page.
    fn turn_pages(&mut self, list: &List, page: u64) -> Result<String> {
        let mut request = self.page(list, None)?;
        let mut last = String::from("9");
        for number in 1..=page {
            let (body, _) = self.call(&request).with_context(|| list.calls[1])?;
            let items = full_page(&body)?;
            for item in items {
                let at = item["created_at"].as_str().unwrap_or_default();
                ensure!(at <= last.as_str(), "page {number} of {}: {at} after {last}", list.path);
                at.clone_into(&mut last);
                if let Some((name, value)) = &list.only {
                    ensure!(item[name] == value.as_str(), "page {number} of {value}: got {item}");
                }
            }
            if number < page {
                request = self.page(list, body["next_cursor"].as_str())?;
            }
        }
        Ok(request)
    }

    /// The body of a good answer, and how long it took.
    fn call(&mut self, request: &str) -> Result<(Value, Nanos)> {
        let answer = self.function.invoke(request)?;
        let text = answer.body.unwrap_or_else(|error| format!("a failed invocation: {error}"));
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        ensure!(value["statusCode"] == 200, "expected status 200, got {text}{}", self.function.last_words());
        let body = serde_json::from_str(value["body"].as_str().unwrap_or_default())?;
        Ok((body, answer.took))
    }
}

impl Case {
    fn new(shop: usize, call: &'static str) -> Self {
        Self {
            shop,
            call,
            list: None,
            page: None,
            request: None,
            latencies: Vec::new(),
            slices: Vec::new(),
            outside_store: Vec::new(),
            store: 0,
            cpu: 0,
            aws_calls: 0,
        }
    }

    fn take_turn(&mut self, shop: &mut Shop, random: &mut fastrand::Rng, counts: bool) -> Result<()> {
        let mut requests = Vec::new();
        for _ in 0..SLICE {
            requests.push(match &self.request {
                Some(request) => (request.clone(), None),
                None => shop.read(random).map(|(request, id)| (request, Some(id)))?,
            });
        }
        let calls = |store: &mut Store| store.calls().map(|calls| calls.values().sum::<u64>());
        let (calls_before, busy_before) = (calls(&mut shop.store)?, shop.store.busy()?);
        let cpu_before = shop.function.cpu()?;
        let mut latencies = Vec::new();
        for (request, id) in requests {
            if crate::interrupted() {
                bail!("interrupted");
            }
            let (body, took) =
                shop.call(&request).with_context(|| format!("{} among {}", self.call, shop.rows))?;
            match id {
                Some(id) => ensure!(
                    [&body["product_id"], &body["order_id"]].into_iter().any(|value| *value == *id),
                    "expected {id}, got {body}"
                ),
                None => full_page(&body).map(drop)?,
            }
            latencies.push(took);
        }
        if !counts {
            return Ok(());
        }
        let busy = shop.store.busy()? - busy_before;
        self.cpu += shop.function.cpu()? - cpu_before;
        self.aws_calls += calls(&mut shop.store)? - calls_before;
        self.store += busy;
        let sum: Nanos = latencies.iter().sum();
        self.outside_store.push(sum.saturating_sub(busy) / latencies.len() as u64);
        self.latencies.extend(&latencies);
        latencies.sort_unstable();
        self.slices.push(percentile(&latencies, 50.0));
        Ok(())
    }

    fn figure(self, shops: &[Shop]) -> Result<Figure> {
        let calls = self.latencies.len() as f64;
        Ok(Figure {
            call: self.call,
            rows: shops[self.shop].rows,
            list: self.list,
            page: self.page,
            latency: summary(&self.latencies).context("no call was measured")?,
            slices: self.slices,
            outside_store: self.outside_store,
            cpu_per_call: micros(self.cpu) / calls,
            aws_calls_per_call: self.aws_calls as f64 / calls,
            store_per_call: micros(self.store) / calls,
        })
    }
}

/// A store, a shop in it that is filled as for every other measurement, and one of its functions.
fn open(plan: &Plan, program: Program, name: &str) -> Result<(Store, Workload, Function)> {
    let folder = plan.work.join("growth").join(name);
    fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    let mut store = Store::start(&plan.root.join("template.yaml"), &folder, None)?;
    let launch = |program: Program, store: &Store| launch(&plan.services, &folder, program, store);
    let workload = Workload::new(&plan.root.join("events"), &mut store, &launch)?;
    let (function, _) = Function::start(&launch(program, &store))?;
    Ok((store, workload, function))
}

fn launch(services: &Path, folder: &Path, program: Program, store: &Store) -> Launch {
    Launch {
        bootstrap: services.join(program.name()).join("bootstrap"),
        // What TLS takes is measured elsewhere, and does not depend on rows.
        environment: program.environment(store, Transport::Http),
        log: folder.join(format!("{}.log", program.name())),
    }
}

/// The items of a page that has another behind it.
fn full_page(body: &Value) -> Result<&Vec<Value>> {
    let items = body["items"].as_array().filter(|items| items.len() == PAGE);
    let is_followed = body["next_cursor"].is_string();
    items
        .filter(|_| is_followed)
        .with_context(|| format!("expected {PAGE} items and a next page, got {body}"))
}
