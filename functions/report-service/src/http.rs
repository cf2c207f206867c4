//! Routes, and the mapping from errors to problems.

/// What is answered.
mod answers;
/// JSON or CSV.
mod format;
/// What clients ask for.
mod parameters;

use access_token::Admin;
use axum::{extract::State, response::Response};
use dynamodb_store::CursorError;
use http::{HeaderValue, StatusCode, header::LINK};
use problem_details::{PathId, Problem, Query};
use serde::{Serialize, de::DeserializeOwned};

use self::{
    answers::{CustomerReport, FunnelReport, SalesReport, TopProductsReport},
    format::Format,
    parameters::{By, FunnelQuery, SalesQuery, TopQuery, range},
};
use crate::{
    ReportService,
    database::DatabaseError,
    reports::{Part, Period},
};

lambda_dispatch::routes! {
    ReportService: sales, top_products, funnel, customer
}

/// What was sold, by time or by what it was
///
/// A sale is an order that is confirmed, shipped or delivered. It counts at the time when it was placed, in UTC, and for
/// its own currency. An order that is cancelled is none any more.
///
/// As CSV (`Accept: text/csv`) a page is the same rows; `revenue_amount` is in minor units, as in JSON.
#[utoipa::path(
    get, path = "/api/reports/sales", operation_id = "report_sales", tag = "reports", security(("bearer" = [])),
    params(SalesQuery),
    responses(
        (status = 200, description = "The sales: periods in their order, products in the order in which they were made, \
            categories by name", content((SalesReport = "application/json"), (String = "text/csv")),
            headers(("link" = Option<String>, description = "`rel=\"next\"`: the next page, if there is one"))),
        (status = 406, description = "Neither JSON nor CSV is accepted"),
        (status = 422, description = "`sum-too-large`: an amount can't be represented"),
        (status = 503, description = "The report took too long, or the database can't be reached"),
    )
)]
async fn sales(
    State(service): State<ReportService>,
    _: Admin,
    format: Format,
    Query(query): Query<SalesQuery>,
) -> Result<Response, Problem> {
    let SalesQuery { from, to, by, limit, cursor } = query;
    let (range, limit, cursor) = (range(from, to)?, limit.get(), cursor.as_deref());
    let pages =
        Pages { service: &service, scope: format!("sales/{}/{}/{}", range.from, range.to, by.as_str()) };
    let reports = &service.reports;
    let report = match by {
        By::Day | By::Week | By::Month => {
            let period = match by {
                By::Week => Period::Week,
                By::Month => Period::Month,
                _ => Period::Day,
            };
            let part = reports.sales_by_period(range, period, pages.open(cursor).await?, limit).await?;
            let (rows, next) = pages.seal(part);
            SalesReport::new(range, by, rows, next)
        }
        By::Product => {
            let part = reports.sales_by_product(range, pages.open(cursor).await?, limit).await?;
            let (rows, next) = pages.seal(part);
            SalesReport::new(range, by, rows, next)
        }
        By::Category => {
            let part = reports.sales_by_category(range, pages.open(cursor).await?, limit).await?;
            let (rows, next) = pages.seal(part);
            SalesReport::new(range, by, rows, next)
        }
    };
    let mut answer = format.answer(&report);
    if let Some(next) = report.next_page(limit) {
        let link = HeaderValue::try_from(format!("<{next}>; rel=\"next\"")).map_err(Problem::internal)?;
        answer.headers_mut().insert(LINK, link);
    }
    Ok(answer)
}

