//! Lines for people, in upstream's format.

use std::cell::RefCell;
use std::fmt;

use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;
use visible::is_visible;

use super::bounded::{Bounded, FIELD_BYTES, LINE_BYTES, MARK, MESSAGE_BYTES};
use super::{APPLICATION, source};

/// The column at which a message's text begins, and at which its further lines do.
const TEXT_COLUMN: usize = 42;

thread_local! {
    /// The last second that was logged, and its text. A busy scheduler logs thousands of lines in each.
    static THIS_SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
}

/// Returns the local time as log lines show it.
pub(super) fn local_time() -> String {
    let now = jiff::Timestamp::now();
    THIS_SECOND.with_borrow_mut(|(second, text)| {
        if *second != now.as_second() {
            *second = now.as_second();
            *text = now
                .to_zoned(jiff::tz::TimeZone::system())
                .strftime("%Y-%m-%d %H:%M.%S")
                .to_string();
        }
        text.clone()
    })
}

/// Writes one event as one line (or an indented paragraph).
pub(super) struct LineFormat {
    pub(super) colour: bool,
    pub(super) clock: fn() -> String,
}

impl<S, N> FormatEvent<S, N> for LineFormat
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
        let source = source(event.metadata().target());
        write!(writer, "{} {source:>14} ", (self.clock)())?;
        let level = *event.metadata().level();
        let (name, code) = level_name(level);
        if source == APPLICATION && level == Level::INFO {
            write!(writer, " ")?;
        } else if self.colour {
            write!(writer, "[\x1b[{code}m{name}\x1b[0m] ")?;
        } else {
            write!(writer, "[{name}] ")?;
        }
        let mut message = Message::default();
        event.record(&mut message);
        let mut text = message.text.trim_end().to_owned() + &message.fields;
        for span in context.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            let fields = extensions
                .get::<FormattedFields<N>>()
                .map_or("", |fields| fields.fields.as_str());
            match fields {
                "" => text.push_str(&format!(" [{}]", span.name())),
                fields => text.push_str(&format!(" [{} {fields}]", span.name())),
            }
        }
        writeln!(writer, "{}", indented(&text))
    }
}

/// Returns upstream's name of a level, and the terminal's code for its colour.
fn level_name(level: Level) -> (&'static str, &'static str) {
    match level {
        Level::ERROR => ("ERROR", "31"),
        Level::WARN => ("WARNING", "33"),
        Level::INFO => ("INFO", "34"),
        Level::DEBUG | Level::TRACE => ("DEBUG", "32"),
    }
}

/// The most lines that one message takes; further ends of lines are escaped. Each takes as much as a line of text.
const LINES: usize = 40;

/// Returns `text` with its further lines indented, and with nothing in it that could control a terminal: names and
/// hints come from the network.
fn indented(text: &str) -> String {
    let text = text.trim_end();
    let mut out = String::with_capacity(text.len().min(LINE_BYTES) + MARK.len());
    let mut lines = 1;
    for c in text.chars() {
        if out.len() >= LINE_BYTES {
            out.push_str(MARK);
            break;
        }
        match c {
            '\n' if lines < LINES => {
                lines += 1;
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', TEXT_COLUMN));
            }
            '\t' => out.push(c),
            '\r' => {}
            c if is_visible(c) => out.push(c),
            c => out.extend(c.escape_default()),
        }
    }
    out
}

/// An event's message, and its other fields as ` name=value`, each cut if it is long.
#[derive(Default)]
struct Message {
    text: String,
    fields: String,
}

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.text.push_str(&Bounded::of(value, MESSAGE_BYTES)),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format_args!("{value:?}");
        match field.name() {
            "message" => self.text.push_str(&Bounded::of(value, MESSAGE_BYTES)),
            name => {
                let value = Bounded::of(value, FIELD_BYTES);
                self.fields.push_str(&format!(" {name}={value}"));
            }
        }
    }
}

/// Writes the fields of a span as ` name=value`, each cut if it is long: a job's may have what its client wrote.
pub(super) struct LineFields;

impl<'writer> FormatFields<'writer> for LineFields {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut recorded = Message::default();
        fields.record(&mut recorded);
        writer.write_str(recorded.fields.trim_start())
    }

    /// Adds fields that became known later.
    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> fmt::Result {
        let mut recorded = Message::default();
        fields.record(&mut recorded);
        let added = if current.fields.is_empty() {
            recorded.fields.trim_start()
        } else {
            &recorded.fields
        };
        current.fields.push_str(added);
        Ok(())
    }
}
