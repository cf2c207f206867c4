//! What the functions take for AWS: it passes their calls on, except for those that the plan hits.

use std::{
    convert::Infallible,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{
    HeaderMap, Request, Response, Uri,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
    uri::PathAndQuery,
};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::net::{TcpListener, TcpStream};

use crate::{plan::Kind, proxy::call::Call, schedule::Schedule, world::World};

/// Which service and operation a call is for.
mod call;
/// Batches of which the topic takes only a part.
mod entries;
/// What AWS answers when it does not do what it was asked for.
mod refusals;
#[cfg(test)]
mod tests;

/// How long the answer to a slow call takes, and a late one to be carried out: longer than one attempt of a function may
/// take (`shared/service-config`).
const TOO_LONG: Duration = Duration::from_secs(4);

type Answer = Response<Full<Bytes>>;

/// A call as it came in.
type Asked = Request<Bytes>;

/// The connection ends here, without an answer.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is cut on purpose")
    }
}

impl std::error::Error for Cut {}

/// The proxy, and how much went through it.
pub(crate) struct Proxy {
    schedule: Arc<Schedule>,
    client: Client<HttpConnector, Full<Bytes>>,
    cloud: Uri,
    too_long: Duration,
    calls: AtomicU64,
}

impl Proxy {
    /// Listens on the port that the functions were told.
    pub(crate) async fn start(world: &World, schedule: Arc<Schedule>) -> Result<Arc<Self>> {
        let port = world.proxy_port;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener = listener.with_context(|| format!("the proxy can't listen on port {port}"))?;
        let cloud = world.cloud.parse().with_context(|| format!("{} is no address", world.cloud))?;
        Ok(Self::between(listener, cloud, schedule, TOO_LONG))
    }

    /// Serves what comes to this listener, and passes it on to this address.
    fn between(listener: TcpListener, cloud: Uri, schedule: Arc<Schedule>, too_long: Duration) -> Arc<Self> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let proxy = Arc::new(Self { schedule, client, cloud, too_long, calls: AtomicU64::new(0) });
        tokio::spawn(Arc::clone(&proxy).accept(listener));
        proxy
    }

    /// How many calls there were, hit or not.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            // What fails is a connection that is gone already.
            if let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&self).serve(stream));
            }
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let service = service_fn(|request| self.answer(request));
        let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        if (&mut connection).await.is_err() {
            // Closed without lingering it is reset, as by something that broke on the way, and not ended in order. If it
            // is gone already, that is as good.
            connection.into_parts().io.into_inner().set_zero_linger().ok();
        }
    }

    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Result<Answer, Cut> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        let call = Call::of(&head.headers, &body);
        let asked = Request::from_parts(head, body);
        match call.service.kinds().iter().find(|kind| call.is_open_to(**kind) && self.hits(**kind, &call)) {
            Some(kind) => self.inject(*kind, &call, asked).await,
            None => self.pass_on(asked).await,
        }
    }

    fn hits(&self, kind: Kind, call: &Call) -> bool {
        // Of a batch each entry is decided on its own.
        kind == Kind::SnsEntries || self.schedule.hits(kind, &call.name())
    }

    async fn inject(self: &Arc<Self>, kind: Kind, call: &Call, asked: Asked) -> Result<Answer, Cut> {
        let draw = || self.schedule.draw(kind, "form");
        if kind == Kind::SnsEntries {
            return self.without_entries(call, asked).await;
        }
        self.schedule.ledger.injected_into(kind, &call.name(), asked.body(), 1);
        match kind {
            Kind::DynamodbThrottled => Ok(refusals::throttled(call, asked.body(), draw())),
            Kind::DynamodbFailing => Ok(refusals::failing(call)),
            Kind::SnsFailing | Kind::SecretsDown => Ok(refusals::failing(call)),
            Kind::Slow => {
                let answer = self.pass_on(asked).await;
                tokio::time::sleep(self.too_long).await;
                answer
            }
            Kind::Late => {
                let proxy = Arc::clone(self);
                // Whoever asked hangs up meanwhile, which ends this future and not that one.
                let carried_out = tokio::spawn(async move {
                    tokio::time::sleep(proxy.too_long).await;
                    proxy.pass_on(asked).await
                });
                carried_out.await.map_err(|_| Cut)?
            }
            Kind::ResetAfter => {
                self.pass_on(asked).await?;
                Err(Cut)
            }
            _ => Err(Cut),
        }
    }

    /// A batch for a topic of which some entries fail.
    async fn without_entries(&self, call: &Call, asked: Asked) -> Result<Answer, Cut> {
        let name = call.name();
        let (head, body) = asked.into_parts();
        let batch = entries::Batch::read(&body, || self.schedule.hits(Kind::SnsEntries, &name));
        self.schedule.ledger.injected_into(Kind::SnsEntries, &name, &body, batch.refused());
        let answer = match batch.rest(head, body) {
            Some(rest) => self.pass_on(rest).await?,
            None => entries::nothing_taken(),
        };
        batch.amend(answer).await
    }

    /// Lets the cloud do what was asked. While it is away, which it is when it restarts, there is nobody to connect to.
    async fn pass_on(&self, asked: Asked) -> Result<Answer, Cut> {
        let (mut head, body) = asked.into_parts();
        let path = head.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        let mut address = self.cloud.clone().into_parts();
        address.path_and_query = Some(path);
        head.uri = Uri::from_parts(address).map_err(|_| Cut)?;
        remove_hop_by_hop(&mut head.headers);
        head.headers.remove(CONTENT_LENGTH);
        let answer =
            self.client.request(Request::from_parts(head, Full::from(body))).await.map_err(|_| Cut)?;
        let (mut head, body) = answer.into_parts();
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        remove_hop_by_hop(&mut head.headers);
        Ok(Response::from_parts(head, Full::from(body)))
    }
}

/// Headers that are about one connection and not about the call. The host stays as it is: it is signed.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    headers.remove(CONNECTION);
    headers.remove(TRANSFER_ENCODING);
}

/// The text of an answer that is there as a whole.
async fn text_of(answer: &mut Full<Bytes>) -> String {
    let whole: Result<_, Infallible> = answer.collect().await;
    whole.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default()
}
