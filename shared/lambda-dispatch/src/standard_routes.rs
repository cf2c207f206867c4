//! Routes that every service has: health and its own OpenAPI document.

use axum::{
    Router,
    extract::State,
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderValue, header::CONTENT_TYPE};
use problem_details::{Json, Problem};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Service;

/// Whether the service lives and can work.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `up`, as the load balancer's health check and people expect it.
    #[schema(example = "up")]
    status: &'static str,
    /// The service that answers.
    #[schema(example = "order-service")]
    service: &'static str,
}

/// The service's router: its own routes and the standard ones.
pub(crate) fn router<S: Service>(service: &S) -> Router {
    let collection = S::COLLECTION;
    S::routes()
        .route("/health/live", get(live::<S>))
        .route("/health/ready", get(ready::<S>))
        .route(&format!("/api/{collection}/health/live"), get(live::<S>))
        .route(&format!("/api/{collection}/health/ready"), get(ready::<S>))
        .route(&format!("/api/{collection}/openapi.json"), get(document::<S>))
        .layer(middleware::from_fn(keep_matched_path))
        .with_state(service.clone())
}

async fn live<S: Service>() -> Json<Health> {
    Json(Health { status: "up", service: S::NAME })
}

async fn ready<S: Service>(State(service): State<S>) -> Result<Json<Health>, Problem> {
    service.ready().await.map_err(|cause| Problem::unavailable(5).caused_by(cause))?;
    Ok(live::<S>().await)
}

async fn document<S: Service>() -> impl IntoResponse {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], S::OPENAPI)
}

/// Keeps the route's pattern with the answer, for the log: paths themselves hold ids.
async fn keep_matched_path(request: axum::extract::Request, next: middleware::Next) -> Response {
    let route = request.extensions().get::<axum::extract::MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(route);
    }
    response
}
