//! The HTTP edge: everything between an API Gateway event and the service's routes, and back.

/// Requests of REST APIs.
mod api_gateway_v1;
/// Requests of HTTP APIs.
mod api_gateway_v2;
/// Where a request came from.
mod client_address;
/// What browsers have to know for pages of other origins.
mod cors;
/// Requests of load balancers.
mod load_balancer;
/// What all are read by.
mod parts;

use std::time::{Duration, Instant};

use axum::{
    body::{HttpBody, to_bytes},
    extract::{MatchedPath, Request},
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, SET_COOKIE, X_CONTENT_TYPE_OPTIONS},
};
use lambda_http::{
    Body as EventBody,
    aws_lambda_events::{
        alb::AlbTargetGroupResponse,
        apigw::{ApiGatewayProxyResponse, ApiGatewayV2httpResponse},
    },
};
use lambda_runtime::Context;
use problem_details::Problem;
use serde_json::value::{RawValue, to_raw_value};
use telemetry::Trace;
use tower::ServiceExt;
use tracing::{error, info, warn};

use crate::{
    Dispatcher, HandlerError, HttpSource, Service,
    batch::{OutOfTime, isolated, time_left},
};

pub use client_address::ClientAddress;
pub(crate) use cors::Origins;

/// The largest body that a service reads, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

impl<S: Service> Dispatcher<S> {
    pub(crate) async fn http(
        &self,
        source: HttpSource,
        event: &RawValue,
        context: Context,
    ) -> Result<Box<RawValue>, HandlerError> {
        let response = match read(source, event) {
            Ok(request) => {
                let origins = match source {
                    HttpSource::LoadBalancer => self.origins.as_ref(),
                    HttpSource::ApiGatewayV2 | HttpSource::ApiGatewayV1 => None,
                };
                let grant = origins.map(|origins| origins.grant(&request));
                let mut response = self.respond(request, &context).await;
                if let Some(grant) = grant {
                    grant.tell(&mut response);
                }
                response
            }
            Err(Unreadable) => unreadable(&context.request_id),
        };
        answer(source, response).await
    }

    /// Runs the routes and completes their answer; every failure of a request is logged here, once.
    async fn respond(&self, request: Request, context: &Context) -> Response {
        let started = Instant::now();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let size = request.body().size_hint().exact();
        let mut response = if size.is_none_or(|size| size > BODY_LIMIT as u64) {
            Problem::too_large(BODY_LIMIT).into_response()
        } else if cors::is_preflight(&request) {
            StatusCode::NO_CONTENT.into_response()
        } else {
            let trace = trace_of(&request, context);
            self.route(request, trace, time_left(context)).await
        };
        let route = response.extensions_mut().remove::<MatchedPath>();
        let route = route.as_ref().map_or("-", MatchedPath::as_str);
        let status = response.status().as_u16();
        let duration_ms = started.elapsed().as_secs_f64() * 1e3;
        let problem = problem_of(&mut response);
        match problem.as_ref().map(|problem| (problem.name(), problem.cause())) {
            Some((problem, Some(cause))) if status >= 500 => {
                error!(%method, route, status, duration_ms, problem, error = %telemetry::chain(cause), "request failed");
            }
            Some((problem, Some(cause))) => {
                warn!(%method, route, status, duration_ms, problem, error = %telemetry::chain(cause), "request refused");
            }
            Some((problem, None)) => info!(%method, route, status, duration_ms, problem, "request refused"),
            None => info!(%method, route, status, duration_ms, "request answered"),
        }
        if let Some(problem) = problem {
            let allow = response.headers_mut().remove(http::header::ALLOW);
            response = problem.render(&context.request_id, Some(&path));
            if let Some(allow) = allow {
                response.headers_mut().insert(http::header::ALLOW, allow);
            }
        }
        complete(response, &context.request_id)
    }

    /// The service's answer, or a problem in place of a panic or of no answer in time.
    async fn route(&self, request: Request, trace: Option<Trace>, time: Duration) -> Response {
        let router = self.router.clone();
        let routed = async { router.oneshot(request).await.map_err(|never| match never {}) };
        let routed = async {
            match trace {
                Some(trace) => trace.scope(routed).await,
                None => routed.await,
            }
        };
        isolated(time, routed).await.unwrap_or_else(|failure| {
            let problem = match failure.downcast_ref::<OutOfTime>() {
                Some(_) => Problem::unavailable(1).caused_by(failure),
                None => Problem::internal(failure),
            };
            problem.into_response()
        })
    }
}

