use std::{borrow::Cow, fmt, ops::ControlFlow};

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Request},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use deserr::{DeserializeError, Deserr, ErrorKind, IntoValue, MergeWithError, ValueKind, ValuePointerRef};
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE, request::Parts};
use serde::Serialize;
use serde_json::Value;

use crate::problem::{FieldError, Problem};

/// A JSON body: of an answer, any serialisable type; of a request, read strictly: unknown fields, wrong types and values out of range are all reported, each
/// with a pointer. The type derives [`Deserr`] with `error = InputErrors` and `deny_unknown_fields`.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

/// A query string, read as strictly as [`Json`]; all values are strings.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

/// Why a value is not acceptable; the text completes "field …", as in "must have 1 to 100 characters".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidValue(pub Cow<'static, str>);

impl InvalidValue {
    /// A reason that is known in advance.
    pub const fn new(detail: &'static str) -> Self {
        Self(Cow::Borrowed(detail))
    }
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidValue {}

/// Everything that is wrong with one input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InputErrors(pub Vec<FieldError>);

/// More than this many errors tell a client nothing new.
const MAX_ERRORS: usize = 20;

impl InputErrors {
    /// Adds errors up to the bound; beyond it, reading stops.
    fn with(mut self, errors: impl IntoIterator<Item = FieldError>) -> ControlFlow<Self, Self> {
        self.0.extend(errors);
        self.0.truncate(MAX_ERRORS);
        if self.0.len() == MAX_ERRORS { ControlFlow::Break(self) } else { ControlFlow::Continue(self) }
    }
}

impl From<InputErrors> for Problem {
    fn from(InputErrors(errors): InputErrors) -> Self {
        Problem::invalid_input(errors)
    }
}

impl DeserializeError for InputErrors {
    fn error<V: IntoValue>(
        so_far: Option<Self>,
        error: ErrorKind<'_, V>,
        location: ValuePointerRef<'_>,
    ) -> ControlFlow<Self, Self> {
        let (pointer, detail) = match error {
            ErrorKind::MissingField { field } => (child(location, field), Cow::Borrowed("is required")),
            ErrorKind::UnknownKey { key, .. } => {
                (child(location, key), Cow::Borrowed("is not a known field"))
            }
            ErrorKind::IncorrectValueKind { accepted, .. } => {
                (pointer(location), Cow::Owned(format!("must be {}", kinds(accepted))))
            }
            ErrorKind::UnknownValue { accepted, .. } => {
                (pointer(location), Cow::Owned(format!("must be one of {}", accepted.join(", "))))
            }
            ErrorKind::BadSequenceLen { expected, .. } => {
                (pointer(location), Cow::Owned(format!("must have {expected} elements")))
            }
            // Only raised by the library's own number conversions; its text may quote the input.
            ErrorKind::Unexpected { .. } => (pointer(location), Cow::Borrowed("is out of range")),
        };
        so_far.unwrap_or_default().with([FieldError { pointer, detail }])
    }
}

impl MergeWithError<InputErrors> for InputErrors {
    fn merge(so_far: Option<Self>, other: Self, _: ValuePointerRef<'_>) -> ControlFlow<Self, Self> {
        so_far.unwrap_or_default().with(other.0)
    }
}

impl MergeWithError<InvalidValue> for InputErrors {
    fn merge(
        so_far: Option<Self>,
        InvalidValue(detail): InvalidValue,
        location: ValuePointerRef<'_>,
    ) -> ControlFlow<Self, Self> {
        so_far.unwrap_or_default().with([FieldError { pointer: pointer(location), detail }])
    }
}

impl<S, T> FromRequest<S> for Json<T>
where
    S: Send + Sync,
    T: Deserr<InputErrors>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::unsupported_media_type());
        }
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|_| Problem::malformed("The body can't be read to its end."))?;
        let value: Value = serde_json::from_slice(&body).map_err(|error| {
            // serde_json's message names positions and expectations, never content.
            let place = format!("line {}, column {}", error.line(), error.column());
            Problem::malformed(format!("The body is not acceptable JSON ({place})."))
        })?;
        Ok(Json(deserr::deserialize::<T, _, InputErrors>(value)?))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => {
                let content_type = HeaderValue::from_static("application/json");
                ([(CONTENT_TYPE, content_type)], Body::from(body)).into_response()
            }
            Err(error) => Problem::internal(error).into_response(),
        }
    }
}

impl<S, T> FromRequestParts<S> for Query<T>
where
    S: Send + Sync,
    T: Deserr<InputErrors>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut parameters = serde_json::Map::new();
        for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            let pointer = || format!("/{name}");
            if parameters.insert(name.to_string(), Value::String(value.into_owned())).is_some() {
                return Err(Problem::invalid_field(pointer(), "may be given only once"));
            }
        }
        Ok(Query(deserr::deserialize::<T, _, InputErrors>(Value::Object(parameters))?))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// The location as a JSON pointer (RFC 6901).
