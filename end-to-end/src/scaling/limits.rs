//! The limits, and what one order takes of each. All of them grow with the orders, so that each is reached at so many
//! orders a second.

use super::order::{
    HOT_PRODUCT, LARGEST_CATEGORY, PRODUCTS, events, first, invocations, messages_per_queue, records,
    records_per_shard, requests, seconds, times,
};
use crate::{
    bill::{Work, work_of},
    parts::thousands,
};

/// When the pages said so.
pub(super) const LOOKED_UP: &str = "22 November 2026";

/// Write units and read units that a partition takes in a second.
const PARTITION_WRITES: f64 = 1000.0;
const PARTITION_READS: f64 = 3000.0;
/// The same of a table or an index, on demand, as long as nobody asks for more.
const TABLE_UNITS: f64 = 40_000.0;
/// Write units that a new table takes at once.
pub(super) const NEW_TABLE_WRITES: f64 = 4000.0;
/// Environments of all functions at once, as long as nobody asks for more.
const ENVIRONMENTS: f64 = 1000.0;
/// New environments of a function in ten seconds.
pub(super) const NEW_ENVIRONMENTS: f64 = 1000.0;
/// Shards of the feed index.
const SHARDS: f64 = 4.0;
/// Orders for one product that were decided in a second: `docs/performance/hot-product.json`.
const HOT_PRODUCT_ORDERS: f64 = 780.0;

/// A limit.
pub(super) struct Limit {
    pub(super) what: &'static str,
    /// How much there is in a second, or at once.
    pub(super) figure: f64,
    pub(super) unit: &'static str,
    pub(super) per_order: f64,
    /// How that comes about.
    pub(super) arithmetic: String,
    /// Where the figure is from.
    pub(super) source: Source,
    /// What the design does about it.
    pub(super) design: &'static str,
    /// What to do before it is reached.
    pub(super) change: &'static str,
}

/// Where a figure is from.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// AWS's page of this address.
    Page(&'static str, &'static str),
    /// The template's own.
    Template(&'static str),
    /// A run of this repository.
    Measured(&'static str, &'static str),
}

impl Limit {
    /// Orders in a second with which it is reached.
    pub(super) fn reached_at(&self) -> f64 {
        self.figure / self.per_order
    }
}

const GATEWAY: Source =
    Source::Page("API Gateway", "https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html");
const LAMBDA: Source =
    Source::Page("Lambda", "https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html");
const QUEUE_SCALING: Source =
    Source::Page("Lambda, SQS", "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html");
const TABLE: Source = Source::Page(
    "DynamoDB",
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html",
);
const PARTITION: Source = Source::Page(
    "DynamoDB, on demand",
    "https://repost.aws/knowledge-center/on-demand-table-throttling-dynamodb",
);
const SNS: Source = Source::Page("SNS", "https://docs.aws.amazon.com/general/latest/gr/sns.html");
const SQS: Source = Source::Page(
    "SQS",
    "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html",
);
const SECRETS: Source = Source::Page(
    "Secrets Manager",
    "https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html",
);
const STREAMS: Source = Source::Page(
    "Lambda, DynamoDB streams",
    "https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html",
);

/// All of them, those that are reached first at the top.
pub(super) fn limits() -> Vec<Limit> {
    let groups = [front(), tables(), hot_spots(), events_and_queues()];
    let mut limits: Vec<Limit> = groups.into_iter().flatten().collect();
    limits.sort_by(|one, other| one.reached_at().total_cmp(&other.reached_at()));
    limits
}

