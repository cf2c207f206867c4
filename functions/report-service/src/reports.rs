//! What reports are about, and how they are read: a few statements, each of them along one index that holds all that it
//! sums.
//!
//! How long they take depends on how much was sold in the range, not on how much there is; docs/performance/reports.md
//! has figures. A statement is planned anew each time: a month and a year are read along different indexes.

/// Ranges of time, and what comes out.
mod figures;
/// Which indexes are used.
#[cfg(test)]
mod plans;

use domain_events::{Currency, Money, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::{
    FromRow, PgConnection, Postgres, SqlSafeStr,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use uuid::Uuid;

pub(crate) use self::figures::{
    CategorySales, CustomerOrders, Funnel, InvalidRange, Named, Period, PeriodSales, ProductSales, Range,
    Ranking, Sold, TopProduct,
};
use crate::database::{Database, DatabaseError};

/// The reports on what is in the database.
#[derive(Debug, Clone)]
pub(crate) struct Reports {
    database: Database,
}

/// One page of a report.
#[derive(Debug)]
pub(crate) struct Part<R, P> {
    pub(crate) rows: Vec<R>,
    /// Where the next page starts; `None` if this is the last one.
    pub(crate) next: Option<P>,
}

/// Where a page ended: what its last row was about, and the currency of that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct After<T>(T, String);

type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// Sums of days first; weeks and months are then made of some hundred of them.
const BY_PERIOD: &str = "
    WITH days AS (
        SELECT day, currency, count(*) AS orders, sum(units) AS units, sum(total) AS revenue
        FROM report.orders
        WHERE status IN ('CONFIRMED', 'SHIPPED', 'DELIVERED') AND currency IS NOT NULL
            AND placed_at >= to_timestamp($1) AND placed_at < to_timestamp($2)
        GROUP BY day, currency
    ), periods AS (
        SELECT date_trunc($3, day::timestamp)::date AS starts, currency,
            sum(orders) AS orders, sum(units) AS units, sum(revenue) AS revenue
        FROM days
        GROUP BY 1, 2
    )
    SELECT to_char(starts, $6), to_char(starts, 'YYYY-MM-DD'), orders::bigint, units::bigint, revenue::bigint, currency
    FROM periods
    WHERE (starts, currency) > ($4::text::date, $5)
    ORDER BY starts, currency
    LIMIT $7";

/// Sums along the index that has the lines of a product together, or of all lines of a short range.
const BY_PRODUCT: &str = "
    WITH page AS (
        SELECT product_id, currency, count(*) AS orders, sum(units) AS units, sum(revenue) AS revenue
        FROM report.order_lines
        WHERE sold AND currency IS NOT NULL
            AND placed_at >= to_timestamp($1) AND placed_at < to_timestamp($2)
            AND (product_id, currency) > ($3, $4)
        GROUP BY product_id, currency
        ORDER BY product_id, currency
        LIMIT $5
    )
    SELECT product_id, name, category, orders, units::bigint, revenue::bigint, currency
    FROM page LEFT JOIN report.products USING (product_id)
    ORDER BY product_id, currency";

/// A product's lines are summed before its category is looked up: there are fewer products than lines.
///
/// They are put in order first, which `OFFSET 0` keeps together: of a short range they are sorted, of a long one they are
/// read as the index has them. A table of sums in memory, which the planner believes to be cheaper, takes twice the time.
const BY_CATEGORY: &str = "
    WITH products AS (
        SELECT product_id, currency, sum(units) AS units, sum(revenue) AS revenue
        FROM (
            SELECT product_id, currency, units, revenue
            FROM report.order_lines
            WHERE sold AND currency IS NOT NULL
                AND placed_at >= to_timestamp($1) AND placed_at < to_timestamp($2)
            ORDER BY product_id, currency OFFSET 0
        ) AS lines
        GROUP BY product_id, currency
    ), categories AS (
        SELECT category COLLATE \"C\" AS category, currency, sum(units) AS units, sum(revenue) AS revenue
        FROM products LEFT JOIN report.products AS known USING (product_id)
        GROUP BY 1, 2
    )
    SELECT category, units::bigint, revenue::bigint, currency
    FROM categories
    WHERE (category IS NULL, coalesce(category, ''), currency) > ($3, $4, $5)
    ORDER BY category IS NULL, category, currency
    LIMIT $6";

/// In order as for categories. Without a currency, amounts are of no meaning and not answered.
const TOP: &str = "
    WITH ranking AS (
        SELECT product_id, count(*) AS orders, sum(units) AS units, sum(revenue) AS revenue
        FROM (
            SELECT product_id, units, revenue
            FROM report.order_lines
            WHERE sold AND currency IS NOT NULL
                AND placed_at >= to_timestamp($1) AND placed_at < to_timestamp($2)
                AND ($3::text IS NULL OR currency = $3)
            ORDER BY product_id OFFSET 0
        ) AS lines
        GROUP BY product_id
        ORDER BY CASE WHEN $4 THEN sum(revenue) ELSE sum(units) END DESC, product_id
        LIMIT $5
    )
    SELECT product_id, name, category, orders, units::bigint, CASE WHEN $3 IS NOT NULL THEN revenue::bigint END, $3
    FROM ranking LEFT JOIN report.products USING (product_id)
    ORDER BY CASE WHEN $4 THEN revenue ELSE units END DESC, product_id";

/// That an order was confirmed before it was cancelled is seen by when it was settled: what is rejected stays so.
const FUNNEL: &str = "
    SELECT status, reason, count(*), count(settled_after)
    FROM report.orders
    WHERE placed_at >= to_timestamp($1) AND placed_at < to_timestamp($2)
    GROUP BY status, reason";

const SETTLED: &str = "
    SELECT percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY settled_after)
    FROM report.orders
    WHERE placed_at >= to_timestamp($1) AND placed_at < to_timestamp($2)";

const CUSTOMER: &str = "
    SELECT status, count(*), (extract(epoch FROM min(placed_at)) * 1000)::bigint,
        (extract(epoch FROM max(placed_at)) * 1000)::bigint
    FROM report.orders
    WHERE user_id = $1
    GROUP BY status
    ORDER BY status";

const SPENT: &str = "
    SELECT sum(total)::bigint, currency
    FROM report.orders
    WHERE user_id = $1 AND status IN ('CONFIRMED', 'SHIPPED', 'DELIVERED') AND currency IS NOT NULL
    GROUP BY currency
    ORDER BY currency";

impl Reports {
    /// Reports on what is in this database.
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// What was sold in each period, one row per currency; periods without sales have none.
    pub(crate) async fn sales_by_period(
        &self,
        range: Range,
        period: Period,
        after: Option<After<String>>,
        limit: usize,
    ) -> Result<Part<PeriodSales, After<String>>, DatabaseError> {
        type Row = (String, String, i64, i64, i64, String);
        let rows = self.rows(by_period(BY_PERIOD, range, period, after, limit)).await?;
        part(rows, limit, |(period, starts, orders, units, amount, currency): Row| {
            let sold = Sold { orders, units, revenue: money(amount, &currency)? };
            Ok((After(starts.clone(), currency), PeriodSales { period, starts, sold }))
        })
    }

    /// What was sold of each product, one row per currency.
    pub(crate) async fn sales_by_product(
        &self,
        range: Range,
        after: Option<After<Uuid>>,
        limit: usize,
    ) -> Result<Part<ProductSales, After<Uuid>>, DatabaseError> {
        type Row = (Uuid, Option<String>, Option<String>, i64, i64, i64, String);
        let rows = self.rows(by_product(BY_PRODUCT, range, after, limit)).await?;
        part(rows, limit, |(product_id, name, category, orders, units, amount, currency): Row| {
            let sold = Sold { orders, units, revenue: money(amount, &currency)? };
            let product = Named { product_id, name, category };
            Ok((After(product_id, currency), ProductSales { product, sold }))
        })
    }

    /// What was sold of each category, one row per currency.
    pub(crate) async fn sales_by_category(
        &self,
        range: Range,
        after: Option<After<Option<String>>>,
        limit: usize,
    ) -> Result<Part<CategorySales, After<Option<String>>>, DatabaseError> {
        type Row = (Option<String>, i64, i64, String);
        let rows = self.rows(by_category(BY_CATEGORY, range, after, limit)).await?;
        part(rows, limit, |(category, units, amount, currency): Row| {
            let revenue = money(amount, &currency)?;
            Ok((After(category.clone(), currency), CategorySales { category, units, revenue }))
        })
    }

    /// The products that come first in a ranking.
    pub(crate) async fn top_products(
        &self,
        range: Range,
        ranking: Ranking,
        limit: usize,
    ) -> Result<Vec<TopProduct>, DatabaseError> {
        type Row = (Uuid, Option<String>, Option<String>, i64, i64, Option<i64>, Option<String>);
        let rows: Vec<Row> = self.rows(top(TOP, range, ranking, limit)).await?;
        let product = |(product_id, name, category, orders, units, amount, currency): Row| {
            let revenue =
                amount.zip(currency).map(|(amount, currency)| money(amount, &currency)).transpose()?;
            Ok(TopProduct { product: Named { product_id, name, category }, orders, units, revenue })
        };
        rows.into_iter().map(product).collect()
    }

    /// What became of the orders of a range.
    pub(crate) async fn funnel(&self, range: Range) -> Result<Funnel, DatabaseError> {
        let mut transaction = self.database.read().await?;
        let orders: Vec<(String, Option<String>, i64, i64)> =
            fetch(&mut transaction, in_range(FUNNEL, range)).await?;
        let settled: Vec<(Option<Vec<i64>>,)> = fetch(&mut transaction, in_range(SETTLED, range)).await?;
        transaction.commit().await?;
        let settled_after = settled.into_iter().find_map(|(percentiles,)| percentiles?.try_into().ok());
        Ok(Funnel::of(orders, settled_after))
    }

    /// What a customer has ordered; `None`, if nothing is known of that.
    pub(crate) async fn customer(&self, user_id: Uuid) -> Result<Option<CustomerOrders>, DatabaseError> {
        let mut transaction = self.database.read().await?;
        let orders: Vec<(String, i64, i64, i64)> =
            fetch(&mut transaction, sqlx::query(CUSTOMER).bind(user_id)).await?;
        let spent: Vec<(i64, String)> = fetch(&mut transaction, sqlx::query(SPENT).bind(user_id)).await?;
        transaction.commit().await?;
        let first = orders.iter().map(|(_, _, first, _)| *first).min();
        let last = orders.iter().map(|(_, _, _, last)| *last).max();
        let Some((first, last)) = first.zip(last) else { return Ok(None) };
        let spent = spent.into_iter().map(|(amount, currency)| money(amount, &currency));
        Ok(Some(CustomerOrders {
            by_status: orders.into_iter().map(|(status, orders, ..)| (status, orders)).collect(),
            spent: spent.collect::<Result<_, _>>()?,
            first_order_at: Timestamp::from_millis(first),
            last_order_at: Timestamp::from_millis(last),
        }))
    }

    async fn rows<R>(&self, statement: Statement<'_>) -> Result<Vec<R>, DatabaseError>
    where
        R: for<'r> FromRow<'r, PgRow>,
    {
        let mut transaction = self.database.read().await?;
        let rows = fetch(&mut transaction, statement).await?;
        transaction.commit().await?;
        Ok(rows)
    }
}

async fn fetch<R>(connection: &mut PgConnection, statement: Statement<'_>) -> Result<Vec<R>, DatabaseError>
where
    R: for<'r> FromRow<'r, PgRow>,
{
    // A named statement would belong to the session, and be planned without looking at the range.
    let rows = statement.persistent(false).fetch_all(connection).await?;
    Ok(rows.iter().map(R::from_row).collect::<Result<_, _>>()?)
}

fn by_period<'q>(
    sql: impl SqlSafeStr,
    range: Range,
    period: Period,
    after: Option<After<String>>,
    limit: usize,
) -> Statement<'q> {
    let (unit, label) = match period {
        Period::Day => ("day", "YYYY-MM-DD"),
        Period::Week => ("week", "IYYY-\"W\"IW"),
        Period::Month => ("month", "YYYY-MM"),
    };
    let After(starts, currency) = after.unwrap_or_else(|| After("0001-01-01".to_owned(), String::new()));
    in_range(sql, range).bind(unit).bind(starts).bind(currency).bind(label).bind(one_more_than(limit))
}

fn by_product<'q>(
    sql: impl SqlSafeStr,
    range: Range,
    after: Option<After<Uuid>>,
    limit: usize,
) -> Statement<'q> {
    let After(product_id, currency) = after.unwrap_or_else(|| After(Uuid::nil(), String::new()));
    in_range(sql, range).bind(product_id).bind(currency).bind(one_more_than(limit))
}

