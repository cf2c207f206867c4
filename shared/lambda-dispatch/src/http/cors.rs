//! What browsers have to know for pages of other origins ([CORS]). An HTTP API passes a preflight on to a route that takes
//! any method, and adds the headers to what comes back. A load balancer adds nothing, so that its answers get here what
//! `x-amazon-apigateway-cors` in the template gives to the API's.
//!
//! [CORS]: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html

use std::sync::Arc;

use axum::{extract::Request, response::Response};
use http::{
    HeaderValue, Method,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};

const ALLOW_METHODS: &str = "GET,POST,PUT,PATCH,DELETE";
const ALLOW_HEADERS: &str = "authorization,content-type,idempotency-key,if-match,if-none-match,traceparent";
const EXPOSE_HEADERS: &str = "etag,idempotency-replayed,location,retry-after,x-request-id";
const MAX_AGE: &str = "600";

/// Whether a browser asks if a page may send a request. Whether it may is in the headers of the answer alone, which has
/// to be a success in either case.
pub(super) fn is_preflight(request: &Request) -> bool {
    let headers = request.headers();
    request.method() == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The origins whose pages may call, separated by commas. As in an HTTP API, `*` is every origin, `https://*` and
/// `http://*` are all of a scheme.
#[derive(Debug, Clone)]
pub(crate) struct Origins(Arc<str>);

impl Origins {
    /// The origins that the environment names; none where the front door is an HTTP API alone.
    pub(crate) fn from_env() -> Option<Self> {
        let origins = std::env::var("CORS_ORIGINS").ok()?;
        (!origins.is_empty()).then(|| Self(origins.into()))
    }

    /// What the answer to a request has to tell.
    pub(super) fn grant(&self, request: &Request) -> Grant {
        let origin = request.headers().get(ORIGIN).and_then(|origin| self.allowed(origin));
        Grant { origin, is_preflight: is_preflight(request) }
    }

    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        let name = origin.to_str().ok()?;
        self.0.split(',').find_map(|allowed| match allowed {
            "*" => Some(HeaderValue::from_static("*")),
            "https://*" | "http://*" => {
                name.starts_with(allowed.trim_end_matches('*')).then(|| origin.clone())
            }
            allowed => name.eq_ignore_ascii_case(allowed).then(|| origin.clone()),
        })
    }
}

/// What an answer tells the browser.
#[derive(Debug)]
pub(super) struct Grant {
    /// The origin that may read the answer, if the one that asks may.
    origin: Option<HeaderValue>,
    is_preflight: bool,
}

impl Grant {
    /// Puts it into the headers of the answer.
    pub(super) fn tell(self, response: &mut Response) {
        let headers = response.headers_mut();
        // A cache must not give the answer to one origin to another.
        headers.append(VARY, HeaderValue::from_static("origin"));
        let Some(origin) = self.origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.is_preflight {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(ALLOW_METHODS));
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOW_HEADERS));
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        } else {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSE_HEADERS));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origins: &str, origin: &'static str) -> Option<HeaderValue> {
        Origins(origins.into()).allowed(&HeaderValue::from_static(origin))
    }

    #[test]
    fn an_origin_is_allowed_by_its_name_its_scheme_or_as_any() {
        for origins in ["https://shop.example", "http://a.example,https://shop.example", "https://*"] {
            assert_eq!(
                allowed(origins, "https://shop.example").unwrap(),
                "https://shop.example",
                "{origins}"
            );
        }
        assert_eq!(allowed("*", "https://shop.example").unwrap(), "*");
    }

    #[test]
    fn another_origin_is_not_however_much_it_looks_like_one() {
        for origins in
            ["https://shop.example", "https://shop.example.org,http://shop.example", "http://*", "https://"]
        {
            assert_eq!(allowed(origins, "https://shop.example:8443"), None, "{origins}");
        }
        assert_eq!(allowed("https://*", "null"), None);
        assert_eq!(allowed("https://shop.example", ""), None);
    }
}
