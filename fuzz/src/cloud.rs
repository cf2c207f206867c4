use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
    orchestrator::HttpRequest,
};
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use http::{Method, Request, Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use test_support::Emulator;

/// What the services call, without a connection: DynamoDB is the emulator of the tests; topics, queues and buckets take
/// what AWS would take.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cloud(Arc<Mutex<Objects>>);

/// By bucket and key: a file and its content type.
type Objects = BTreeMap<String, (&'static str, Vec<u8>)>;

impl Cloud {
    /// Configuration for clients of it.
    pub(crate) fn sdk_config(&self) -> SdkConfig {
        let connector = SharedHttpConnector::new(self.clone());
        let client = http_client_fn(move |_, _| connector.clone());
        test_support::sdk_config("http://cloud.invalid").into_builder().http_client(client).build()
    }

    /// Stores a file as if it had been uploaded.
    pub(crate) fn put(&self, bucket: &str, key: &str, content_type: &'static str, file: &[u8]) {
        self.objects().insert(format!("{bucket}/{key}"), (content_type, file.to_owned()));
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Request<SdkBody>) -> Response<Vec<u8>> {
        let body = request.body().bytes().unwrap_or_default();
        let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
        match target.and_then(|target| target.split_once('.')) {
            Some(("AmazonSQS", operation)) => queue(operation, body),
            Some((_, operation)) => {
                let (status, answer) = Emulator::call(operation, body);
                json(status, answer)
            }
            None if request.uri().path() == "/" => xml(StatusCode::OK, PUBLISHED),
            None => self.bucket(request, body),
        }
    }

    /// S3, with addresses that begin with the bucket, and one version of each object.
    fn bucket(&self, request: &Request<SdkBody>, body: &[u8]) -> Response<Vec<u8>> {
        let path = percent_decode_str(request.uri().path().trim_matches('/')).decode_utf8_lossy();
        let query = request.uri().query().unwrap_or_default();
        let mut objects = self.objects();
        if *request.method() != Method::GET {
            let body = String::from_utf8_lossy(body);
            let keys = body.split("<Key>").skip(1).filter_map(|part| part.split("</Key>").next());
            keys.for_each(|key| drop(objects.remove(&format!("{path}/{key}"))));
            return xml(StatusCode::OK, "<DeleteResult></DeleteResult>");
        }
        if query.contains("versions") {
            let wanted = query.split('&').find_map(|pair| pair.strip_prefix("prefix=")).unwrap_or_default();
            let wanted = format!("{path}/{}", percent_decode_str(wanted).decode_utf8_lossy());
            let keys = objects.keys().filter(|key| key.starts_with(&wanted));
            let version = |key: &String| {
                let key = &key[path.len() + 1..];
                format!("<Version><Key>{key}</Key><VersionId>1</VersionId></Version>")
            };
            let versions: String = keys.map(version).collect();
            return xml(StatusCode::OK, &format!("<ListVersionsResult>{versions}</ListVersionsResult>"));
        }
        let Some((content_type, file)) = objects.get(&*path) else {
            return xml(StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>");
        };
        let range = request.headers().get(header::RANGE).and_then(|range| range.to_str().ok());
        let last = range.and_then(|range| range.rsplit('-').next()?.parse::<usize>().ok());
        let last = last.unwrap_or(usize::MAX).min(file.len() - 1);
        let answer = Response::builder()
            .status(StatusCode::PARTIAL_CONTENT)
            .header(header::CONTENT_TYPE, *content_type)
            .header(header::CONTENT_RANGE, format!("bytes 0-{last}/{}", file.len()));
        answer.body(file[..=last].to_owned()).expect("an answer of S3")
    }
}

impl HttpConnector for Cloud {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request = request.try_into_http1x().expect("a request that is HTTP");
        let answer = self.answer(&request).map(SdkBody::from);
        HttpConnectorFuture::ready(Ok(answer.try_into().expect("an answer that is HTTP")))
    }
}

/// SNS names the entries that it does not take; here it takes all.
const PUBLISHED: &str = "<PublishBatchResponse><PublishBatchResult><Successful/><Failed/></PublishBatchResult>\
    <ResponseMetadata><RequestId>fuzz</RequestId></ResponseMetadata></PublishBatchResponse>";

/// SQS takes no message with a character that XML does not have.
fn queue(operation: &str, body: &[u8]) -> Response<Vec<u8>> {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let attributes = request["MessageAttributes"].as_object().into_iter().flatten();
    let mut texts = attributes.map(|(_, value)| &value["StringValue"]).chain([&request["MessageBody"]]);
    let is_taken = texts.all(|text| text.as_str().unwrap_or_default().chars().all(is_in_xml));
    if operation == "SendMessage" && !is_taken {
        return json(400, r#"{"__type":"com.amazonaws.sqs#InvalidMessageContents"}"#.to_owned());
    }
    json(200, r#"{"MessageId":"message","MD5OfMessageBody":""}"#.to_owned())
}

fn is_in_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn json(status: u16, body: String) -> Response<Vec<u8>> {
    let answer =
        Response::builder().status(status).header(header::CONTENT_TYPE, "application/x-amz-json-1.0");
    answer.body(body.into_bytes()).expect("an answer in JSON")
}

fn xml(status: StatusCode, body: &str) -> Response<Vec<u8>> {
    let answer = Response::builder().status(status).header(header::CONTENT_TYPE, "application/xml");
    answer.body(body.as_bytes().to_owned()).expect("an answer in XML")
}
