use std::{borrow::Cow, error::Error, sync::Arc};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde::Serialize;
use utoipa::ToSchema;

/// Prefix of every problem type; the rest is the stable, documented name of the problem.
const TYPE_PREFIX: &str = "urn:problem-type:shop:";

/// An error answer according to [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457).
///
/// A handler returns it; the HTTP edge takes it out of the response's extensions, logs its cause once and
/// writes the final body, which names the request. Nothing of the cause reaches the client.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    name: &'static str,
    title: &'static str,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    headers: HeaderMap,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

/// What is wrong with one field of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the field in the body, or `/<name>` of a query parameter.
    #[schema(example = "/items/0/quantity")]
    pub pointer: String,
    /// What a valid value looks like.
    pub detail: Cow<'static, str>,
}

/// The JSON body of an error answer, `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// Identifies the kind of problem; stable, to be compared as a string.
    #[serde(rename = "type")]
    #[schema(example = "urn:problem-type:shop:invalid-input")]
    pub kind: String,
    /// Short summary, the same for all problems of this type.
    pub title: &'a str,
    /// The HTTP status code.
    pub status: u16,
    /// What went wrong in this case.
    pub detail: &'a str,
    /// Path of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<&'a str>,
    /// The request's id, as in `x-request-id` and in the logs.
    pub request_id: &'a str,
    /// One entry per wrong field.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub errors: &'a [FieldError],
}

impl Problem {
    /// A problem of a kind of its own. `name` is the last part of the `type` URI and never changes once it is
    /// published; `title` goes with the name.
    pub fn new(
        status: StatusCode,
        name: &'static str,
        title: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (errors, headers) = (Vec::new(), HeaderMap::new());
        Self { status, name, title, detail: detail.into(), errors, headers, cause: None }
    }

    /// 400: the input can't be accepted as it is; one entry per wrong field.
    pub fn invalid_input(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] => Cow::Owned(format!("{} {}", only.pointer, only.detail)),
            _ => Cow::Borrowed("Some fields are not acceptable; see errors."),
        };
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, "invalid-input", "Invalid input", detail) }
    }

    /// 400: one field or parameter is wrong.
    pub fn invalid_field(pointer: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::invalid_input(vec![FieldError { pointer: pointer.into(), detail: detail.into() }])
    }

    /// 400: the request can't be read at all, so that no field can be named.
    pub fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed-request", "Malformed request", detail)
    }

    /// 401: no valid credentials.
    pub fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Authentication needed", detail)
    }

    /// 403: the caller is known and may not do this.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", detail)
    }

    /// 404: there is no such thing, or not for this caller.
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    /// 405: the path exists, but not with this method. The caller adds `Allow`.
    pub fn method_not_allowed() -> Self {
        let detail = "This path does not support the method; see the Allow header.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
    }

    /// 409: the request is valid but contradicts the present state.
    pub fn conflict(name: &'static str, title: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, name, title, detail)
    }

    /// 412: `If-Match` names another version than the present one.
    pub fn precondition_failed() -> Self {
        let detail = "The resource has changed since the version named in If-Match; read it again.";
        Self::new(StatusCode::PRECONDITION_FAILED, "stale-version", "Stale version", detail)
    }

    /// 413: the body is larger than `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        let detail = format!("The body may have at most {limit} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large", detail)
    }

    /// 415: the body is not JSON.
    pub fn unsupported_media_type() -> Self {
        let detail = "The body has to be JSON: content-type: application/json.";
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "Unsupported media type",
            detail,
        )
    }

    /// 500: a fault of the service. The cause is logged, never shown.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let detail = "The request failed because of a fault in the service. The request id identifies it.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal-error", "Internal error", detail)
            .caused_by(cause)
    }

    /// 503: something that the service needs is busy or out of reach; a repetition after `seconds` may
    /// succeed.
    pub fn unavailable(seconds: u32) -> Self {
        let detail = "The service can't answer right now; please try again.";
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily-unavailable",
            "Temporarily unavailable",
            detail,
        )
        .with_header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// What something that the service needs has failed with: 503 if that passes, 500 if it does not.
    pub fn failure(passes: bool, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        if passes { Self::unavailable(1).caused_by(cause) } else { Self::internal(cause) }
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Attaches the error that led here, for the log.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(Arc::from(cause.into()));
        self
    }

    /// The HTTP status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The last part of the problem's `type`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What is wrong with which field.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// The error that led here, if there is one.
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.cause.as_deref()
    }

    /// The JSON of the final answer, complete with the request's id and path.
    fn to_json(&self, request_id: &str, path: Option<&str>) -> String {
        let body = ProblemBody {
            kind: format!("{TYPE_PREFIX}{}", self.name),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            instance: path,
            request_id,
            errors: &self.errors,
        };
        // Strings and numbers only: serialisation has nothing to fail on.
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// The final answer, complete with the request's id and path.
    pub fn render(&self, request_id: &str, path: Option<&str>) -> Response {
        let mut response = Response::new(Body::from(self.to_json(request_id, path)));
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers.clone());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

impl IntoResponse for Problem {
    /// An empty answer that carries the problem; the HTTP edge renders it.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}