fn front() -> Vec<Limit> {
    let looks = times("look at a product");
    vec![
        Limit {
            what: "requests to one route of the API",
            figure: 500.0,
            unit: "requests/s",
            per_order: looks,
            arithmetic: format!("{looks} looks at a product"),
            source: Source::Template("ThrottlingRateLimit"),
            design: "a bound on what an attack costs; what is above it gets 429, and clients try again",
            change: "the parameter `ThrottlingRateLimit`, and `ThrottlingBurstLimit` with it",
        },
        Limit {
            what: "requests to all APIs of the account",
            figure: 10_000.0,
            unit: "requests/s",
            per_order: requests(),
            arithmetic: format!("{} requests", requests()),
            source: GATEWAY,
            design: "looks at products may be cached for five seconds (`Cache-Control`), and unchanged ones are 304",
            change: "a CDN before `GET /api/products…`; a larger quota (2,500 in some regions to begin with)",
        },
        Limit {
            what: "invocations of all functions",
            figure: 10.0 * ENVIRONMENTS,
            unit: "invocations/s",
            per_order: invocations(),
            arithmetic: format!("{} requests, and 7 records in batches of 10", requests()),
            source: LAMBDA,
            design: "batches of ten; a filter before every queue and stream, so that nothing is started for nothing",
            change: "it is ten times the quota of environments: ask for more of those; a CDN",
        },
        Limit {
            what: "environments of all functions at once",
            figure: ENVIRONMENTS,
            unit: "environments",
            per_order: seconds(),
            arithmetic: format!("{:.2} s of invocations, a third of it for logging in", seconds()),
            source: LAMBDA,
            design: "short invocations; every queue's mapping is bounded (`MaximumConcurrency: 10`), so that a backlog \
                     leaves the rest to requests",
            change: "a larger quota; more memory for user-service, whose Argon2 waits for its part of a processor",
        },
        Limit {
            what: "reading the secret",
            figure: 10_000.0,
            unit: "calls/s",
            per_order: seconds() / 300.0,
            arithmetic: format!("{:.2} environments, each every 300 s", seconds()),
            source: SECRETS,
            design: "read at the start of an environment and every five minutes, never by a request",
            change: "nothing: also 1,000 starts in ten seconds are 100 calls a second",
        },
    ]
}

fn tables() -> Vec<Limit> {
    let reserve = work_of("stock-requests: order_placed");
    let login = |of: fn(&Work) -> f64| {
        of(first("log in")) + of(first("stay logged in for another quarter of an hour"))
    };
    let looks = times("look at a product") * first("look at a product").reads;
    let writes = |what, per_order: f64, arithmetic| Limit {
        what,
        figure: TABLE_UNITS,
        unit: "write units/s",
        per_order,
        arithmetic,
        source: TABLE,
        design: "few and small rows: no row is above 1 KB in an ordinary order",
        change: "a larger quota of the table",
    };
    vec![
        writes(
            "writes to the table of products",
            reserve.table_writes,
            format!(
                "{} units: a reservation and {PRODUCTS} products, twice each in a transaction",
                reserve.table_writes
            ),
        ),
        writes(
            "writes to the table of users",
            login(|work| work.table_writes),
            format!("{} units: a login, a refreshed token", login(|work| work.table_writes)),
        ),
        writes("writes to the table of orders", 2.0, "2 units: placed, confirmed".to_owned()),
        Limit {
            what: "reads of the table of products",
            figure: TABLE_UNITS,
            unit: "read units/s",
            per_order: looks,
            arithmetic: format!("{looks} units: looks at products"),
            source: TABLE,
            design: "reads that may be a moment old cost half",
            change: "a CDN; a larger quota",
        },
        Limit {
            what: "writes to a new table of products at once",
            figure: NEW_TABLE_WRITES,
            unit: "write units/s",
            per_order: reserve.table_writes,
            arithmetic: format!("{} units, as above", reserve.table_writes),
            source: PARTITION,
            design: "throttled writes are tried again by the queue; a request is answered 503 with Retry-After",
            change: "`WarmThroughput` on the tables before a sale; by itself it doubles within 30 minutes",
        },
    ]
}

