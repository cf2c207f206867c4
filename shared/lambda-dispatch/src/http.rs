//! The HTTP edge: everything between an API Gateway event and the service's routes, and back.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{MatchedPath, Request},
    response::{IntoResponse, Response},
};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS},
};
use lambda_http::{
    Adapter, LambdaEvent, aws_lambda_events::apigw::ApiGatewayProxyRequest, request::LambdaRequest,
    service_fn,
};
use lambda_runtime::Context;
use problem_details::Problem;
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};
use telemetry::Trace;
use tower::{Service as _, ServiceExt};
use tracing::{error, info, warn};

use crate::{
    Dispatcher, HandlerError, HttpSource, Service,
    batch::{OutOfTime, isolated, time_left},
};

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
        let Ok(request) = read(source, event) else {
            return unreadable(&context.request_id);
        };
        let context = &context;
        // The adapter panics on an address that is none, and a client can send one.
        let call = catch_unwind(AssertUnwindSafe(|| {
            let respond =
                |request| async move { Ok::<_, HandlerError>(self.respond(request, context).await) };
            Adapter::from(service_fn(respond)).call(LambdaEvent::new(request, context.clone()))
        }));
        match call {
            Ok(answer) => Ok(to_raw_value(&answer.await?)?),
            Err(_) => unreadable(&context.request_id),
        }
    }

    /// Runs the routes and completes their answer; every failure of a request is logged here, once.
    async fn respond(&self, request: lambda_http::Request, context: &Context) -> Response {
        let started = Instant::now();
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts, body);
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let mut response = if request.body().len() > BODY_LIMIT {
            Problem::too_large(BODY_LIMIT).into_response()
        } else {
            let trace = trace_of(&request, context);
            self.route(request.map(|body| Body::from(body.to_vec())), trace, time_left(context)).await
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

/// Reads the event as what its source sends.
fn read(source: HttpSource, event: &RawValue) -> serde_json::Result<LambdaRequest> {
    let event = event.get();
    Ok(match source {
        HttpSource::ApiGatewayV2 => LambdaRequest::ApiGatewayV2(serde_json::from_str(event)?),
        HttpSource::ApiGatewayV1 => {
            let mut request: ApiGatewayProxyRequest = serde_json::from_str(event)?;
            // The adapter would put the stage in front of the path; routes know nothing of stages.
            request.request_context.stage = None;
            LambdaRequest::ApiGatewayV1(request)
        }
        HttpSource::LoadBalancer => LambdaRequest::Alb(serde_json::from_str(event)?),
    })
}

/// The answer to a request that is not HTTP: front doors pass on header values and addresses that can't be
/// represented. This form of an answer is understood by all of them.
fn unreadable(request_id: &str) -> Result<Box<RawValue>, HandlerError> {
    info!(status = 400, "request refused: not readable as HTTP");
    let problem = Problem::malformed("A header or the address of the request is not valid HTTP.");
    Ok(to_raw_value(&json!({
        "statusCode": problem.status().as_u16(),
        "headers": { "content-type": "application/problem+json", "x-request-id": request_id },
        "isBase64Encoded": false,
        "body": problem.to_json(request_id, None),
    }))?)
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