fn by_category<'q>(
    sql: impl SqlSafeStr,
    range: Range,
    after: Option<After<Option<String>>>,
    limit: usize,
) -> Statement<'q> {
    let After(category, currency) = after.unwrap_or_else(|| After(Some(String::new()), String::new()));
    let (unknown, category) = (category.is_none(), category.unwrap_or_default());
    in_range(sql, range).bind(unknown).bind(category).bind(currency).bind(one_more_than(limit))
}

fn top<'q>(sql: impl SqlSafeStr, range: Range, ranking: Ranking, limit: usize) -> Statement<'q> {
    let (by_revenue, currency) = match ranking {
        Ranking::Units(currency) => (false, currency),
        Ranking::Revenue(currency) => (true, Some(currency)),
    };
    let currency = currency.map(|currency| currency.to_string());
    in_range(sql, range).bind(currency).bind(by_revenue).bind(rows(limit))
}

/// A statement about a range, which is its first two parameters.
fn in_range<'q>(sql: impl SqlSafeStr, Range { from, to }: Range) -> Statement<'q> {
    // Seconds with three decimals, which a float of this size holds to the microsecond.
    let seconds = |moment: Timestamp| moment.as_millis() as f64 / 1000.0;
    sqlx::query(sql).bind(seconds(from)).bind(seconds(to))
}

/// Whether there is a row behind a page tells whether there is another page.
fn one_more_than(limit: usize) -> i64 {
    rows(limit) + 1
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX - 1)
}

/// Up to `limit` of the rows, with the place of the last one if there are more.
fn part<W, R, P>(
    rows: Vec<W>,
    limit: usize,
    read: impl Fn(W) -> Result<(P, R), DatabaseError>,
) -> Result<Part<R, P>, DatabaseError> {
    let more = rows.len() > limit;
    let rows = rows.into_iter().take(limit).map(read).collect::<Result<Vec<_>, _>>()?;
    let (mut places, rows): (Vec<P>, Vec<R>) = rows.into_iter().unzip();
    Ok(Part { rows, next: places.pop().filter(|_| more) })
}

fn money(amount: i64, currency: &str) -> Result<Money, DatabaseError> {
    let currency = Currency::try_from(currency.to_owned());
    let currency = currency.map_err(|invalid| sqlx::Error::Decode(Box::new(invalid)))?;
    Ok(Money { amount, currency })
}
