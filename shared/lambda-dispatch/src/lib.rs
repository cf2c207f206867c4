#![doc = include_str!("../README.md")]

/// What queue and stream batches share: isolation, time left, the answer.
mod batch;
/// The HTTP edge.
mod http;
/// The OpenAPI document of a service.
mod openapi;
/// The way out: topic, dead-letter queue, retry times.
mod outbox;
/// How long to wait before something is tried again.
mod patience;
/// Routes and their documentation out of one list.
mod routes;
/// What a service has to be.
mod service;
/// Queue batches.
mod sqs;
/// Health and OpenAPI routes.
mod standard_routes;
/// Stream batches.
mod stream;
/// Which trigger an event is.
mod trigger;

use std::{process::ExitCode, sync::Arc, time::Duration};

use axum::Router;
use futures_util::{FutureExt, future::BoxFuture};
use lambda_runtime::{Context, LambdaEvent, service_fn};
use serde_json::value::{RawValue, to_raw_value};
use tracing::{Instrument, error, error_span};

use crate::http::Origins;
pub use crate::{
    http::{BODY_LIMIT, ClientAddress},
    openapi::openapi,
    outbox::Outbox,
    service::{Change, Content, Fact, HandlerError, Message, Row, Service, Task},
    sqs::Unreadable,
    trigger::{HttpSource, Trigger, UnknownEvent},
};

/// What the code that [`routes!`] makes refers to.
#[doc(hidden)]
pub mod __private {
    pub use axum::Router;
    pub use pastey::paste;
    pub use utoipa;

    pub use crate::routes::route;
}

/// Starts a function: telemetry, AWS configuration, the service as `connect` makes it, and the Lambda runtime.
///
/// Ends only with the environment, or with one clear line that says why: the configuration is not complete.
pub fn run<S, C>(connect: C) -> ExitCode
where
    S: Service,
    C: AsyncFnOnce(&aws_types::SdkConfig) -> Result<S, HandlerError>,
{
    telemetry::init();
    log_panics();
    let started = tokio_runtime().map_err(HandlerError::from).and_then(|runtime| {
        let dispatcher = runtime.block_on(start(connect))?;
        Ok((runtime, dispatcher))
    });
    let (runtime, dispatcher) = match started {
        Ok(started) => started,
        Err(cause) => {
            error!(error = %telemetry::chain(&*cause), "the function can't start");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve(dispatcher)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            error!(error = %telemetry::chain(&*cause), "the function has stopped");
            ExitCode::FAILURE
        }
    }
}

async fn start<S, C>(connect: C) -> Result<Dispatcher<S>, HandlerError>
where
    S: Service,
    C: AsyncFnOnce(&aws_types::SdkConfig) -> Result<S, HandlerError>,
{
    let config = service_config::aws()?;
    let outbox = Outbox::from_env::<S>(&config)?;
    let environment = service_config::required("ENVIRONMENT")?;
    let dispatcher = Dispatcher::new(connect(&config).await?, outbox, &environment);
    Ok(Dispatcher { origins: Origins::from_env(), ..dispatcher })
}

async fn serve<S: Service>(dispatcher: Dispatcher<S>) -> Result<(), HandlerError> {
    let handler = move |LambdaEvent { payload, context }| {
        let dispatcher = dispatcher.clone();
        async move { dispatcher.handle(payload, context).await }
    };
    tokio::spawn(keep_a_timer());
    // As a task: the future that a runtime blocks on is woken through the kernel, a task is just queued.
    tokio::spawn(lambda_runtime::run_concurrent(service_fn(handler))).await?
}

/// One environment serves one request at a time, and one thread does that with the least work. Where Lambda
/// gives it several at once (Managed Instances), they share all cores.
fn tokio_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let concurrency =
        std::env::var("AWS_LAMBDA_MAX_CONCURRENCY").ok().and_then(|limit| limit.parse::<u32>().ok());
    let mut builder = match concurrency {
        Some(2..) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    builder.enable_all().build()
}

/// Sees to it that a timer is always due within a second. Every time limit that is set while none is due before it
/// wakes the runtime through the kernel, and a call has several.
async fn keep_a_timer() {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Panics are caught where one record or request is handled; the place where they happen is known only here.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        error!(place, "panicked");
    }));
}

/// Takes any event of a function to the code that it is for.
#[derive(Debug)]
pub struct Dispatcher<S> {
    service: S,
    router: Router,
    outbox: Arc<Outbox>,
    queue_prefix: Arc<str>,
    /// Whose pages may call through a load balancer.
    origins: Option<Origins>,
}

impl<S: Clone> Clone for Dispatcher<S> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            router: self.router.clone(),
            outbox: Arc::clone(&self.outbox),
            queue_prefix: Arc::clone(&self.queue_prefix),
            origins: self.origins.clone(),
        }
    }
}

impl<S: Service> Dispatcher<S> {
    /// A dispatcher for one service. Queues are named `<environment>-<queue>`; the service sees the second part.
    pub fn new(service: S, outbox: Outbox, environment: &str) -> Self {
        let router = standard_routes::router(&service);
        let queue_prefix = format!("{environment}-").into();
        Self { service, router, outbox: Arc::new(outbox), queue_prefix, origins: None }
    }

    /// Handles one invocation. An error fails the invocation as a whole; it is left for events of no known
    /// kind and for batches that are no batches.
    ///
    /// The future is on the heap: it holds those of all triggers, too large to be moved around by callers.
    pub fn handle(
        &self,
        event: Box<RawValue>,
        context: Context,
    ) -> BoxFuture<'_, Result<Box<RawValue>, HandlerError>> {
        let span = error_span!("invocation", request_id = context.request_id);
        let handled = async move {
            let result = match Trigger::of(&event) {
                Ok(Trigger::Http(source)) => self.http(source, &event, context).await,
                Ok(Trigger::Sqs) => {
                    self.sqs(&event, &context).await.and_then(|answer| Ok(to_raw_value(&answer)?))
                }
                Ok(Trigger::DynamoDbStream) => {
                    self.stream(&event, &context).await.and_then(|answer| Ok(to_raw_value(&answer)?))
                }
                Ok(Trigger::Task) => self.task(&event, &context).await,
                Err(unknown) => Err(unknown.into()),
            };
            result.inspect_err(|cause| error!(error = %telemetry::chain(&**cause), "invocation failed"))
        };
        handled.instrument(span).boxed()
    }

    async fn task(&self, event: &RawValue, context: &Context) -> Result<Box<RawValue>, HandlerError> {
        let task: Task = serde_json::from_str(event.get())?;
        let answer = batch::isolated(batch::time_left(context), self.service.on_task(task)).await;
        // The runtime shows an error without its causes, which whoever may invoke the function may know.
        let answer = answer.map_err(|cause| telemetry::chain(&*cause).to_string())?;
        Ok(to_raw_value(&answer)?)
    }
}
