//! Lines for programs: one JSON object each.
//!
//! ```json
//! {"timestamp":"2020-07-07T16:24:28.000000Z","level":"info","target":"worker","message":"Exec(git)","job":{"nth":1}}
//! ```
//!
//! A line's own fields are beside its message, and those of what it is about in an object of that name. `target` is the
//! source that the other format shows. tracing-subscriber's own JSON would lose them in a list of spans, where no query
//! finds them by name.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::bounded::{Bounded, FIELD_BYTES, MESSAGE_BYTES};
use super::source;
use crate::terminal::plain_json;

/// Writes one event as one object.
pub(super) struct JsonFormat {
    pub(super) clock: fn() -> String,
}

/// Returns the time as RFC 3339 has it.
pub(super) fn universal_time() -> String {
    let now = jiff::Timestamp::now();
    now.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

impl<S, N> FormatEvent<S, N> for JsonFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = match fields.0.remove("message") {
            Some(Value::String(text)) => text,
            _ => String::new(),
        };
        let metadata = event.metadata();
        write!(
            writer,
            "{{\"timestamp\":{},\"level\":{},\"target\":{},\"message\":{}",
            Value::from((self.clock)()),
            Value::from(level_name(*metadata.level())),
            Value::from(source(metadata.target())),
            plain_json(&Value::from(message.trim_end()).to_string()),
        )?;
        for (name, value) in &fields.0 {
            let value = value.to_string();
            let value = plain_json(&value);
            write!(writer, ",{}:{value}", Value::from(name.as_str()))?;
        }
        for span in context
            .event_scope()
            .into_iter()
            .flat_map(|spans| spans.from_root())
        {
            let extensions = span.extensions();
            let fields = extensions
                .get::<FormattedFields<N>>()
                .map_or("{}", |fields| fields.fields.as_str());
            write!(writer, ",{}:{fields}", Value::from(span.name()))?;
        }
        writeln!(writer, "}}")
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    }
}

/// Writes the fields of a span as an object.
pub(super) struct JsonFields;

impl<'writer> FormatFields<'writer> for JsonFields {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut recorded = Fields::default();
        fields.record(&mut recorded);
        let object = Value::Object(recorded.0).to_string();
        writer.write_str(&plain_json(&object))
    }

    /// Adds fields that became known later.
    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> fmt::Result {
        let known = serde_json::from_str(&current.fields);
        let mut all = Fields(known.unwrap_or_default());
        fields.record(&mut all);
        current.fields.clear();
        let object = Value::Object(all.0).to_string();
        current.fields.write_str(&plain_json(&object))
    }
}

/// Fields by name.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

/// Returns how many bytes a field may take.
fn limit(field: &Field) -> usize {
    match field.name() {
        "message" => MESSAGE_BYTES,
        _ => FIELD_BYTES,
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Bounded::of(value, limit(field)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Bounded::of(format_args!("{value:?}"), limit(field)));
    }
}
