use std::collections::HashSet;

use domain_events::{Money, Timestamp};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    database::DatabaseError,
    domain::{Order, Product, Status},
};

/// The tables that reports are made of.
pub(super) const LIVE: Tables = tables!("report");

/// Those that a rebuild makes.
pub(super) const NEXT: Tables = tables!("report_next");

/// The statements for the tables of one schema. Each takes any number of rows as JSON, and touches rows in the order of
/// their keys: two of them at once wait for each other, never both.
#[derive(Debug)]
pub(super) struct Tables {
    orders: &'static str,
    lines: &'static str,
    products: &'static str,
    forget: &'static str,
}

/// Takes a column from whichever row has the higher version.
macro_rules! newest {
    ($column:literal) => {
        concat!(
            $column,
            " = CASE WHEN excluded.version > present.version THEN excluded.",
            $column,
            " ELSE present.",
            $column,
            " END"
        )
    };
}
use newest;

macro_rules! tables {
    ($schema:literal) => {
        Tables {
            // What the order is like comes from the highest version, each moment from the earliest that is told of it.
            // Rows that stay as they are are not answered.
            orders: concat!(
                "INSERT INTO ", $schema, ".orders AS present (order_id, version, user_id, status, reason, currency, \
                 total, units, placed_at, confirmed_at, rejected_at, cancelled_at, shipped_at, delivered_at) \
                 SELECT given.order_id, given.version, \
                 CASE WHEN erased.user_id IS NULL THEN given.user_id END, \
                 given.status, given.reason, given.currency, given.total, given.units, given.placed_at, \
                 given.confirmed_at, given.rejected_at, given.cancelled_at, given.shipped_at, given.delivered_at \
                 FROM jsonb_to_recordset($1::jsonb) AS given(order_id uuid, version bigint, user_id uuid, status text, \
                 reason text, currency text, total bigint, units bigint, placed_at timestamptz, \
                 confirmed_at timestamptz, rejected_at timestamptz, cancelled_at timestamptz, \
                 shipped_at timestamptz, delivered_at timestamptz) \
                 LEFT JOIN public.erased_customers AS erased ON erased.user_id = given.user_id \
                 ORDER BY given.order_id \
                 ON CONFLICT (order_id) DO UPDATE SET ",
                newest!("version"), ", ", newest!("user_id"), ", ", newest!("status"), ", ", newest!("reason"), ", ",
                newest!("currency"), ", ", newest!("total"), ", ", newest!("units"), ", ", newest!("placed_at"),
                ", confirmed_at = least(present.confirmed_at, excluded.confirmed_at), \
                 rejected_at = least(present.rejected_at, excluded.rejected_at), \
                 cancelled_at = least(present.cancelled_at, excluded.cancelled_at), \
                 shipped_at = least(present.shipped_at, excluded.shipped_at), \
                 delivered_at = least(present.delivered_at, excluded.delivered_at) \
                 WHERE excluded.version > present.version \
                 OR least(present.confirmed_at, excluded.confirmed_at) IS DISTINCT FROM present.confirmed_at \
                 OR least(present.rejected_at, excluded.rejected_at) IS DISTINCT FROM present.rejected_at \
                 OR least(present.cancelled_at, excluded.cancelled_at) IS DISTINCT FROM present.cancelled_at \
                 OR least(present.shipped_at, excluded.shipped_at) IS DISTINCT FROM present.shipped_at \
                 OR least(present.delivered_at, excluded.delivered_at) IS DISTINCT FROM present.delivered_at \
                 RETURNING order_id, version"
            ),
            // The lines of the orders $2, whose rows are locked by now, are those of $1 and no others.
            lines: concat!(
                "WITH given AS (SELECT * FROM jsonb_to_recordset($1::jsonb) AS given(order_id uuid, product_id uuid, \
                 units bigint, currency text, revenue bigint, placed_at timestamptz, sold boolean)), \
                 gone AS (DELETE FROM ", $schema, ".order_lines AS line WHERE line.order_id = ANY($2) \
                 AND NOT EXISTS (SELECT FROM given \
                 WHERE given.order_id = line.order_id AND given.product_id = line.product_id)) \
                 INSERT INTO ", $schema, ".order_lines AS present \
                 (order_id, product_id, units, currency, revenue, placed_at, sold) \
                 SELECT order_id, product_id, units, currency, revenue, placed_at, sold FROM given \
                 ORDER BY order_id, product_id \
                 ON CONFLICT (order_id, product_id) DO UPDATE SET units = excluded.units, \
                 currency = excluded.currency, revenue = excluded.revenue, placed_at = excluded.placed_at, \
                 sold = excluded.sold \
                 WHERE (present.units, present.currency, present.revenue, present.placed_at, present.sold) \
                 IS DISTINCT FROM \
                 (excluded.units, excluded.currency, excluded.revenue, excluded.placed_at, excluded.sold)"
            ),
            // The event of a deletion has the version of the row that is gone; nothing comes after it.
            products: concat!(
                "INSERT INTO ", $schema, ".products AS present (product_id, version, name, category, deleted) \
                 SELECT product_id, version, name, category, deleted \
                 FROM jsonb_to_recordset($1::jsonb) AS given(product_id uuid, version bigint, name text, \
                 category text, deleted boolean) ORDER BY product_id \
                 ON CONFLICT (product_id) DO UPDATE SET ",
                newest!("version"), ", ", newest!("name"), ", ", newest!("category"),
                ", deleted = present.deleted OR excluded.deleted \
                 WHERE excluded.version > present.version OR excluded.deleted > present.deleted"
            ),
            forget: concat!("UPDATE ", $schema, ".orders SET user_id = NULL WHERE user_id = ANY($1)"),
        }
    };
}
use tables;

