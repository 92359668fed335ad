//! Prometheus' text format, version 0.0.4.

use std::fmt::{self, Display, Write as _};

use crate::history::Histogram;

/// What [`Page`] is, for HTTP.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// What a family's numbers mean.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// It only rises, and starts again from zero with the process.
    Counter,
    Gauge,
    /// Ours have no quantiles: how many there were, and their sum.
    Summary,
    Histogram,
}

/// Names and values that distinguish the samples of a family. Values may be any text.
pub(crate) type Labels<'a> = &'a [(&'a str, &'a str)];

/// A page in the making.
#[derive(Default)]
pub(crate) struct Page(String);

/// One metric of a page. All of its samples must be written together.
pub(crate) struct Family<'a> {
    page: &'a mut Page,
    name: &'static str,
}

impl Page {
    /// Begins a family. `help` is one line without backslashes.
    pub(crate) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Summary => "summary",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
        Family { page: self, name }
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let written = writeln!(self.0, "{line}");
        debug_assert!(written.is_ok());
    }
}

impl Family<'_> {
    pub(crate) fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        self.suffixed("", labels, value);
    }

    pub(crate) fn summary(&mut self, labels: Labels<'_>, count: u64, sum: f64) {
        self.suffixed("_sum", labels, sum);
        self.suffixed("_count", labels, count);
    }

    pub(crate) fn histogram(&mut self, labels: Labels<'_>, histogram: &Histogram) {
        for (bound, count) in histogram.cumulative() {
            self.bucket(labels, &bound.to_string(), count);
        }
        self.bucket(labels, "+Inf", histogram.count);
        self.summary(labels, histogram.count, histogram.sum);
    }

    fn bucket(&mut self, labels: Labels<'_>, bound: &str, count: u64) {
        self.suffixed("_bucket", &[labels, &[("le", bound)]].concat(), count);
    }

    fn suffixed(&mut self, suffix: &str, labels: Labels<'_>, value: impl Display) {
        let (name, labels) = (self.name, Braced(labels));
        self.page
            .line(format_args!("{name}{suffix}{labels} {value}"));
    }
}

/// Labels as they are written after a name.
struct Braced<'a>(Labels<'a>);

impl Display for Braced<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(((name, value), others)) = self.0.split_first() else {
            return Ok(());
        };
        write!(f, "{{{name}=\"{}\"", Escaped(value))?;
        for (name, value) in others {
            write!(f, ",{name}=\"{}\"", Escaped(value))?;
        }
        f.write_char('}')
    }
}

/// A label's value, which could otherwise end its quotes or its line.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}