/// The event can't be read as an HTTP request.
#[derive(Debug)]
struct Unreadable;

/// Reads the event as what its source sends.
fn read(source: HttpSource, event: &RawValue) -> Result<Request, Unreadable> {
    let event = event.get();
    match source {
        HttpSource::ApiGatewayV2 => api_gateway_v2::read(event),
        HttpSource::LoadBalancer => load_balancer::read(event),
        HttpSource::ApiGatewayV1 => api_gateway_v1::read(event),
    }
}

/// The answer to a request that is not HTTP: front doors pass on header values and addresses that can't be
/// represented.
fn unreadable(request_id: &str) -> Response {
    info!(status = 400, "request refused: not readable as HTTP");
    let problem = Problem::malformed("A header or the address of the request is not valid HTTP.");
    complete(problem.render(request_id, None), request_id)
}

/// The response in the shape that its front door reads.
async fn answer(source: HttpSource, response: Response) -> Result<Box<RawValue>, HandlerError> {
    let (parts, body) = response.into_parts();
    // What the routes made is in memory already; only requests are of a size that others choose.
    let body = match String::from_utf8(to_bytes(body, usize::MAX).await?.into()) {
        Ok(text) if text.is_empty() => None,
        Ok(text) => Some(EventBody::Text(text)),
        Err(binary) => Some(EventBody::Binary(binary.into_bytes())),
    };
    let is_base64_encoded = matches!(body, Some(EventBody::Binary(_)));
    let status_code = i64::from(parts.status.as_u16());
    let mut headers = parts.headers;
    let answer = match source {
        HttpSource::ApiGatewayV2 => {
            let mut answer = ApiGatewayV2httpResponse::default();
            answer.cookies = take_cookies(&mut headers);
            answer.headers = headers;
            (answer.status_code, answer.body, answer.is_base64_encoded) =
                (status_code, body, is_base64_encoded);
            to_raw_value(&answer)
        }
        HttpSource::ApiGatewayV1 => {
            let mut answer = ApiGatewayProxyResponse::default();
            // A header that stood in both maps would be sent twice.
            answer.multi_value_headers = headers;
            (answer.status_code, answer.body, answer.is_base64_encoded) =
                (status_code, body, is_base64_encoded);
            to_raw_value(&answer)
        }
        HttpSource::LoadBalancer => {
            let mut answer = AlbTargetGroupResponse::default();
            answer.status_description = Some(parts.status.to_string());
            // The target group's settings say which of them it reads.
            (answer.multi_value_headers, answer.headers) = (headers.clone(), headers);
            (answer.status_code, answer.body, answer.is_base64_encoded) =
                (status_code, body, is_base64_encoded);
            to_raw_value(&answer)
        }
    };
    Ok(answer?)
}

/// Cookies have a member of their own in API Gateway's format 2.0, where each header has one value.
fn take_cookies(headers: &mut HeaderMap) -> Vec<String> {
    let text = |cookie: &HeaderValue| cookie.to_str().ok().map(str::to_owned);
    let cookies = headers.get_all(SET_COOKIE).iter().filter_map(text).collect();
    headers.remove(SET_COOKIE);
    cookies
}

/// The caller's trace, if it sent one, or X-Ray's trace of this invocation. The front door's `x-amzn-trace-id` names no
/// span to continue.
fn trace_of<B>(request: &http::Request<B>, context: &Context) -> Option<Trace> {
    let traceparent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    let xray = context.xray_trace_id.as_deref();
    traceparent.and_then(Trace::from_traceparent).or_else(|| xray.and_then(Trace::from_xray))
}

/// The problem that an answer stands for: its own, or for the router's plain refusals the fitting one.
fn problem_of(response: &mut Response) -> Option<Problem> {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return Some(problem);
    }
    match response.status() {
        StatusCode::NOT_FOUND => Some(Problem::not_found("There is nothing at this path.")),
        StatusCode::METHOD_NOT_ALLOWED => Some(Problem::method_not_allowed()),
        status if status.is_client_error() => Some(Problem::malformed("The request can't be read.")),
        _ => None,
    }
}

/// What every answer carries.
fn complete(mut response: Response, request_id: &str) -> Response {
    let headers = response.headers_mut();
    if let Ok(request_id) = HeaderValue::from_str(request_id) {
        headers.insert(X_REQUEST_ID, request_id);
    }
    // What a route does not declare cacheable may be private.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
