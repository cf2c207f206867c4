//! What is answered.

use domain_events::{Currency, Money, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    format::{Cell, Report, money},
    parameters::By,
};
use crate::reports::{
    CategorySales, CustomerOrders, Funnel, Named, PeriodSales, ProductSales, Range, Ranking, Sold, TopProduct,
};

/// What was sold: orders that are confirmed, shipped or delivered, at the time when they were placed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SalesReport {
    from: Timestamp,
    to: Timestamp,
    #[schema(example = "day")]
    by: &'static str,
    items: Vec<SalesBody>,
    /// Where the next page starts; null on the last one. Also in the `Link` header.
    next_cursor: Option<String>,
}

/// What was sold of one thing for one currency. What was not sold has no row.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Sales)]
pub(super) enum SalesBody {
    Period(PeriodSalesBody),
    Product(ProductSalesBody),
    Category(CategorySalesBody),
}

/// Sales by day, week or month, in UTC. Of a period that the range has a part of, they are those of that part.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PeriodSales)]
pub(super) struct PeriodSalesBody {
    /// The day, the week of ISO 8601 (2026-W47, from Monday on) or the month (2026-11).
    #[schema(example = "2026-11-22")]
    period: String,
    /// The period's first day.
    #[schema(example = "2026-11-22")]
    starts: String,
    #[schema(example = 3)]
    orders: i64,
    #[schema(example = 5)]
    units: i64,
    /// What the orders cost in all.
    revenue: Money,
}

/// Sales of a product.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductSales)]
pub(super) struct ProductSalesBody {
    #[serde(flatten)]
    product: ProductBody,
    /// That have the product in them.
    #[schema(example = 3)]
    orders: i64,
    #[schema(example = 5)]
    units: i64,
    revenue: Money,
}

/// Sales of all products that are in a category now. An order can be one of several categories, so that orders are not
/// counted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CategorySales)]
pub(super) struct CategorySalesBody {
    /// Null: of products that the report does not know yet.
    #[schema(example = "Kitchen")]
    category: Option<String>,
    #[schema(example = 5)]
    units: i64,
    revenue: Money,
}

/// A product, as it is called now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NamedProduct)]
struct ProductBody {
    product_id: Uuid,
    /// Null: a product that the report does not know yet.
    #[schema(example = "Coffee mug")]
    name: Option<String>,
    #[schema(example = "Kitchen")]
    category: Option<String>,
}

/// The products that were sold most.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TopProductsReport {
    from: Timestamp,
    to: Timestamp,
    #[schema(example = "units")]
    by: &'static str,
    /// For which currency they were sold; null: for any.
    currency: Option<Currency>,
    items: Vec<TopProductBody>,
}

/// One of the products that were sold most.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TopProduct)]
struct TopProductBody {
    /// Products that were sold as much are in the order in which they were made.
    #[schema(example = 1)]
    rank: i64,
    #[serde(flatten)]
    product: ProductBody,
    /// That have the product in them.
    #[schema(example = 3)]
    orders: i64,
    #[schema(example = 5)]
    units: i64,
    /// Null in a ranking of all currencies.
    revenue: Option<Money>,
}

/// What became of the orders that were placed in a range of time. `placed` is the sum of `delivered`, `rejected`,
/// `cancelled` and those that are `open`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FunnelReport {
    from: Timestamp,
    to: Timestamp,
    #[schema(example = 20)]
    placed: i64,
    /// Orders that were confirmed, also those that went on from there or were cancelled.
    #[schema(example = 17)]
    confirmed: i64,
    /// Orders that were shipped, also those that arrived.
    #[schema(example = 14)]
    shipped: i64,
    #[schema(example = 13)]
    delivered: i64,
    rejected: RejectedBody,
    #[schema(example = 1)]
    cancelled: i64,
    open: OpenBody,
    /// From placed to confirmed or rejected; null, if that was none yet.
    seconds_to_settle: Option<SettledBody>,
}

/// Orders that could not be supplied.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rejected)]
struct RejectedBody {
    #[schema(example = 2)]
    orders: i64,
    /// Most frequent first.
    by_reason: Vec<ReasonBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RejectionReason)]
struct ReasonBody {
    #[schema(example = "out_of_stock")]
    reason: String,
    #[schema(example = 2)]
    orders: i64,
}

/// Orders that are on their way, by where they are.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Open)]
struct OpenBody {
    /// They wait for their stock.
    #[schema(example = 1)]
    pending: i64,
    /// They wait for being shipped.
    #[schema(example = 2)]
    confirmed: i64,
    /// They have not arrived.
    #[schema(example = 1)]
    shipped: i64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Settled)]
