//! What the programs log, on standard error, in upstream's line format:
//!
//! ```text
//! 2020-07-07 16:24.28      capnp-rpc [INFO] Waiting for (encrypted) connections on tcp:0.0.0.0:9000
//! 2020-07-07 16:24.28    application  Wrote capability reference to "./capnp-secrets/admin.cap"
//! ```
//!
//! Local time; the source, right-aligned in 14 columns; the level; the text, its further lines indented to where the
//! first began. Messages of the source `application` have no level and are shown unless all is quiet.

use std::cell::RefCell;
use std::fmt;
use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The log source whose messages are always shown.
pub const APPLICATION: &str = "application";

/// The column at which a message's text begins, and at which its further lines do.
const TEXT_COLUMN: usize = 42;

/// Options about logging and colour that every command has.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Common options")]
pub struct LoggingArgs {
    /// When to use colour: auto, always or never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true
    )]
    pub color: Colour,
    /// Log nothing
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Log more: once for info, twice for debug
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Log messages of this level and above: quiet, error, warning, info or debug
    #[arg(long, global = true, value_name = "LEVEL", hide_possible_values = true)]
    pub verbosity: Option<Verbosity>,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The least serious level that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Verbosity {
    /// Nothing at all.
    Quiet,
    /// What failed.
    Error,
    /// What may need attention.
    Warning,
    /// What the program does.
    Info,
    /// Everything.
    Debug,
}

impl LoggingArgs {
    /// Returns the level asked for. `--verbosity` wins over `-q`, which wins over `-v`.
    ///
    /// `-v` names a level rather than adding to `default`, as upstream's does, so that a unit file which says `-v`
    /// gets the same from a program that shows info anyway.
    pub fn verbosity(&self, default: Verbosity) -> Verbosity {
        match (self.verbosity, self.quiet, self.verbose) {
            (Some(level), _, _) => level,
            (None, true, _) => Verbosity::Quiet,
            (None, false, 0) => default,
            (None, false, 1) => Verbosity::Info,
            (None, false, _) => Verbosity::Debug,
        }
    }

    /// Tells whether standard error gets colour.
    pub fn use_colour(&self) -> bool {
        match self.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                !refused && std::io::stderr().is_terminal()
            }
        }
    }

    /// Starts logging. A second call in one process changes nothing.
    pub fn start(&self, default: Verbosity) {
        let format = LineFormat {
            colour: self.use_colour(),
            clock: local_time,
        };
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(format.colour)
            .event_format(format)
            .with_writer(std::io::stderr);
        let registry = tracing_subscriber::registry();
        // Only a test starts logging twice in one process, and the first start is as good there.
        drop(
            registry
                .with(filter(self.verbosity(default)))
                .with(layer)
                .try_init(),
        );
    }
}

/// Returns what is shown at `verbosity`: our own messages down to that level, and other libraries' only when serious.
fn filter(verbosity: Verbosity) -> Targets {
    let level = match verbosity {
        Verbosity::Quiet => return Targets::new(),
        Verbosity::Error => LevelFilter::ERROR,
        Verbosity::Warning => LevelFilter::WARN,
        Verbosity::Info => LevelFilter::INFO,
        Verbosity::Debug => LevelFilter::DEBUG,
    };
    Targets::new()
        .with_default(level)
        .with_target(APPLICATION, LevelFilter::INFO)
}

/// Returns the source shown for a tracing target: upstream's names for our crates.
fn source(target: &str) -> &str {
    let krate = target.split("::").next().unwrap_or(target);
    match krate {
        "cluster_scheduler" | "pool" => "scheduler",
        "cluster_worker" => "worker",
        "vat" | "cluster_api" => "capnp-rpc",
        "ocluster" => APPLICATION,
        other => other,
    }
}

thread_local! {
    /// The last second that was logged, and how it is written. A busy scheduler logs thousands of lines in each.
    static THIS_SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
}

