use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use http::{Request as HttpRequest, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

use super::*;
use crate::shoppers::client::IDEMPOTENCY_KEY;

/// What the shop does with a request: answers it, or lets the connection break.
type Reaction = Option<(u16, Value)>;

/// A shop that does one thing after the other, whatever it is asked, and somebody who uses it.
struct Scene {
    person: Person,
    journal: Arc<Journal>,
    /// Method, path and idempotency key of each request.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Scene {
    async fn with(script: impl IntoIterator<Item = Reaction>) -> Self {
        let (api, asked) = shop(script.into_iter().collect()).await;
        let journal = Arc::new(Journal::default());
        let secret = Arc::new(Secret::example());
        Self { person: Person::new(0, 7, &api, &journal, &secret), journal, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The statuses of the tries of each deed.
    fn told(&self) -> Vec<Vec<Option<u16>>> {
        let tries = |deed: crate::journal::Deed| {
            deed.attempts.iter().map(|attempt| attempt.outcome.status()).collect()
        };
        self.journal.deeds().into_iter().map(tries).collect()
    }

    fn complaints(&self) -> Vec<String> {
        self.journal.deeds().into_iter().flat_map(|deed| deed.complaints).collect()
    }
}

async fn shop(script: VecDeque<Reaction>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (asked, script) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(Mutex::new(script)));
    let notes = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (notes, script) = (Arc::clone(&notes), Arc::clone(&script));
            let service = service_fn(move |request: HttpRequest<Incoming>| {
                let key = request.headers().get(IDEMPOTENCY_KEY).and_then(|key| key.to_str().ok());
                let note = format!("{} {} {}", request.method(), request.uri(), key.unwrap_or("-"));
                notes.lock().unwrap().push(note);
                let reaction = script.lock().unwrap().pop_front().flatten();
                async move {
                    let (status, body) = reaction.ok_or("broken on purpose")?;
                    let answer = Response::builder().status(status);
                    Ok::<_, Box<dyn std::error::Error + Send + Sync>>(
                        answer.body(Full::new(Bytes::from(body.to_string())))?,
                    )
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, asked)
}

fn answer(status: u16, body: Value) -> Reaction {
    Some((status, body))
}

fn refused() -> Reaction {
    answer(401, json!({}))
}

fn tokens() -> Reaction {
    answer(200, json!({ "access_token": "access", "refresh_token": "refresh" }))
}

/// The answers to somebody who registers and logs in.
fn welcome() -> [Reaction; 2] {
    // The address follows from the seed.
    let mark = StdRng::seed_from_u64(7 ^ (1 << 48));
    let mark = mark_of(mark);
    let user =
        json!({ "user_id": "u", "email": format!("{mark}@chaos.example"), "name": format!("Ada {mark}") });
    [answer(201, user), tokens()]
}

fn mark_of(mut rng: StdRng) -> Uuid {
    rng.random_range(FOR_AN_ANSWER);
    uuid::Builder::from_random_bytes(rng.random()).into_uuid()
}

fn wish() -> (What, Request) {
    let what = What::Place { user_id: "u".to_owned(), key: "k".to_owned(), items: Vec::new() };
    (what, Request::post("/api/orders", json!({})).with(IDEMPOTENCY_KEY, "k"))
}

#[tokio::test]
async fn what_fails_is_repeated_under_its_key_until_it_is_answered() {
    let failures = [answer(503, json!({})), None, answer(201, json!({ "order_id": "o" }))];
    let mut scene = Scene::with(welcome().into_iter().chain(failures)).await;
    scene.person.become_somebody(Role::Customer).await.unwrap();
    let (what, request) = wish();
    let wanted = scene.person.ask(what, &request).await.unwrap();

    assert_eq!(wanted.reply.status, 201);
    assert!(scene.person.was_unknown(&wanted));
    assert_eq!(scene.told()[2], [Some(503), None, Some(201)]);
    assert_eq!(scene.asked()[2..], ["POST /api/orders k"; 3]);
    assert_eq!(scene.complaints(), [""; 0]);
    assert_eq!((scene.journal.progress().failed, scene.journal.progress().orders), (2, 1));
}

#[tokio::test]
async fn who_is_refused_gets_new_tokens_and_complains_if_the_old_ones_were_good() {
    let rest = [refused(), refused(), tokens(), answer(200, json!({}))];
    let mut scene = Scene::with(welcome().into_iter().chain(rest)).await;
    scene.person.become_somebody(Role::Customer).await.unwrap();
    let wanted = scene.person.ask(What::ListOrders, &Request::get("/api/orders")).await.unwrap();

    assert_eq!(wanted.reply.status, 200);
    // The list, the refresh that is refused as well, and the login.
    assert_eq!(scene.told()[2..], [vec![Some(401), Some(200)], vec![Some(401)], vec![Some(200)]]);
    assert_eq!(scene.complaints().len(), 2, "{:?}", scene.complaints());
}

#[tokio::test]
async fn a_deletion_that_nobody_heard_of_counts_when_the_account_is_gone() {
    let rest = [None, refused(), refused(), refused()];
    let mut scene = Scene::with(welcome().into_iter().chain(rest)).await;
    scene.person.become_somebody(Role::Customer).await.unwrap();

    assert!(scene.person.leave().await);
    assert_eq!(scene.told()[2], [None, Some(401)]);
    assert_eq!(scene.complaints(), [""; 0]);
}

#[tokio::test]
async fn a_registration_that_nobody_heard_of_ends_with_a_login() {
    let claims = access_token::Claims::new(Uuid::nil(), Role::Customer, 0);
    let body = base64::Engine::encode(
        &base64::prelude::BASE64_URL_SAFE_NO_PAD,
        serde_json::to_vec(&claims).unwrap(),
    );
    let login = || answer(200, json!({ "access_token": format!("h.{body}.s"), "refresh_token": "r" }));
    let taken = || answer(409, json!({}));
    let mut scene = Scene::with([None, taken(), login(), login()]).await;
    scene.person.become_somebody(Role::Customer).await.unwrap();
    assert_eq!(scene.person.account.as_ref().unwrap().user_id, Uuid::nil().to_string());
    assert_eq!(scene.complaints(), [""; 0]);

    // Taken at the first try, the address is somebody else's.
    let mut scene = Scene::with([taken()]).await;
    assert!(scene.person.become_somebody(Role::Customer).await.is_none());
    assert_eq!(scene.complaints().len(), 1);
}
