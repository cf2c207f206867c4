use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tokio::task::JoinHandle;

use crate::loopback::{listen, runtime};

/// Stands in for S3 where a test looks at what a service does with objects: versioned buckets in memory, reached by
/// path. Any bucket exists, and nobody is asked for a signature.
///
/// Speaks `PutObject`, `GetObject` with a range, `DeleteObject`, `ListObjectVersions` and `DeleteObjects`. Clones share
/// what they hold.
#[derive(Clone)]
pub struct BucketStub(Arc<Inner>);

struct Inner {
    endpoint: String,
    book: Arc<Mutex<Book>>,
    server: JoinHandle<()>,
}

/// What the buckets hold, and what is to go wrong.
#[derive(Default)]
struct Book {
    /// By bucket and key: the versions, oldest first.
    objects: BTreeMap<(String, String), Vec<Version>>,
    versions: usize,
    failing_calls: usize,
}

struct Version {
    id: String,
    /// `None` is a delete marker.
    content: Option<Content>,
}

struct Content {
    /// Those that came with it and are answered with it.
    headers: HeaderMap,
    bytes: Bytes,
}

/// The headers that S3 keeps with an object, beside `x-amz-meta-…`.
const KEPT: [HeaderName; 6] = [
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_TYPE,
    header::EXPIRES,
];

/// What S3 calls a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Put,
    Get,
    Delete,
    ListVersions,
    DeleteMany,
}

impl BucketStub {
    /// Starts on a free loopback port and stops when the last clone is dropped.
    pub fn start() -> Self {
        let book = Arc::<Mutex<Book>>::default();
        let (listener, endpoint) = listen();
        let router = Router::new().fallback(serve).with_state(book.clone());
        let server = runtime().spawn(async move {
            // An accept loop on loopback ends with the task only.
            axum::serve(listener, router).await.expect("the stub serves");
        });
        Self(Arc::new(Inner { endpoint, book, server }))
    }

    /// Configuration for clients of it.
    pub fn sdk_config(&self) -> aws_types::SdkConfig {
        crate::sdk_config(&self.0.endpoint)
    }

    /// Stores an object as if it had been uploaded.
    pub fn put(&self, bucket: &str, key: &str, content_type: &str, bytes: impl Into<Bytes>) {
        self.put_with(bucket, key, &[(header::CONTENT_TYPE.as_str(), content_type)], bytes);
    }

    /// Stores an object as if it had been uploaded with these headers, which have to be valid.
    pub fn put_with(&self, bucket: &str, key: &str, headers: &[(&str, &str)], bytes: impl Into<Bytes>) {
        let header = |(name, value): &(&str, &str)| {
            let name = HeaderName::try_from(*name).expect("a header's name");
            (name, HeaderValue::try_from(*value).expect("a header's value"))
        };
        let content = Content { headers: kept(headers.iter().map(header)), bytes: bytes.into() };
        self.book().add(bucket, key, Some(content));
    }

    /// The keys of a bucket of which there is anything left, be it an old version or a delete marker.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let book = self.book();
        book.objects.keys().filter(|(of, _)| of == bucket).map(|(_, key)| key.clone()).collect()
    }

    /// Answers the next `calls` with an internal error. The SDK makes three tries: it takes three to fail one
    /// operation.
    pub fn fail_calls(&self, calls: usize) {
        self.book().failing_calls = calls;
    }

    /// Answers a request; also what S3 calls it.
    pub(crate) fn answer(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> (Option<&'static str>, Response) {
        let operation = Operation::of(method, uri).map(Operation::name);
        (operation, self.book().answer(method, uri, headers, body))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.0.book)
    }
}

impl fmt::Debug for BucketStub {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BucketStub").field("endpoint", &self.0.endpoint).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(
    State(book): State<Arc<Mutex<Book>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    lock(&book).answer(&method, &uri, &headers, &body)
}

impl Operation {
    fn of(method: &Method, uri: &Uri) -> Option<Self> {
        let (_, key) = place(uri);
        match (method.as_str(), key.is_empty()) {
            ("PUT", false) => Some(Self::Put),
            ("GET", false) => Some(Self::Get),
            ("DELETE", false) => Some(Self::Delete),
            ("GET", true) if parameter(uri, "versions").is_some() => Some(Self::ListVersions),
            ("POST", true) if parameter(uri, "delete").is_some() => Some(Self::DeleteMany),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Put => "PutObject",
            Self::Get => "GetObject",
            Self::Delete => "DeleteObject",
            Self::ListVersions => "ListObjectVersions",
            Self::DeleteMany => "DeleteObjects",
        }
    }
}