/// Returns the local time as log lines show it.
fn local_time() -> String {
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
struct LineFormat {
    colour: bool,
    clock: fn() -> String,
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

/// Returns `text` with its further lines indented, and with nothing in it that could steer a terminal: names and
/// hints come from the network.
fn indented(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.trim_end().chars() {
        match c {
            '\n' => {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', TEXT_COLUMN));
            }
            '\t' => out.push(c),
            '\r' => {}
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// An event's message, and its other fields as ` name=value`.
#[derive(Default)]
struct Message {
    text: String,
    fields: String,
}

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.text.push_str(value),
            name => self.fields.push_str(&format!(" {name}={value:?}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.text.push_str(&format!("{value:?}")),
            name => self.fields.push_str(&format!(" {name}={value:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use expect_test::{Expect, expect};

    use super::*;

    /// Collects what a subscriber with our format writes while `work` runs.
    fn logged(verbosity: Verbosity, colour: bool, work: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Sink(Arc<Mutex<Vec<u8>>>);
        impl io::Write for Sink {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let sink = Sink::default();
        let writer = sink.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(colour)
            .event_format(LineFormat {
                colour,
                clock: || "2020-07-07 16:24.28".to_owned(),
            })
            .with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry()
            .with(filter(verbosity))
            .with(layer);
        tracing::subscriber::with_default(subscriber, work);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn check(actual: &str, expected: Expect) {
        expected.assert_eq(actual);
    }

    #[test]
    fn lines_look_like_upstreams() {
        let text = logged(Verbosity::Info, false, || {
            tracing::info!(target: "vat::identity", "Generating new private key...");
            tracing::info!(target: "application", "Wrote capability reference to {:?}", "./admin.cap");
            tracing::info!(target: "cluster_scheduler::service", "Registered new worker \"my-host\"");
            tracing::warn!(target: "cluster_worker::agent", retry = 3, "two\nlines of \x1b[31mtext\n");
            tracing::error!(target: "application", "it broke");
            tracing::debug!(target: "cluster_worker::agent", "not shown");
            let span = tracing::info_span!(target: "cluster_worker", "job", hint = "tutorial");
            span.in_scope(|| tracing::info!(target: "cluster_worker::job", "Job succeeded"));
        });
        check(
            &text,
            expect![[r#"
                2020-07-07 16:24.28      capnp-rpc [INFO] Generating new private key...
                2020-07-07 16:24.28    application  Wrote capability reference to "./admin.cap"
                2020-07-07 16:24.28      scheduler [INFO] Registered new worker "my-host"
                2020-07-07 16:24.28         worker [WARNING] two
                                                          lines of \u{1b}[31mtext retry=3
                2020-07-07 16:24.28    application [ERROR] it broke
                2020-07-07 16:24.28         worker [INFO] Job succeeded [job hint="tutorial"]
            "#]],
        );
    }

    #[test]
    fn colour_is_only_the_levels() {
        let text = logged(Verbosity::Debug, true, || {
            tracing::warn!(target: "cluster_worker", "low disk space");
        });
        check(
            &text.replace('\x1b', "ESC"),
            expect![[r#"
                2020-07-07 16:24.28         worker [ESC[33mWARNINGESC[0m] low disk space
            "#]],
        );
    }

    #[test]
    fn application_messages_are_shown_unless_all_is_quiet() {
        let shown = |verbosity| {
            logged(verbosity, false, || {
                tracing::info!(target: "application", "a");
                tracing::error!(target: "cluster_worker", "e");
            })
            .lines()
            .count()
        };
        assert_eq!((shown(Verbosity::Quiet), shown(Verbosity::Error)), (0, 2));
    }

    #[test]
    fn options_name_a_level() {
        let args = |quiet, verbose, verbosity| LoggingArgs {
            color: Colour::Auto,
            quiet,
            verbose,
            verbosity,
        };
        let level = |args: LoggingArgs| args.verbosity(Verbosity::Warning);
        assert_eq!(level(args(false, 0, None)), Verbosity::Warning);
        assert_eq!(level(args(false, 1, None)), Verbosity::Info);
        assert_eq!(level(args(false, 2, None)), Verbosity::Debug);
        assert_eq!(level(args(true, 1, None)), Verbosity::Quiet);
        assert_eq!(
            level(args(true, 0, Some(Verbosity::Error))),
            Verbosity::Error
        );
    }
}