/// The products that were sold most
///
/// By units, or by revenue in one currency. What a sale is, and how CSV is asked for, is as for sales.
#[utoipa::path(
    get, path = "/api/reports/top-products", operation_id = "report_top_products", tag = "reports",
    security(("bearer" = [])),
    params(TopQuery),
    responses(
        (status = 200, description = "The products, most sold first",
            content((TopProductsReport = "application/json"), (String = "text/csv"))),
        (status = 406, description = "Neither JSON nor CSV is accepted"),
        (status = 422, description = "`sum-too-large`: an amount can't be represented"),
        (status = 503, description = "The report took too long, or the database can't be reached"),
    )
)]
async fn top_products(
    State(service): State<ReportService>,
    _: Admin,
    format: Format,
    Query(query): Query<TopQuery>,
) -> Result<Response, Problem> {
    let range = range(query.from, query.to)?;
    let ranking = query.ranking().ok_or_else(|| {
        let detail = "is required by revenue: amounts of several currencies can't be compared";
        Problem::invalid_field("/currency", detail)
    })?;
    let products = service.reports.top_products(range, ranking, query.limit.get()).await?;
    Ok(format.answer(&TopProductsReport::new(range, ranking, products)))
}

/// What became of orders
///
/// Of the orders that were placed in a range of time: how far they have come by now.
#[utoipa::path(
    get, path = "/api/reports/funnel", operation_id = "report_funnel", tag = "reports", security(("bearer" = [])),
    params(FunnelQuery),
    responses(
        (status = 200, description = "How many orders have come how far",
            content((FunnelReport = "application/json"), (String = "text/csv"))),
        (status = 406, description = "Neither JSON nor CSV is accepted"),
        (status = 503, description = "The report took too long, or the database can't be reached"),
    )
)]
async fn funnel(
    State(service): State<ReportService>,
    _: Admin,
    format: Format,
    Query(FunnelQuery { from, to }): Query<FunnelQuery>,
) -> Result<Response, Problem> {
    let range = range(from, to)?;
    let funnel = service.reports.funnel(range).await?;
    Ok(format.answer(&FunnelReport::new(range, funnel)))
}

/// What a customer has ordered
#[utoipa::path(
    get, path = "/api/reports/customers/{id}", operation_id = "report_customer", tag = "reports",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The customer's user id")),
    responses(
        (status = 200, description = "The customer's orders",
            content((CustomerReport = "application/json"), (String = "text/csv"))),
        (status = 404, description = "Nobody with this id has ordered anything, or the account is deleted"),
        (status = 406, description = "Neither JSON nor CSV is accepted"),
        (status = 422, description = "`sum-too-large`: an amount can't be represented"),
        (status = 503, description = "The report took too long, or the database can't be reached"),
    )
)]
async fn customer(
    State(service): State<ReportService>,
    _: Admin,
    format: Format,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    let customer = service.reports.customer(id).await?;
    let customer =
        customer.ok_or_else(|| Problem::not_found("No customer with this id has ordered anything."))?;
    Ok(format.answer(&CustomerReport::new(id, customer)))
}

/// The pages of one list: a cursor is good for that one alone.
struct Pages<'a> {
    service: &'a ReportService,
    scope: String,
}

impl Pages<'_> {
    async fn open<P: DeserializeOwned>(&self, cursor: Option<&str>) -> Result<Option<P>, Problem> {
        self.service.cursors.open(&self.scope, cursor).await.map_err(|error| match error {
            CursorError::Invalid => Problem::invalid_field("/cursor", "must be the next_cursor of this list"),
            CursorError::Undecided(cause) => Problem::unavailable(10).caused_by(cause),
        })
    }

    fn seal<R, P: Serialize>(&self, Part { rows, next }: Part<R, P>) -> (Vec<R>, Option<String>) {
        (rows, next.map(|next| self.service.cursors.seal(&self.scope, &next)))
    }
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        if error.is_timeout() {
            return Problem::unavailable(10).caused_by(error);
        }
        if error.is_out_of_range() {
            let detail = "An amount of this report can't be represented; ask for a shorter range.";
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return Problem::new(status, "sum-too-large", "Sum too large", detail).caused_by(error);
        }
        Problem::failure(error.is_retryable(), error)
    }
}