/// An order as the statement reads it.
#[derive(Serialize)]
struct OrderRow<'a> {
    order_id: Uuid,
    version: i64,
    user_id: Option<Uuid>,
    status: Status,
    reason: Option<&'a str>,
    currency: Option<String>,
    total: Option<i64>,
    units: i64,
    placed_at: Timestamp,
    confirmed_at: Option<Timestamp>,
    rejected_at: Option<Timestamp>,
    cancelled_at: Option<Timestamp>,
    shipped_at: Option<Timestamp>,
    delivered_at: Option<Timestamp>,
}

/// A line as the statement reads it.
#[derive(Serialize)]
struct LineRow {
    order_id: Uuid,
    product_id: Uuid,
    units: i64,
    currency: Option<String>,
    revenue: Option<i64>,
    placed_at: Timestamp,
    sold: bool,
}

/// A product as the statement reads it.
#[derive(Serialize)]
struct ProductRow<'a> {
    product_id: Uuid,
    version: i64,
    name: &'a str,
    category: &'a str,
    deleted: bool,
}

impl Tables {
    /// Writes orders, no two of them with one id.
    pub(super) async fn write_orders(
        &self,
        connection: &mut PgConnection,
        orders: &[Order],
    ) -> Result<(), DatabaseError> {
        let rows: Vec<OrderRow<'_>> = orders.iter().map(OrderRow::from).collect();
        let changed: Vec<(Uuid, i64)> =
            sqlx::query_as(self.orders).bind(json(&rows)?).fetch_all(&mut *connection).await?;
        let changed: HashSet<(Uuid, i64)> = changed.into_iter().collect();
        // The others were there already, or in a higher version: their lines, too.
        let taken: Vec<&Order> =
            orders.iter().filter(|order| changed.contains(&(order.order_id, order.version))).collect();
        if taken.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = taken.iter().map(|order| order.order_id).collect();
        let lines: Vec<LineRow> = taken.into_iter().flat_map(line_rows).collect();
        sqlx::query(self.lines).bind(json(&lines)?).bind(ids).execute(connection).await?;
        Ok(())
    }

    /// Writes products, no two of them with one id.
    pub(super) async fn write_products(
        &self,
        connection: &mut PgConnection,
        products: &[Product],
    ) -> Result<(), DatabaseError> {
        let rows: Vec<ProductRow<'_>> = products.iter().map(ProductRow::from).collect();
        sqlx::query(self.products).bind(json(&rows)?).execute(connection).await?;
        Ok(())
    }

    /// Takes out whose orders the orders of these customers are.
    pub(super) async fn forget_customers(
        &self,
        connection: &mut PgConnection,
        user_ids: &[Uuid],
    ) -> Result<(), DatabaseError> {
        sqlx::query(self.forget).bind(user_ids).execute(connection).await?;
        Ok(())
    }
}

/// Remembers that the accounts of these customers are deleted.
pub(super) async fn remember_erased(
    connection: &mut PgConnection,
    user_ids: &[Uuid],
) -> Result<(), DatabaseError> {
    let remember =
        "INSERT INTO public.erased_customers (user_id) SELECT DISTINCT unnest($1) ON CONFLICT DO NOTHING";
    sqlx::query(remember).bind(user_ids).execute(connection).await?;
    Ok(())
}

fn json(rows: &impl Serialize) -> Result<String, DatabaseError> {
    serde_json::to_string(rows).map_err(|error| sqlx::Error::Encode(error.into()).into())
}

fn line_rows(order: &Order) -> impl Iterator<Item = LineRow> {
    let (order_id, placed_at, sold) = (order.order_id, order.placed_at, order.status.is_sale());
    order.lines.iter().map(move |line| {
        let (currency, revenue) = money(line.revenue);
        LineRow {
            order_id,
            product_id: line.product_id,
            units: line.units,
            currency,
            revenue,
            placed_at,
            sold,
        }
    })
}

fn money(money: Option<Money>) -> (Option<String>, Option<i64>) {
    money.map(|money| (money.currency.to_string(), money.amount)).unzip()
}

impl<'a> From<&'a Order> for OrderRow<'a> {
    fn from(order: &'a Order) -> Self {
        let (currency, total) = money(order.total);
        Self {
            order_id: order.order_id,
            version: order.version,
            user_id: order.user_id,
            status: order.status,
            reason: order.reason.as_deref(),
            currency,
            total,
            units: order.lines.units(),
            placed_at: order.placed_at,
            confirmed_at: order.reached(Status::Confirmed),
            rejected_at: order.reached(Status::Rejected),
            cancelled_at: order.reached(Status::Cancelled),
            shipped_at: order.reached(Status::Shipped),
            delivered_at: order.reached(Status::Delivered),
        }
    }
}

impl<'a> From<&'a Product> for ProductRow<'a> {
    fn from(product: &'a Product) -> Self {
        Self {
            product_id: product.product_id,
            version: product.version,
            name: &product.name,
            category: &product.category,
            deleted: product.deleted,
        }
    }
}
