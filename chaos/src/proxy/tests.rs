use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use http::StatusCode;
use serde_json::Value;

use super::*;
use crate::{ledger::Ledger, plan::Plan};

/// So long is the one window of the plans below, and nobody waits for it.
const RUN: Duration = Duration::from_secs(1);
const TOO_LONG_HERE: Duration = Duration::from_millis(50);

/// A cloud that notes what it was asked, behind a proxy.
struct Behind {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
    schedule: Arc<Schedule>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Behind {
    /// With a plan whose only window is the whole run.
    async fn proxy(kinds: &[Kind]) -> Self {
        let (asked, cloud) = cloud().await;
        let plan = Plan::new(3, RUN, kinds.iter().copied().collect::<BTreeSet<_>>());
        let schedule = Arc::new(Schedule::new(Arc::new(plan), Arc::new(Ledger::new(None))));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        Proxy::between(listener, cloud, Arc::clone(&schedule), TOO_LONG_HERE);
        schedule.begin();
        let client = Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build_http();
        Self { address, asked, schedule, client }
    }

    /// Calls until something is injected, and gives the answer to that call.
    async fn first_injected(
        &self,
        header: (&str, &str),
        body: &str,
    ) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
        loop {
            let before = self.schedule.ledger.total();
            self.asked().clear();
            let request = Request::post(&self.address)
                .header(header.0, header.1)
                .body(Full::from(Bytes::from(body.to_owned())))
                .unwrap();
            let answer = self.client.request(request).await;
            if self.schedule.ledger.total() > before {
                return answer;
            }
        }
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server that answers every call as SNS does when it takes a batch.
async fn cloud() -> (Arc<Mutex<Vec<String>>>, Uri) {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let notes = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let notes = Arc::clone(&notes);
            let service = service_fn(move |request: Request<Incoming>| {
                let notes = Arc::clone(&notes);
                async move {
                    let body = request.into_body().collect().await?.to_bytes();
                    notes.lock().unwrap().push(String::from_utf8_lossy(&body).into_owned());
                    Ok::<_, hyper::Error>(entries::nothing_taken())
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (asked, address.parse().unwrap())
}

const PUT_ITEM: (&str, &str) = ("x-amz-target", "DynamoDB_20120810.PutItem");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn json(answer: Response<Incoming>) -> Value {
    serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

#[tokio::test]
async fn a_call_that_nothing_hits_is_passed_on_as_it_is() {
    let behind = Behind::proxy(&[]).await;
    let request = Request::post(&behind.address).body(Full::from("what is asked")).unwrap();
    let answer = behind.client.request(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(*behind.asked(), ["what is asked"]);
}

#[tokio::test]
async fn what_is_refused_is_not_carried_out() {
    for (kind, status, error) in [
        (Kind::DynamodbThrottled, 400, "ProvisionedThroughputExceededException"),
        (Kind::DynamodbFailing, 500, "InternalServerError"),
    ] {
        let behind = Behind::proxy(&[kind]).await;
        let answer = behind.first_injected(PUT_ITEM, "{}").await.unwrap();
        assert_eq!(answer.status(), status);
        let answer = json(answer).await["__type"].as_str().unwrap().to_owned();
        assert!(answer.ends_with(error) || answer.ends_with("ThrottlingException"), "{answer}");
        assert!(behind.asked().is_empty());
    }
}

#[test]
fn a_throttled_transaction_names_one_item() {
    let call = Call { service: call::Service::DynamoDb, operation: "TransactWriteItems".to_owned() };
    for form in [0.0, 0.2, 0.49] {
        let mut answer = refusals::throttled(&call, br#"{"TransactItems":[{},{},{}]}"#, form).into_body();
        let text = futures_util::FutureExt::now_or_never(text_of(&mut answer)).unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        let reasons = answer["CancellationReasons"].as_array().unwrap();
        assert_eq!(reasons.len(), 3);
        assert_eq!(reasons.iter().filter(|reason| reason["Code"] == "ThrottlingError").count(), 1);
    }
}

#[tokio::test]
async fn a_connection_is_cut_before_a_call_is_carried_out_or_after() {
    let before = Behind::proxy(&[Kind::ResetBefore]).await;
    before.first_injected(PUT_ITEM, "{}").await.unwrap_err();
    assert!(before.asked().is_empty());
    let after = Behind::proxy(&[Kind::ResetAfter]).await;
    after.first_injected(PUT_ITEM, "{}").await.unwrap_err();
    assert_eq!(after.asked().len(), 1);
}

#[tokio::test]
async fn a_late_call_is_carried_out_although_nobody_waits_any_more() {
    let behind = Behind::proxy(&[Kind::Late]).await;
    while behind.schedule.ledger.total() == 0 {
        behind.asked().clear();
        let request = Request::post(&behind.address).header(PUT_ITEM.0, PUT_ITEM.1);
        let call = behind.client.request(request.body(Full::from("late")).unwrap());
        // Whoever calls hangs up as soon as the call is hit.
        let hit = async {
            while behind.schedule.ledger.total() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! { _ = call => (), () = hit => () }
    }
    assert!(behind.asked().is_empty());
    while behind.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(*behind.asked(), ["late"]);
}

#[tokio::test]
async fn of_a_batch_some_entries_are_taken_and_the_others_refused() {
    let behind = Behind::proxy(&[Kind::SnsEntries]).await;
    let entry = |n: u32| format!("{ENTRY}{n}.Id=e{n}&{ENTRY}{n}.Message=m{n}");
    const ENTRY: &str = "PublishBatchRequestEntries.member.";
    let form = format!("Action=PublishBatch&TopicArn=t&{}&{}&{}&{}", entry(1), entry(2), entry(3), entry(4));
    let (taken, failed) = loop {
        let answer = behind.first_injected(FORM, &form).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let asked = behind.asked().first().cloned();
        if let Some(asked) = asked {
            break (asked, String::from_utf8(body.into()).unwrap());
        }
    };
    let field = |name: &str| form_urlencoded::parse(taken.as_bytes()).find(|(key, _)| key == name);
    assert_eq!(field("TopicArn").unwrap().1, "t");
    let mut numbers = Vec::new();
    for n in 1..=4 {
        let is_failed = failed.contains(&format!("<Id>e{n}</Id>"));
        let is_taken = taken.contains(&format!("=e{n}"));
        assert!(is_failed != is_taken, "entry {n}: {taken} {failed}");
        numbers.extend(is_taken.then_some(n));
    }
    // What is left is numbered from 1 on, and keeps its content.
    for (number, n) in (1..).zip(&numbers) {
        assert_eq!(field(&format!("{ENTRY}{number}.Id")).unwrap().1, format!("e{n}"));
        assert_eq!(field(&format!("{ENTRY}{number}.Message")).unwrap().1, format!("m{n}"));
    }
    assert!(field(&format!("{ENTRY}{}.Id", numbers.len() + 1)).is_none());
}
