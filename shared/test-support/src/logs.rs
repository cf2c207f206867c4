use std::{
    fmt::{self, Write as _},
    mem,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt as _},
};

/// What this thread logs as long as this lives, at the levels that a function logs at. A test that is a task of one
/// thread, as tests of services are, so sees all that its service logs.
pub struct Logs {
    lines: Arc<Mutex<Vec<String>>>,
    _until_dropped: DefaultGuard,
}

/// A second subscriber, in whose presence all are asked whether a place in the code is of interest. Where there is only
/// one, it is the thread that comes by first that is asked, and if nobody listens there, nobody ever will.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Registry::default()));

impl Logs {
    /// From now on.
    pub fn capture() -> Self {
        LazyLock::force(&SECOND);
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let layer = Lines(Arc::clone(&lines));
        let guard = tracing::subscriber::set_default(Registry::default().with(layer));
        Self { lines, _until_dropped: guard }
    }

    /// What was logged since this was asked last: a line per event or span, as in
    /// `WARN user_service: message=refused reason=expired`.
    pub fn take(&self) -> Vec<String> {
        mem::take(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn write(&self, metadata: &Metadata<'_>, record: impl FnOnce(&mut Line)) {
        if *metadata.level() <= Level::INFO {
            let mut line = Line(format!("{} {}:", metadata.level(), metadata.target()));
            record(&mut line);
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line.0);
        }
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
        self.write(attributes.metadata(), |line| attributes.record(line));
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.write(event.metadata(), |line| event.record(line));
    }
}

struct Line(String);

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").expect("a text takes any text");
    }
}
