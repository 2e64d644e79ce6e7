//! Log lines on stderr: short ones for people, JSON objects for machines.
//!
//! A line is one event with its fields; the house uses no spans. `RUST_LOG` chooses what is shown, `-v` shows
//! more. Of other people's crates only errors are shown: below that they print statements with their parameters, signed
//! requests and whole answers of credential services, and no log of ours may hold those. Called once by each program's `main`, before anything
//! is logged.

use std::fmt::{self, Write as _};

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::Registry;

use crate::progress::screen;
use crate::settings::LogFormat;
use crate::units;

/// The crates of this workspace, as they stand in the targets of events.
const OUR_CRATES: [&str; 7] = ["common", "images", "migrate_db", "migrate_s3", "platform", "rehearsal", "tests"];

/// Begins to write log lines to stderr, for the rest of the process' life.
///
/// `verbose` is how often `-v` was given: none shows `info`, one `debug`, two `trace` of our own crates. A
/// `RUST_LOG` that is set and readable wins. A second call has no effect.
pub fn init(format: LogFormat, verbose: u8) {
    let (filter, complaint) = filter(std::env::var("RUST_LOG").ok().as_deref(), verbose);
    let lines = Lines { format, colour: screen::has_colour(), targets: verbose > 0 };
    let subscriber = Registry::default().with(lines.with_filter(filter_fn(is_safe)).with_filter(filter));
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        return;
    }
    if let Some(complaint) = complaint {
        tracing::warn!("{complaint}");
    }
}

fn filter(rust_log: Option<&str>, verbose: u8) -> (EnvFilter, Option<String>) {
    let complaint = match rust_log.filter(|directives| !directives.is_empty()).map(EnvFilter::try_new) {
        Some(Ok(filter)) => return (filter, None),
        Some(Err(error)) => Some(format!("the variable RUST_LOG is not usable and was ignored: {error}")),
        None => None,
    };
    let level = match verbose {
        0 => "info",
        1 => "debug",
        _ => "trace",
    };
    let ours = OUR_CRATES.map(|name| format!(",{name}={level}")).concat();
    (EnvFilter::new(format!("error{ours}")), complaint)
}

fn is_safe(metadata: &Metadata<'_>) -> bool {
    let name = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() == Level::ERROR || OUR_CRATES.contains(&name)
}

/// `12:03:04`, in the time zone of the machine (a container's is UTC).
pub(crate) fn time_of_day() -> String {
    jiff::Zoned::now().strftime("%H:%M:%S").to_string()
}

/// `2026-03-01T12:03:04.123Z`.
pub(crate) fn timestamp() -> String {
    format!("{:.3}", Timestamp::now())
}

/// Writes each event as one line.
struct Lines {
    format: LogFormat,
    colour: bool,
    targets: bool,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = match self.format {
            LogFormat::Text => self.text(event.metadata(), &fields, &time_of_day()),
            LogFormat::Json => json(event.metadata(), fields, &timestamp()),
        };
        screen::line(&line);
    }
}

impl Lines {
    fn text(&self, metadata: &Metadata<'_>, fields: &Fields, time: &str) -> String {
        let (word, colour) = word_and_colour(*metadata.level());
        let mut line = if self.colour {
            format!("\u{1b}[2m{time}\u{1b}[0m {colour}{word:<5}\u{1b}[0m ")
        } else {
            format!("{time} {word:<5} ")
        };
        if self.targets {
            let _ = write!(line, "{}: ", metadata.target());
        }
        line.push_str(&units::one_line(&fields.message));
        for (name, value) in &fields.others {
            let value = match value {
                Value::String(text) => units::one_line(text),
                other => other.to_string(),
            };
            let _ = write!(line, " {name}={value}");
        }
        line
    }
}

fn json(metadata: &Metadata<'_>, fields: Fields, time: &str) -> String {
    let mut line = Map::new();
    line.insert("type".into(), "log".into());
    line.insert("timestamp".into(), time.into());
    line.insert("level".into(), word_and_colour(*metadata.level()).0.into());
    line.insert("target".into(), metadata.target().into());
    line.insert("message".into(), fields.message.into());
    for (name, value) in fields.others {
        // An event's own field never hides one of the above.
        line.entry(name).or_insert(value);
    }
    Value::Object(line).to_string()
}

fn word_and_colour(level: Level) -> (&'static str, &'static str) {
    match level {
        Level::ERROR => ("error", "\u{1b}[31m"),
        Level::WARN => ("warn", "\u{1b}[33m"),
        Level::INFO => ("info", "\u{1b}[32m"),
        Level::DEBUG => ("debug", "\u{1b}[34m"),
        Level::TRACE => ("trace", "\u{1b}[2m"),
    }
}

/// The message of an event and its other fields, in the order in which they were written.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(String, Value)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.others.push((field.name().to_owned(), value));
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.put(field, format!("{value:?}").into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.put(field, value.into());
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string().into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Renders events as [`Lines`] does and keeps them.
    struct Kept(Lines, Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Kept {
        fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
            let mut fields = Fields::default();
            event.record(&mut fields);
            let line = match self.0.format {
                LogFormat::Text => self.0.text(event.metadata(), &fields, "12:03:04"),
                LogFormat::Json => json(event.metadata(), fields, "T"),
            };
            self.1.lock().unwrap().push(line);
        }
    }

    fn lines(format: LogFormat, verbose: u8, rust_log: Option<&str>, log: impl FnOnce()) -> Vec<String> {
        let kept = Arc::default();
        let layer = Kept(Lines { format, colour: false, targets: verbose > 0 }, Arc::clone(&kept));
        let filter = filter(rust_log, verbose).0;
        let subscriber = Registry::default().with(layer.with_filter(filter_fn(is_safe)).with_filter(filter));
        tracing::subscriber::with_default(subscriber, log);
        Arc::try_unwrap(kept).unwrap().into_inner().unwrap()
    }

    #[test]
    fn people_get_short_lines() {
        let text = lines(LogFormat::Text, 0, None, || {
            tracing::warn!(table = "users", rows = 3, "slow\nanswer");
            tracing::debug!("not shown");
        });
        assert_eq!(text, ["12:03:04 warn  slow\\nanswer table=users rows=3"]);
    }

    #[test]
    fn machines_get_objects() {
        let text = lines(LogFormat::Json, 0, None, || tracing::error!(rows = 3, level = "mine", "broken"));
        let value: Value = serde_json::from_str(&text[0]).unwrap();
        assert_eq!(value["type"], "log");
        assert_eq!((&value["level"], &value["message"]), (&"error".into(), &"broken".into()));
        assert_eq!(value["rows"], 3);
    }

    #[test]
    fn others_only_report_errors() {
        let text = lines(LogFormat::Text, 2, Some("trace"), || {
            tracing::warn!(target: "aws_config::provider", "the answer was: secret");
            tracing::debug!(target: "tokio_postgres::query", "executing with parameters: secret");
            tracing::trace!(target: "migrate_db::copy", "ours");
        });
        assert_eq!(text, ["12:03:04 trace migrate_db::copy: ours"]);
    }

    #[test]
    fn an_unusable_choice_is_named() {
        let (_, complaint) = filter(Some("migrate_db=loud"), 0);
        assert!(complaint.unwrap().contains("RUST_LOG"));
        assert!(filter(Some(""), 0).1.is_none());
    }
}
