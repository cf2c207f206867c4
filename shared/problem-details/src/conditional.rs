use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::{
    HeaderMap, HeaderValue,
    header::{IF_MATCH, IF_NONE_MATCH},
    request::Parts,
};

use crate::problem::Problem;

/// A strong entity tag made of a row's version: `"7"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityTag(pub u64);

impl From<EntityTag> for HeaderValue {
    fn from(EntityTag(version): EntityTag) -> Self {
        // Digits in quotes are always a valid header value.
        HeaderValue::try_from(format!("\"{version}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
    }
}

/// The precondition of a change (RFC 9110, 13.1.1): the version that the client has seen, if it names one.
///
/// `If-Match: *` asks only that the resource exists, which every change does anyway. A tag that is not one
/// of ours can't match any version: 412.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IfMatch(pub Option<u64>);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match tags(&parts.headers, IF_MATCH).as_slice() {
            [] => Ok(Self(None)),
            ["*"] => Ok(Self(None)),
            [tag] => version(tag).map(|version| Self(Some(version))).ok_or_else(Problem::precondition_failed),
            _ => Err(Problem::invalid_field("/If-Match", "must name one version")),
        }
    }
}

/// The tags that a client already holds (RFC 9110, 13.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfNoneMatch {
    any: bool,
    versions: Vec<u64>,
}

impl IfNoneMatch {
    /// Whether the client holds this version already, so that 304 answers it.
    pub fn holds(&self, EntityTag(version): EntityTag) -> bool {
        self.any || self.versions.contains(&version)
    }
}

impl<S: Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let tags = tags(&parts.headers, IF_NONE_MATCH);
        // The comparison for reads is the weak one: a proxy may have made our tag weak by compressing.
        let versions = tags.iter().filter_map(|tag| version(tag.strip_prefix("W/").unwrap_or(tag))).collect();
        Ok(Self { any: tags == ["*"], versions })
    }
}

fn tags(headers: &HeaderMap, name: http::HeaderName) -> Vec<&str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|tag| !tag.is_empty())
        .collect()
}

fn version(tag: &str) -> Option<u64> {
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use axum::extract::Request;

    use super::*;

    fn parts(name: http::HeaderName, value: &str) -> Parts {
        Request::builder().header(name, value).body(()).unwrap().into_parts().0
    }

    #[tokio::test]
    async fn if_match_names_one_version_or_any() {
        let read = async |value| IfMatch::from_request_parts(&mut parts(IF_MATCH, value), &()).await;
        assert_eq!(read("\"7\"").await.unwrap(), IfMatch(Some(7)));
        assert_eq!(read("*").await.unwrap(), IfMatch(None));
        assert_eq!(read("\"abc\"").await.unwrap_err().status(), 412);
        assert_eq!(read("W/\"7\"").await.unwrap_err().status(), 412);
        assert_eq!(read("\"7\", \"8\"").await.unwrap_err().status(), 400);
    }

    #[tokio::test]
    async fn if_none_match_compares_weakly() {
        let read = async |value| {
            let Ok(read) = IfNoneMatch::from_request_parts(&mut parts(IF_NONE_MATCH, value), &()).await;
            read
        };
        assert!(read("\"6\", W/\"7\"").await.holds(EntityTag(7)));
        assert!(read("*").await.holds(EntityTag(7)));
        assert!(!read("\"6\"").await.holds(EntityTag(7)));
    }
}
