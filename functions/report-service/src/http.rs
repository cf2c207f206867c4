//! Routes and bodies, and the one mapping from errors to problem details.

use axum::Router;
use utoipa::openapi::OpenApi;

use crate::ReportService;

/// The service's own routes.
pub(crate) fn routes() -> Router<ReportService> {
    Router::new()
}

/// What the routes are for, as OpenAPI says it.
pub(crate) fn documentation() -> OpenApi {
    OpenApi::default()
}
