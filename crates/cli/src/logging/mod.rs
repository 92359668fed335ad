//! The log of the programs, on standard error, in upstream's line format:
//!
//! ```text
//! 2020-07-07 16:24.28      capnp-rpc [INFO] Waiting for (encrypted) connections on tcp:0.0.0.0:9000
//! 2020-07-07 16:24.28    application  Wrote capability reference to "./capnp-secrets/admin.cap"
//! ```
//!
//! or, for programs that read them, as one JSON object a line (`json`).
//!
//! A line has a bounded length: long text is cut. Text from outside is escaped for a terminal.
//!
//! Local time; the source, right-aligned in 14 columns; the level; the text, its further lines indented to where the
//! first began. Messages of the source `application` have no level and are shown unless all is quiet.

mod bounded;
mod crash_point;
mod json;
mod line;

#[cfg(test)]
mod tests;

use clap::ValueEnum;
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::appearance::{self, Colour};

use self::crash_point::CrashPoint;
use self::json::{JsonFields, JsonFormat};
use self::line::{LineFields, LineFormat};

/// The log source whose messages are always shown.
pub const APPLICATION: &str = "application";

/// Options about logging and colour, which every command has.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Common options")]
pub struct LoggingArgs {
    /// When to use colour: auto, always or never
    ///
    /// With auto, only terminals get colours, unless NO_COLOR is set. With never, colours are also removed from the
    /// logs of builds.
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
    /// Lowest level to log: quiet, error, warning, info or debug
    #[arg(long, global = true, value_name = "LEVEL", hide_possible_values = true)]
    pub verbosity: Option<Verbosity>,
    /// Format of log lines: text, or json (one object per line)
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true
    )]
    pub log_format: LogFormat,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one object per line.
    Json,
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
    /// `-v` names a level rather than adding to `default`, as upstream's does, so that a unit file with `-v`
    /// gets the same from a program that shows info anyway.
    fn verbosity(&self, default: Verbosity) -> Verbosity {
        match (self.verbosity, self.quiet, self.verbose) {
            (Some(level), _, _) => level,
            (None, true, _) => Verbosity::Quiet,
            (None, false, 0) => default,
            (None, false, 1) => Verbosity::Info,
            (None, false, _) => Verbosity::Debug,
        }
    }

    /// Starts logging. A second call in one process changes nothing.
    pub fn start(&self, default: Verbosity) {
        // Only a test starts logging twice in one process, and the first start is as good there.
        drop(self.dispatch(default, std::io::stderr).try_init());
    }

    /// Runs `work` with logging, for what is logged before it starts or after it ends.
    pub(crate) fn scoped(&self, work: impl FnOnce()) {
        let dispatch = self.dispatch(Verbosity::Warning, std::io::stderr);
        tracing::dispatcher::with_default(&dispatch, work);
    }

    fn dispatch<W>(&self, default: Verbosity, writer: W) -> Dispatch
    where
        W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    {
        let crash_point = CrashPoint::from_env();
        let filter = filter(self.verbosity(default));
        let subscriber = tracing_subscriber::registry()
            .with(match crash_point {
                Some(_) => filter.with_target(crash_point::TARGET, LevelFilter::TRACE),
                None => filter,
            })
            .with(crash_point);
        match self.log_format {
            LogFormat::Text => {
                let format = LineFormat {
                    colour: appearance::has_colour(&std::io::stderr()),
                    clock: line::local_time,
                };
                Dispatch::new(subscriber.with(text_layer(format, writer)))
            }
            LogFormat::Json => {
                let format = JsonFormat {
                    clock: json::universal_time,
                };
                Dispatch::new(subscriber.with(json_layer(format, writer)))
            }
        }
    }
}

fn text_layer<S, W>(format: LineFormat, writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer()
        .with_ansi(format.colour)
        .fmt_fields(LineFields)
        .event_format(format)
        .with_writer(writer)
}

fn json_layer<S, W>(format: JsonFormat, writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .fmt_fields(JsonFields)
        .event_format(format)
        .with_writer(writer)
}

/// Returns the filter for `verbosity`. Messages of the source `application` are shown at every verbosity but quiet.
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
        "cli" | "ocluster" => APPLICATION,
        other => other,
    }
}
