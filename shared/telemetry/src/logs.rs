use std::fmt::{Debug, Write};

use jiff::Timestamp;
use serde::Serialize;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
};

/// Libraries that have little to say to an operator: only their warnings and errors are logged.
/// (The runtime's own span would repeat the request's id under another name.)
const QUIET_TARGETS: [&str; 7] = ["aws_", "h2", "hyper", "lambda_http", "lambda_runtime", "rustls", "tower"];

/// Sends all `tracing` events of the process to standard output, one flat JSON object per line.
///
/// Every line has `timestamp` (RFC 3339 in UTC, milliseconds), `level`, `target` and `message`, the event's own
/// fields, and the fields of the spans around it, such as `request_id`; where names collide, the innermost wins.
/// The lowest level that is logged comes from `AWS_LAMBDA_LOG_LEVEL`, else from `RUST_LOG` (one level, no
/// per-target directives), else it is INFO. A second call changes nothing.
pub fn init() {
    let level = level(|name| std::env::var(name).ok());
    let subscriber =
        tracing_subscriber::registry().with(filter(level)).with(JsonLines { sink: crate::write_line });
    // It fails when there is a subscriber already, which is what a second call is allowed to find.
    tracing::subscriber::set_global_default(subscriber).ok();
}

fn level(variable: impl Fn(&str) -> Option<String>) -> LevelFilter {
    ["AWS_LAMBDA_LOG_LEVEL", "RUST_LOG"]
        .into_iter()
        .filter_map(variable)
        .find_map(|name| match name.to_ascii_uppercase().as_str() {
            // Lambda's own level above ERROR, which Rust's libraries do not have.
            "FATAL" => Some(LevelFilter::ERROR),
            name => name.parse().ok(),
        })
        .unwrap_or(LevelFilter::INFO)
}

fn filter(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(level)
        .with_targets(QUIET_TARGETS.map(|target| (target, level.min(LevelFilter::WARN))))
}

/// Formats each event as one JSON object and hands it to the sink.
struct JsonLines<F> {
    sink: F,
}

impl<S, F> Layer<S> for JsonLines<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    F: Fn(String) + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        // Collected before the span is locked: formatting a value may itself log.
        let mut added = Fields::default();
        values.record(&mut added);
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            added.0.into_iter().for_each(|(name, value)| fields.put_json(name, value));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = Line::start(metadata.level().as_str(), metadata.target());
        let mut fields = Fields::default();
        event.record(&mut fields);
        line.add(&fields);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<Fields>() {
                line.add(fields);
            }
        }
        (self.sink)(line.finish());
    }
}

/// One JSON object under way. Of fields with the same name the first one stays, so that nothing can pass for the
/// members at the start.
struct Line {
    json: String,
    names: Vec<&'static str>,
}

