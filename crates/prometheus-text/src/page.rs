//! A page and its families.

use std::fmt::{self, Display, Write as _};

use crate::Histogram;

/// The content type of a [`Page`], for HTTP.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// What a family's numbers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only rises, and starts again from zero with the process.
    Counter,
    /// It may rise and fall.
    Gauge,
    /// How many values there were, and their sum. There are no quantiles.
    Summary,
    /// How many values were not above each bound, how many there were, and their sum.
    Histogram,
}

/// Names and values that distinguish the samples of a family. Values may be any text.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// A page that is being written.
#[derive(Debug, Default)]
pub struct Page(String);

/// One metric of a page. All of its samples are written together.
#[derive(Debug)]
pub struct Family<'a> {
    page: &'a mut Page,
    name: &'a str,
}

impl Page {
    /// Begins a family: readers refuse a page with the same family twice.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Summary => "summary",
            Kind::Histogram => "histogram",
        };
        let type_line = format!("# TYPE {name} {kind}");
        debug_assert!(
            !self.0.lines().any(|line| line == type_line),
            "{name} twice"
        );
        self.line(format_args!("# HELP {name} {}", EscapedHelp(help)));
        self.line(format_args!("{type_line}"));
        Family { page: self, name }
    }

    /// Writes a whole family: a gauge of one value.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, Kind::Gauge, help).sample(&[], value);
    }

    /// Writes a whole family: a counter of one value.
    pub fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, Kind::Counter, help).sample(&[], value);
    }

    /// Returns the page.
    pub fn into_text(self) -> String {
        self.0
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let written = writeln!(self.0, "{line}");
        debug_assert!(written.is_ok());
    }
}

impl Family<'_> {
    /// Writes a sample of a counter or a gauge.
    pub fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        self.suffixed("", labels, value);
    }

    /// Writes a summary: how many values there were, and their sum.
    pub fn summary(&mut self, labels: Labels<'_>, count: u64, sum: f64) {
        self.suffixed("_sum", labels, sum);
        self.suffixed("_count", labels, count);
    }

    /// Writes a histogram.
    pub fn histogram(&mut self, labels: Labels<'_>, histogram: &Histogram) {
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

/// A label's value, escaped so that it ends neither its quotes nor its line.
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

/// A help text, escaped so that it does not end its line.
struct EscapedHelp<'a>(&'a str);

impl Display for EscapedHelp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn texts_stay_on_their_lines() {
        let mut page = Page::default();
        page.family("a", Kind::Gauge, "One \\ two\nthree \"quoted\"")
            .sample(&[("x", "one \\ two\nthree \"quoted\""), ("y", "ä")], 0.5);
        expect![[r##"
            # HELP a One \\ two\nthree "quoted"
            # TYPE a gauge
            a{x="one \\ two\nthree \"quoted\"",y="ä"} 0.5
        "##]]
        .assert_eq(&page.into_text());
    }

    #[test]
    fn buckets_come_before_sum_and_count() {
        let mut histogram = Histogram::new(&[0.5, 10.0]);
        histogram.add(0.25);
        histogram.add(20.0);
        let mut page = Page::default();
        page.family("wait_seconds", Kind::Histogram, "Time in the queue")
            .histogram(&[("pool", "p")], &histogram);
        page.family("commit_seconds", Kind::Summary, "Time of commits")
            .summary(&[], 3, 1.5);
        expect![[r##"
            # HELP wait_seconds Time in the queue
            # TYPE wait_seconds histogram
            wait_seconds_bucket{pool="p",le="0.5"} 1
            wait_seconds_bucket{pool="p",le="10"} 1
            wait_seconds_bucket{pool="p",le="+Inf"} 2
            wait_seconds_sum{pool="p"} 20.25
            wait_seconds_count{pool="p"} 2
            # HELP commit_seconds Time of commits
            # TYPE commit_seconds summary
            commit_seconds_sum 1.5
            commit_seconds_count 3
        "##]]
        .assert_eq(&page.into_text());
    }

    #[test]
    #[should_panic(expected = "a twice")]
    #[cfg(debug_assertions)]
    fn a_family_is_written_once() {
        let mut page = Page::default();
        page.gauge("a", "First", 1);
        page.gauge("a", "Second", 2);
    }
}