fn pointer(location: ValuePointerRef<'_>) -> String {
    match location {
        ValuePointerRef::Origin => String::new(),
        ValuePointerRef::Key { key, prev } => child(*prev, key),
        ValuePointerRef::Index { index, prev } => format!("{}/{index}", pointer(*prev)),
    }
}

fn child(location: ValuePointerRef<'_>, key: &str) -> String {
    // An unknown key comes from the client: keep what is echoed short.
    let key: String = key.chars().take(64).collect();
    format!("{}/{}", pointer(location), key.replace('~', "~0").replace('/', "~1"))
}

fn kinds(accepted: &[ValueKind]) -> String {
    let mut names: Vec<&str> = accepted
        .iter()
        .map(|kind| match kind {
            ValueKind::Null => "null",
            ValueKind::Boolean => "true or false",
            ValueKind::Integer | ValueKind::NegativeInteger => "an integer",
            ValueKind::Float => "a number",
            ValueKind::String => "a string",
            ValueKind::Sequence => "an array",
            ValueKind::Map => "an object",
        })
        .collect();
    names.dedup();
    names.join(" or ")
}

#[cfg(test)]
mod tests {
    use deserr::Deserr;

    use super::*;

    #[derive(Debug, Deserr)]
    #[deserr(error = InputErrors, try_from(String) = Code::try_from -> InvalidValue)]
    struct Code(#[allow(dead_code)] String);

    impl TryFrom<String> for Code {
        type Error = InvalidValue;
        fn try_from(value: String) -> Result<Self, InvalidValue> {
            if value.len() == 3 { Ok(Self(value)) } else { Err(InvalidValue::new("must have 3 letters")) }
        }
    }

    #[derive(Debug, Deserr)]
    #[deserr(error = InputErrors, deny_unknown_fields)]
    #[allow(dead_code)]
    struct Line {
        code: Code,
        count: u32,
    }

    #[derive(Debug, Deserr)]
    #[deserr(error = InputErrors, deny_unknown_fields)]
    #[allow(dead_code)]
    struct Basket {
        lines: Vec<Line>,
        #[deserr(default)]
        note: Option<String>,
    }

    async fn read(body: &str, content_type: &str) -> Result<Json<Basket>, Problem> {
        let request =
            Request::builder().header(CONTENT_TYPE, content_type).body(Body::from(body.to_owned())).unwrap();
        Json::from_request(request, &()).await
    }

    fn pointers(problem: &Problem) -> Vec<&str> {
        problem.errors().iter().map(|error| error.pointer.as_str()).collect()
    }

    #[tokio::test]
    async fn every_wrong_field_is_named_at_once() {
        let body = r#"{"lines":[{"code":"abc","count":1},{"code":"toolong","count":-1,"price":0}],"a/b":1}"#;
        let problem = read(body, "application/json").await.unwrap_err();
        let mut named = pointers(&problem);
        named.sort();
        assert_eq!(named, ["/a~1b", "/lines/1/code", "/lines/1/count", "/lines/1/price"]);
        assert_eq!(problem.status(), 400);
    }

    #[tokio::test]
    async fn no_more_errors_are_named_than_anybody_reads() {
        let body = format!(r#"{{"lines":[{}]}}"#, vec!["{}"; 10_000].join(","));
        assert_eq!(read(&body, "application/json").await.unwrap_err().errors().len(), MAX_ERRORS);
    }

    #[tokio::test]
    async fn a_missing_field_is_named_where_it_should_stand() {
        let problem = read("{}", "application/json; charset=utf-8").await.unwrap_err();
        assert_eq!(pointers(&problem), ["/lines"]);
    }

    #[tokio::test]
    async fn only_json_is_read() {
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonish"] {
            assert_eq!(read("{}", content_type).await.unwrap_err().status(), 415, "{content_type}");
        }
        assert!(read(r#"{"lines":[]}"#, "application/merge-patch+json").await.is_ok());
    }

    #[tokio::test]
    async fn broken_and_deep_json_is_malformed() {
        let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
        for body in ["", "{", "nonsense", "{\"lines\":[]}x", deep.as_str()] {
            let problem = read(body, "application/json").await.unwrap_err();
            assert_eq!((problem.status().as_u16(), problem.name()), (400, "malformed-request"));
        }
    }

    #[tokio::test]
    async fn a_query_refuses_unknown_and_repeated_parameters() {
        #[derive(Debug, Deserr)]
        #[deserr(error = InputErrors, deny_unknown_fields)]
        #[allow(dead_code)]
        struct Filter {
            #[deserr(default)]
            code: Option<Code>,
        }
        async fn query(query: &str) -> Result<Query<Filter>, Problem> {
            let (mut parts, ()) =
                Request::builder().uri(format!("/x?{query}")).body(()).unwrap().into_parts();
            Query::from_request_parts(&mut parts, &()).await
        }
        assert!(query("code=abc").await.is_ok());
        assert_eq!(pointers(&query("colour=red").await.unwrap_err()), ["/colour"]);
        assert_eq!(pointers(&query("code=abc&code=abd").await.unwrap_err()), ["/code"]);
        assert_eq!(pointers(&query("code=a%2Fb%2Fc").await.unwrap_err()), ["/code"]);
    }
}
