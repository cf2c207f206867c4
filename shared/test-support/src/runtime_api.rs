use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

/// The [Lambda Runtime API](https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html) on a loopback port: what a
/// `bootstrap` polls. Events that are invoked go to whichever poll comes next.
#[derive(Debug)]
pub struct RuntimeApi {
    address: String,
    events: mpsc::UnboundedSender<Invocation>,
}

#[derive(Debug)]
struct Invocation {
    event: String,
    answer: oneshot::Sender<Result<String, String>>,
}

#[derive(Debug)]
struct Api {
    events: AsyncMutex<mpsc::UnboundedReceiver<Invocation>>,
    under_way: Mutex<HashMap<String, oneshot::Sender<Result<String, String>>>>,
}

impl RuntimeApi {
    /// Starts on a free loopback port.
    pub fn start() -> Self {
        let (events, receiver) = mpsc::unbounded_channel();
        let api = Arc::new(Api { events: AsyncMutex::new(receiver), under_way: Mutex::default() });
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .with_state(api);
        let (listener, endpoint) = crate::loopback::listen();
        crate::loopback::runtime().spawn(async move { axum::serve(listener, routes).await });
        Self { address: endpoint.trim_start_matches("http://").to_owned(), events }
    }

    /// What `AWS_LAMBDA_RUNTIME_API` has to say.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Hands over an event and waits for the answer; `Err` is what the function reports as its failure.
    pub async fn invoke(&self, event: impl Into<String>) -> Result<String, String> {
        let (answer, answered) = oneshot::channel();
        self.events.send(Invocation { event: event.into(), answer }).map_err(|error| error.to_string())?;
        answered.await.map_err(|error| error.to_string())?
    }
}

async fn next(State(api): State<Arc<Api>>) -> Response {
    let Some(Invocation { event, answer }) = api.events.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let id = uuid::Uuid::now_v7().to_string();
    api.under_way.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(id.clone(), answer);
    let deadline = SystemTime::now() + Duration::from_secs(30);
    let deadline = deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let headers = [
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", deadline.as_millis().to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:000000000000:function:f".to_owned(),
        ),
    ];
    (headers, event).into_response()
}

async fn response(State(api): State<Arc<Api>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    api.settle(&id, Ok(String::from_utf8_lossy(&body).into_owned()))
}

async fn error(State(api): State<Arc<Api>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    api.settle(&id, Err(String::from_utf8_lossy(&body).into_owned()))
}

impl Api {
    fn settle(&self, id: &str, result: Result<String, String>) -> StatusCode {
        match self.under_way.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(id) {
            Some(answer) => {
                // Whoever invoked may have given up waiting.
                answer.send(result).ok();
                StatusCode::ACCEPTED
            }
            None => StatusCode::BAD_REQUEST,
        }
    }
}