impl Line {
    fn start(level: &str, target: &str) -> Self {
        let mut json = String::with_capacity(512);
        let target = to_json(target);
        write!(json, r#"{{"timestamp":"{:.3}","level":"{level}","target":{target}"#, Timestamp::now())
            .expect("a text takes any text");
        Self { json, names: vec!["timestamp", "level", "target"] }
    }

    fn add(&mut self, fields: &Fields) {
        for (name, value) in &fields.0 {
            if !self.names.contains(name) {
                self.names.push(name);
                write!(self.json, ",{}:{value}", to_json(name)).expect("a text takes any text");
            }
        }
    }

    fn finish(mut self) -> String {
        self.json.push('}');
        self.json
    }
}

/// Numbers and texts only: serialisation has nothing to fail on.
fn to_json(value: impl Serialize) -> String {
    serde_json::to_string(&value).unwrap_or_default()
}

/// The fields of a span or event, with their values as JSON.
#[derive(Default)]
struct Fields(Vec<(&'static str, String)>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Serialize) {
        self.put_json(field.name(), to_json(value));
    }

    /// A later value of a field replaces the one before.
    fn put_json(&mut self, name: &'static str, json: String) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, value)) => *value = json,
            None => self.0.push((name, json)),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, crate::chain(value).to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing::{debug, error, info, info_span, warn};

    use super::*;

    /// The lines that `work` logs at `level`.
    fn logged(level: LevelFilter, work: impl FnOnce()) -> Vec<Value> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = {
            let lines = Arc::clone(&lines);
            move |line: String| lines.lock().unwrap().push(line)
        };
        let subscriber = tracing_subscriber::registry().with(filter(level)).with(JsonLines { sink });
        tracing::subscriber::with_default(subscriber, work);
        let lines = lines.lock().unwrap();
        lines
            .iter()
            .map(|line| {
                assert_eq!(line.lines().count(), 1);
                serde_json::from_str(line).unwrap()
            })
            .collect()
    }

    #[test]
    fn an_event_is_one_flat_object() {
        let lines = logged(LevelFilter::INFO, || {
            info!(count = 3, ratio = 0.5, done = true, name = "a\nb", shown = %7, debugged = ?Some(1), "hello {}", 1);
        });
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        let timestamp = line["timestamp"].as_str().unwrap();
        assert_eq!(timestamp.len(), "2026-11-22T10:11:12.123Z".len(), "{timestamp}");
        timestamp.parse::<Timestamp>().unwrap();
        let mut rest = line.clone();
        rest.as_object_mut().unwrap().remove("timestamp");
        assert_eq!(
            rest,
            json!({
                "level": "INFO", "target": module_path!(), "message": "hello 1", "count": 3, "ratio": 0.5,
                "done": true, "name": "a\nb", "shown": "7", "debugged": "Some(1)",
            })
        );
    }

    #[test]
    fn fields_of_all_spans_around_are_included_and_the_innermost_wins() {
        let lines = logged(LevelFilter::INFO, || {
            let outer =
                info_span!("request", request_id = "r-1", step = "outer", late = tracing::field::Empty);
            let _outer = outer.enter();
            let inner = info_span!("record", step = "inner");
            inner.in_scope(|| info!("first"));
            outer.record("late", 5);
            inner.in_scope(|| info!(step = "event", "second"));
            info!("third");
        });
        let seen: Vec<_> = lines.iter().map(|l| (&l["request_id"], &l["step"], &l["late"])).collect();
        assert_eq!(
            seen,
            [
                (&json!("r-1"), &json!("inner"), &Value::Null),
                (&json!("r-1"), &json!("event"), &json!(5)),
                (&json!("r-1"), &json!("outer"), &json!(5)),
            ]
        );
    }

    #[test]
    fn no_field_can_pass_for_the_level_or_the_target() {
        let lines = logged(LevelFilter::INFO, || {
            info_span!("s", level = "NONE").in_scope(|| info!(timestamp = "never", level = "LOUD", "hello"));
        });
        assert_eq!(lines[0]["level"], "INFO");
        assert_ne!(lines[0]["timestamp"], "never");
    }

    #[test]
    fn errors_are_logged_with_their_sources() {
        let error = Unreachable(std::io::Error::other("no route"));
        let lines = logged(LevelFilter::INFO, || {
            error!(error = &error as &dyn std::error::Error, "failed");
        });
        assert_eq!(lines[0]["error"], "unreachable: no route");
    }

    #[derive(Debug)]
    struct Unreachable(std::io::Error);

    impl std::fmt::Display for Unreachable {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("unreachable")
        }
    }

    impl std::error::Error for Unreachable {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn libraries_are_quiet_below_warnings() {
        let work = || {
            debug!("own");
            debug!(target: "lambda_dispatch::http", "own");
            info!(target: "aws_smithy_runtime::client", "noise");
            info!(target: "lambda_runtime::layers", "noise");
            warn!(target: "hyper_util::client", "heard");
        };
        let messages =
            |level| -> Vec<_> { logged(level, work).iter().map(|l| l["message"].clone()).collect() };
        assert_eq!(messages(LevelFilter::DEBUG), ["own", "own", "heard"]);
        assert_eq!(messages(LevelFilter::INFO), ["heard"]);
        assert!(messages(LevelFilter::ERROR).is_empty());
    }

    #[test]
    fn the_level_comes_from_the_first_variable_that_names_one() {
        let level_of = |lambda: Option<&str>, rust: Option<&str>| {
            level(|name| if name == "RUST_LOG" { rust } else { lambda }.map(str::to_owned))
        };
        assert_eq!(level_of(None, None), LevelFilter::INFO);
        assert_eq!(level_of(Some("DEBUG"), Some("error")), LevelFilter::DEBUG);
        assert_eq!(level_of(Some("FATAL"), None), LevelFilter::ERROR);
        assert_eq!(level_of(None, Some("trace")), LevelFilter::TRACE);
        assert_eq!(level_of(None, Some("my_crate=debug")), LevelFilter::INFO);
    }

    #[test]
    fn a_second_initialisation_is_harmless() {
        init();
        init();
    }
}
