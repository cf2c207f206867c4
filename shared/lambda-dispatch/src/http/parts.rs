//! What the events of several front doors are read by.

use std::{borrow::Cow, collections::BTreeMap};

use axum::body::Body;
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header::COOKIE, uri::PathAndQuery};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::Unreadable;

/// What no address may contain and a decoded path can.
const NOT_IN_PATHS: AsciiSet = CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'?').add(b'`');

/// Headers or parameters, each with its last value.
pub(super) type Single = BTreeMap<String, String>;
/// Headers or parameters, each with all of its values.
pub(super) type Multiple = BTreeMap<String, Vec<String>>;

/// The address that a path, decoded, and a query, as the client has written it, stand for.
pub(super) fn address(path: &str, query: &str) -> Result<Uri, Unreadable> {
    let path = Cow::from(utf8_percent_encode(path, &NOT_IN_PATHS));
    let path_and_query = match query {
        "" => PathAndQuery::try_from(&*path),
        query => PathAndQuery::try_from(format!("{path}?{query}")),
    };
    path_and_query.map(Uri::from).map_err(|_| Unreadable)
}

/// The body of an event that may have it in base64.
pub(super) fn body(body: Option<String>, is_base64_encoded: Option<bool>) -> Result<Body, Unreadable> {
    match body {
        None => Ok(Body::empty()),
        Some(body) if is_base64_encoded == Some(true) => {
            Ok(BASE64_STANDARD.decode(body).map_err(|_| Unreadable)?.into())
        }
        Some(body) => Ok(body.into()),
    }
}

/// All values, if the event has them, or else the last ones.
pub(super) fn values(single: Option<Single>, multiple: Option<Multiple>) -> Multiple {
    multiple.unwrap_or_else(|| {
        single.unwrap_or_default().into_iter().map(|(name, value)| (name, vec![value])).collect()
    })
}

/// Headers as HTTP allows them, each with one value, to which an HTTP API joins several.
pub(super) fn header_map(headers: Multiple) -> Result<HeaderMap, Unreadable> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, values) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Unreadable)?;
        let value = values.join(if name == COOKIE { "; " } else { "," });
        map.insert(name, HeaderValue::try_from(value).map_err(|_| Unreadable)?);
    }
    Ok(map)
}