fn hot_spots() -> Vec<Limit> {
    let page = first("a page of all products").reads / SHARDS * times("a page of all products");
    let category = times("a page of a category") * LARGEST_CATEGORY * 1.5;
    let looks = times("look at a product") * HOT_PRODUCT * first("look at a product").reads;
    let partition_reads = |what, per_order: f64, arithmetic| Limit {
        what,
        figure: PARTITION_READS,
        unit: "read units/s",
        per_order,
        arithmetic,
        source: PARTITION,
        design: "first pages may be cached for five seconds; DynamoDB can split a partition that is hot, but no row",
        change: "a CDN, which asks once in five seconds; the cache of product-service",
    };
    vec![
        Limit {
            what: "orders of one product",
            figure: HOT_PRODUCT_ORDERS,
            unit: "orders/s",
            per_order: HOT_PRODUCT,
            arithmetic: format!("{HOT_PRODUCT}: one order in ten is for the product that is wanted most"),
            source: Source::Measured("performance/hot-product.json", "hot-product.json"),
            design: "orders of a batch for one product are one transaction: one of 1,000 / 2 that its row takes",
            change: "batches of more than ten with a window of a second; after that, stock in several rows",
        },
        Limit {
            what: "writes of one shard of the feed index",
            figure: PARTITION_WRITES,
            unit: "write units/s",
            per_order: PRODUCTS / SHARDS,
            arithmetic: format!("{PRODUCTS} products in {SHARDS} shards"),
            source: PARTITION,
            design: "four shards. An index that can't follow throttles its table: orders wait in their queue",
            change: "more shards (rows move with their next write); or stock outside of the index",
        },
        Limit {
            what: "writes of one category of the index",
            figure: PARTITION_WRITES,
            unit: "write units/s",
            per_order: PRODUCTS * LARGEST_CATEGORY,
            arithmetic: format!("{PRODUCTS} products, of which {LARGEST_CATEGORY} in the largest category"),
            source: PARTITION,
            design: "as above, without shards: a category is one partition until DynamoDB splits it by time",
            change: "stock outside of the index, by projecting what a list shows only",
        },
        partition_reads(
            "reads of one shard of the feed index",
            page,
            format!("{page} units: 2 pages, each a unit of each shard"),
        ),
        partition_reads(
            "reads of one category of the index",
            category,
            format!(
                "{category:.1} units: 4 pages of 1.5, of which {LARGEST_CATEGORY} in the largest category"
            ),
        ),
        partition_reads("looks at one product", looks, format!("{looks:.1} units: one look in ten is at it")),
    ]
}

fn events_and_queues() -> Vec<Limit> {
    let shard = records_per_shard();
    let stream = |what, table| Limit {
        what,
        figure: 4.0 * shard,
        unit: "records/s",
        per_order: records(table),
        arithmetic: format!(
            "{} records; a new table has 4 shards, each of which takes {} a second",
            records(table),
            thousands(shard)
        ),
        source: STREAMS,
        design: "batches of 100, ten events in a call to SNS. There are more shards as the table grows with its traffic",
        change: "`ParallelizationFactor` up to 10: the order within each row stays",
    };
    let publishing = |what, figure, change| Limit {
        what,
        figure,
        unit: "messages/s",
        per_order: events(),
        arithmetic: format!("{} events; a batch counts by its messages", events()),
        source: SNS,
        design: "a full quota delays events, and loses none: the stream keeps its records for a day",
        change,
    };
    let messages = messages_per_queue(10.0);
    vec![
        publishing(
            "publishing in us-east-1",
            30_000.0,
            "a larger quota; no event where nobody listens (product_updated)",
        ),
        publishing("publishing in the regions with the least", 300.0, "a larger quota, or another region"),
        stream("the stream of products", "stream of products"),
        stream("the stream of orders", "stream of orders"),
        Limit {
            what: "messages of the queue of stock requests",
            figure: messages,
            unit: "messages/s",
            per_order: 1.0,
            arithmetic: "1 message; 10 invocations at once, each of 10 messages".to_owned(),
            source: Source::Template("MaximumConcurrency"),
            design: "a bound, so that a backlog does not take the environments of requests",
            change: "`MaximumConcurrency` of the mapping, up to 1,000; for one hot product it does not help",
        },
        Limit {
            what: "invocations at once of one queue's mapping",
            figure: 1250.0,
            unit: "invocations",
            per_order: 10.0 / messages,
            arithmetic: format!("1 message, of {} a second that 10 invocations handle", thousands(messages)),
            source: QUEUE_SCALING,
            design: "five at once to begin with, up to 300 more each minute",
            change: "`ProvisionedPollerConfig` instead of `MaximumConcurrency`",
        },
        Limit {
            what: "messages in flight of one queue",
            figure: 120_000.0,
            unit: "messages",
            per_order: 100.0 / messages,
            arithmetic: format!("a batch takes {:.0} ms", 100.0 / messages * 1e3),
            source: SQS,
            design: "what failed stays in flight for minutes, but no more is taken out than the mapping's bound lets",
            change: "nothing",
        },
    ]
}