impl Book {
    fn answer(&mut self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Response {
        if self.failing_calls > 0 {
            self.failing_calls -= 1;
            return error(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
        }
        let (bucket, key) = place(uri);
        let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match Operation::of(method, uri) {
            Some(Operation::Put) => {
                let headers = kept(headers.iter().map(|(name, value)| (name.clone(), value.clone())));
                self.add(bucket, key, Some(Content { headers, bytes: Bytes::copy_from_slice(body) }));
                StatusCode::OK.into_response()
            }
            Some(Operation::Get) => self.get(bucket, key, range),
            Some(Operation::Delete) => {
                self.remove(bucket, key, parameter(uri, "versionId").as_deref());
                StatusCode::NO_CONTENT.into_response()
            }
            Some(Operation::ListVersions) => self.list_versions(bucket, uri),
            Some(Operation::DeleteMany) => self.remove_many(bucket, &String::from_utf8_lossy(body)),
            None => error(StatusCode::NOT_IMPLEMENTED, "NotImplemented"),
        }
    }

    fn add(&mut self, bucket: &str, key: &str, content: Option<Content>) {
        self.versions += 1;
        let version = Version { id: format!("version-{}", self.versions), content };
        self.objects.entry((bucket.to_owned(), key.to_owned())).or_default().push(version);
    }

    fn remove(&mut self, bucket: &str, key: &str, version: Option<&str>) {
        let Some(version) = version else { return self.add(bucket, key, None) };
        let place = (bucket.to_owned(), key.to_owned());
        if let Some(versions) = self.objects.get_mut(&place) {
            versions.retain(|known| known.id != version);
            if versions.is_empty() {
                self.objects.remove(&place);
            }
        }
    }

    fn get(&self, bucket: &str, key: &str, range: &str) -> Response {
        let versions = self.objects.get(&(bucket.to_owned(), key.to_owned()));
        let Some(content) = versions.and_then(|versions| versions.last()?.content.as_ref()) else {
            return error(StatusCode::NOT_FOUND, "NoSuchKey");
        };
        let (bytes, length) = (&content.bytes, content.bytes.len());
        let headers = content.headers.clone();
        let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
            return (headers, bytes.clone()).into_response();
        };
        let (first, last) =
            (first.parse().unwrap_or(0), last.parse().unwrap_or(usize::MAX).min(length.max(1) - 1));
        if first >= length || last < first {
            return error(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange");
        }
        let content_range = [(header::CONTENT_RANGE, format!("bytes {first}-{last}/{length}"))];
        (StatusCode::PARTIAL_CONTENT, headers, content_range, bytes.slice(first..=last)).into_response()
    }

    /// Pages of versions, newest first within a key, as S3 orders them.
    fn list_versions(&self, bucket: &str, uri: &Uri) -> Response {
        let text = |name| parameter(uri, name).unwrap_or_default();
        let (prefix, most) = (text("prefix"), text("max-keys").parse().unwrap_or(1000));
        let marker = (text("key-marker"), text("version-id-marker"));
        let all: Vec<(&str, bool, &Version)> = self
            .objects
            .iter()
            .filter(|((of, key), _)| of == bucket && key.starts_with(&prefix))
            .flat_map(|((_, key), versions)| {
                let newest_first = versions.iter().rev().enumerate();
                newest_first.map(move |(place, version)| (key.as_str(), place == 0, version))
            })
            .collect();
        let after = all.iter().position(|(key, _, version)| *key == marker.0 && version.id == marker.1);
        let rest = &all[after.map_or(0, |position| position + 1)..];
        let page = &rest[..rest.len().min(most)];
        let mut xml = format!("<ListVersionsResult><IsTruncated>{}</IsTruncated>", rest.len() > page.len());
        // Writing to a String does not fail.
        for (key, latest, version) in page {
            let kind = if version.content.is_some() { "Version" } else { "DeleteMarker" };
            let _ = write!(
                xml,
                "<{kind}><Key>{key}</Key><VersionId>{}</VersionId><IsLatest>{latest}</IsLatest></{kind}>",
                version.id
            );
        }
        if let Some((key, _, version)) = page.last().filter(|_| rest.len() > page.len()) {
            let _ = write!(
                xml,
                "<NextKeyMarker>{key}</NextKeyMarker><NextVersionIdMarker>{}</NextVersionIdMarker>",
                version.id
            );
        }
        ([(header::CONTENT_TYPE, "application/xml")], xml + "</ListVersionsResult>").into_response()
    }

    fn remove_many(&mut self, bucket: &str, body: &str) -> Response {
        for object in body.split("<Object>").skip(1) {
            let key = element(object, "Key").unwrap_or_default();
            self.remove(bucket, key, element(object, "VersionId"));
        }
        ([(header::CONTENT_TYPE, "application/xml")], "<DeleteResult></DeleteResult>").into_response()
    }
}

fn kept(headers: impl Iterator<Item = (HeaderName, HeaderValue)>) -> HeaderMap {
    headers.filter(|(name, _)| KEPT.contains(name) || name.as_str().starts_with("x-amz-meta-")).collect()
}

/// The bucket and the key that a path names.
fn place(uri: &Uri) -> (&str, &str) {
    let path = uri.path().trim_start_matches('/');
    path.split_once('/').unwrap_or((path, ""))
}

fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let mut parameters = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    parameters.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// What the first element of a name holds; keys of tests need no escaping.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once("</").map(|(text, _)| text)
}

fn error(status: StatusCode, code: &str) -> Response {
    let body = format!("<Error><Code>{code}</Code><Message>told to fail</Message></Error>");
    (status, [(header::CONTENT_TYPE, "application/xml")], body).into_response()
}