struct SettledBody {
    /// The median.
    #[schema(example = 0.84)]
    p50: f64,
    /// What 95 of 100 orders don't exceed.
    #[schema(example = 2.31)]
    p95: f64,
}

/// What a customer has ordered.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CustomerReport {
    customer_id: Uuid,
    #[schema(example = 4)]
    orders: i64,
    by_status: Vec<StatusBody>,
    /// For orders that are confirmed, shipped or delivered: one amount per currency.
    spent: Vec<Money>,
    first_order_at: Timestamp,
    last_order_at: Timestamp,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrdersByStatus)]
struct StatusBody {
    #[schema(example = "DELIVERED")]
    status: String,
    #[schema(example = 3)]
    orders: i64,
}

impl SalesReport {
    pub(super) fn new<R: Into<SalesBody>>(
        Range { from, to }: Range,
        by: By,
        rows: Vec<R>,
        next_cursor: Option<String>,
    ) -> Self {
        let items = rows.into_iter().map(R::into).collect();
        Self { from, to, by: by.as_str(), items, next_cursor }
    }

    /// The address of the next page, if there is one.
    pub(super) fn next_page(&self, limit: usize) -> Option<String> {
        let Self { from, to, by, next_cursor, .. } = self;
        let cursor = next_cursor.as_ref()?;
        Some(format!("/api/reports/sales?from={from}&to={to}&by={by}&limit={limit}&cursor={cursor}"))
    }
}

impl Report for SalesReport {
    fn name(&self) -> String {
        format!("sales-by-{}", self.by)
    }

    fn table(&self) -> (Vec<&'static str>, Vec<Vec<Cell<'_>>>) {
        let of: &[_] = match self.by {
            "product" => &["product_id", "name", "category", "orders"],
            "category" => &["category"],
            _ => &["period", "starts", "orders"],
        };
        let header = [of, &["units", "revenue_amount", "revenue_currency"]].concat();
        (header, self.items.iter().map(SalesBody::cells).collect())
    }
}

impl SalesBody {
    fn cells(&self) -> Vec<Cell<'_>> {
        match self {
            Self::Period(PeriodSalesBody { period, starts, orders, units, revenue }) => {
                let of = [period.as_str().into(), starts.as_str().into(), (*orders).into(), (*units).into()];
                [of.as_slice(), &money(Some(revenue))].concat()
            }
            Self::Product(ProductSalesBody { product, orders, units, revenue }) => {
                let sold = [(*orders).into(), (*units).into()];
                [product.cells().as_slice(), &sold, &money(Some(revenue))].concat()
            }
            Self::Category(CategorySalesBody { category, units, revenue }) => {
                [[category.as_deref().into(), (*units).into()], money(Some(revenue))].concat()
            }
        }
    }
}

impl From<PeriodSales> for SalesBody {
    fn from(PeriodSales { period, starts, sold: Sold { orders, units, revenue } }: PeriodSales) -> Self {
        Self::Period(PeriodSalesBody { period, starts, orders, units, revenue })
    }
}

impl From<ProductSales> for SalesBody {
    fn from(ProductSales { product, sold: Sold { orders, units, revenue } }: ProductSales) -> Self {
        Self::Product(ProductSalesBody { product: product.into(), orders, units, revenue })
    }
}

impl From<CategorySales> for SalesBody {
    fn from(CategorySales { category, units, revenue }: CategorySales) -> Self {
        Self::Category(CategorySalesBody { category, units, revenue })
    }
}

impl From<Named> for ProductBody {
    fn from(Named { product_id, name, category }: Named) -> Self {
        Self { product_id, name, category }
    }
}

impl ProductBody {
    fn cells(&self) -> [Cell<'_>; 3] {
        [self.product_id.into(), self.name.as_deref().into(), self.category.as_deref().into()]
    }
}

impl TopProductsReport {
    pub(super) fn new(Range { from, to }: Range, ranking: Ranking, products: Vec<TopProduct>) -> Self {
        let (by, currency) = match ranking {
            Ranking::Units(currency) => ("units", currency),
            Ranking::Revenue(currency) => ("revenue", Some(currency)),
        };
        let item = |(rank, TopProduct { product, orders, units, revenue })| TopProductBody {
            rank,
            product: ProductBody::from(product),
            orders,
            units,
            revenue,
        };
        Self { from, to, by, currency, items: (1..).zip(products).map(item).collect() }
    }
}

impl Report for TopProductsReport {
    fn name(&self) -> String {
        format!("top-products-by-{}", self.by)
    }

