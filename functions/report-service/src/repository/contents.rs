use serde::Serialize;
use sqlx::FromRow;
use uuid::Uuid;

use super::Repository;
use crate::database::DatabaseError;

/// Which rows to read.
#[derive(Debug)]
pub(crate) enum Selection {
    /// Those that follow an id, or the first ones, in the order of ids; at most this many.
    After(Option<Uuid>, i64),
    /// Those of these ids that there are.
    Ids(Vec<Uuid>),
}

/// Rows, and the id after which there may be more.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) rows: Vec<T>,
    pub(crate) next: Option<Uuid>,
}

/// What is known of an order. Sums are those of its lines.
#[derive(Debug, Serialize, FromRow)]
pub(crate) struct OrderContents {
    order_id: Uuid,
    version: i64,
    status: String,
    user_id: Option<Uuid>,
    currency: Option<String>,
    total: Option<i64>,
    units: i64,
    lines: i64,
    revenue: Option<i64>,
}

/// What is known of a product.
#[derive(Debug, Serialize, FromRow)]
pub(crate) struct ProductContents {
    product_id: Uuid,
    version: i64,
    name: String,
    category: String,
    deleted: bool,
}

impl Repository {
    /// Orders with the sums of their lines.
    pub(crate) async fn read_orders(
        &self,
        selection: &Selection,
    ) -> Result<Page<OrderContents>, DatabaseError> {
        let mut transaction = self.database.read().await?;
        let (after, limit, ids) = selection.parameters();
        // One more than are wanted, which tells whether there are more.
        let rows = sqlx::query_as(
            "SELECT o.order_id, o.version, o.status, o.user_id, o.currency, o.total, l.units, l.lines, l.revenue \
             FROM report.orders AS o CROSS JOIN LATERAL (SELECT coalesce(sum(units), 0)::bigint AS units, \
             count(*) AS lines, sum(revenue)::bigint AS revenue \
             FROM report.order_lines AS line WHERE line.order_id = o.order_id) AS l \
             WHERE ($1::uuid IS NULL OR o.order_id > $1) AND ($3::uuid[] IS NULL OR o.order_id = ANY($3)) \
             ORDER BY o.order_id LIMIT $2",
        );
        let rows = rows.bind(after).bind(limit).bind(ids).fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(selection.page(rows, |row: &OrderContents| row.order_id))
    }

    /// Products, those that are deleted, too.
    pub(crate) async fn read_products(
        &self,
        selection: &Selection,
    ) -> Result<Page<ProductContents>, DatabaseError> {
        let mut transaction = self.database.read().await?;
        let (after, limit, ids) = selection.parameters();
        let rows = sqlx::query_as(
            "SELECT product_id, version, name, category, deleted FROM report.products \
             WHERE ($1::uuid IS NULL OR product_id > $1) AND ($3::uuid[] IS NULL OR product_id = ANY($3)) \
             ORDER BY product_id LIMIT $2",
        );
        let rows = rows.bind(after).bind(limit).bind(ids).fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(selection.page(rows, |row: &ProductContents| row.product_id))
    }
}

impl Selection {
    /// Where to begin, how many rows, which ids.
    fn parameters(&self) -> (Option<Uuid>, Option<i64>, Option<&[Uuid]>) {
        match self {
            Self::After(after, limit) => (*after, Some(limit.saturating_add(1)), None),
            Self::Ids(ids) => (None, None, Some(ids)),
        }
    }

    fn page<T>(&self, mut rows: Vec<T>, id: fn(&T) -> Uuid) -> Page<T> {
        let mut next = None;
        if let Self::After(_, limit) = self
            && let Ok(limit) = usize::try_from(*limit)
            && rows.len() > limit
        {
            rows.truncate(limit);
            next = rows.last().map(id);
        }
        Page { rows, next }
    }
}