    fn table(&self) -> (Vec<&'static str>, Vec<Vec<Cell<'_>>>) {
        let header = [
            "rank",
            "product_id",
            "name",
            "category",
            "orders",
            "units",
            "revenue_amount",
            "revenue_currency",
        ];
        (header.into(), self.items.iter().map(TopProductBody::cells).collect())
    }
}

impl TopProductBody {
    fn cells(&self) -> Vec<Cell<'_>> {
        let Self { rank, product, orders, units, revenue } = self;
        let sold = [(*orders).into(), (*units).into()];
        [&[(*rank).into()], product.cells().as_slice(), &sold, &money(revenue.as_ref())].concat()
    }
}

impl FunnelReport {
    pub(super) fn new(Range { from, to }: Range, funnel: Funnel) -> Self {
        let Funnel { placed, confirmed, shipped, delivered, rejected, cancelled, open, settled_after } =
            funnel;
        let by_reason: Vec<_> =
            rejected.into_iter().map(|(reason, orders)| ReasonBody { reason, orders }).collect();
        let rejected = by_reason.iter().map(|reason| reason.orders).sum();
        let open = OpenBody { pending: open[0], confirmed: open[1], shipped: open[2] };
        // Far below what a float holds exactly.
        let settled = settled_after.map(|after| after.map(|millis| millis as f64 / 1000.0));
        Self {
            from,
            to,
            placed,
            confirmed,
            shipped,
            delivered,
            rejected: RejectedBody { orders: rejected, by_reason },
            cancelled,
            open,
            seconds_to_settle: settled.map(|[p50, p95]| SettledBody { p50, p95 }),
        }
    }
}

/// What single figures are listed under.
const FIGURES: [&str; 3] = ["figure", "of", "value"];

impl Report for FunnelReport {
    fn name(&self) -> String {
        "funnel".to_owned()
    }

    fn table(&self) -> (Vec<&'static str>, Vec<Vec<Cell<'_>>>) {
        fn row<'a>(figure: &'a str, of: &'a str, value: impl Into<Cell<'a>>) -> Vec<Cell<'a>> {
            vec![figure.into(), of.into(), value.into()]
        }
        let mut rows = vec![
            row("placed", "", self.placed),
            row("confirmed", "", self.confirmed),
            row("shipped", "", self.shipped),
            row("delivered", "", self.delivered),
            row("rejected", "", self.rejected.orders),
        ];
        rows.extend(
            self.rejected.by_reason.iter().map(|reason| row("rejected", &reason.reason, reason.orders)),
        );
        rows.extend([
            row("cancelled", "", self.cancelled),
            row("open", "pending", self.open.pending),
            row("open", "confirmed", self.open.confirmed),
            row("open", "shipped", self.open.shipped),
        ]);
        if let Some(SettledBody { p50, p95 }) = self.seconds_to_settle {
            rows.extend([row("seconds_to_settle", "p50", p50), row("seconds_to_settle", "p95", p95)]);
        }
        (FIGURES.into(), rows)
    }
}

impl CustomerReport {
    pub(super) fn new(customer_id: Uuid, customer: CustomerOrders) -> Self {
        let CustomerOrders { by_status, spent, first_order_at, last_order_at } = customer;
        let by_status: Vec<_> =
            by_status.into_iter().map(|(status, orders)| StatusBody { status, orders }).collect();
        let orders = by_status.iter().map(|status| status.orders).sum();
        Self { customer_id, orders, by_status, spent, first_order_at, last_order_at }
    }
}

impl Report for CustomerReport {
    fn name(&self) -> String {
        format!("customer-{}", self.customer_id)
    }

    fn table(&self) -> (Vec<&'static str>, Vec<Vec<Cell<'_>>>) {
        let text = |text: String| Cell::Text(text.into());
        let mut rows = vec![vec!["orders".into(), Cell::Empty, self.orders.into()]];
        let by_status = self.by_status.iter();
        rows.extend(
            by_status
                .map(|status| vec!["orders".into(), status.status.as_str().into(), status.orders.into()]),
        );
        let spent = self.spent.iter();
        rows.extend(spent.map(|Money { amount, currency }| {
            vec!["spent".into(), text(currency.to_string()), (*amount).into()]
        }));
        rows.extend([
            vec!["first_order_at".into(), Cell::Empty, text(self.first_order_at.to_string())],
            vec!["last_order_at".into(), Cell::Empty, text(self.last_order_at.to_string())],
        ]);
        (FIGURES.into(), rows)
    }
}
