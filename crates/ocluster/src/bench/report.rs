//! What was measured, as a table for people and as JSON for programs.

use clap::ValueEnum;
use serde_json::json;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A table.
    #[value(help = "a table")]
    Text,
    /// A JSON array with an object for each number.
    #[value(help = "a JSON array with an object for each number")]
    Json,
}

/// One number.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    scenario: &'static str,
    setup: String,
    metric: &'static str,
    value: f64,
    unit: &'static str,
}

/// All numbers so far, in the order in which they were measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Report(Vec<Row>);

impl Report {
    pub(super) fn add(
        &mut self,
        scenario: &'static str,
        setup: impl Into<String>,
        metric: &'static str,
        value: f64,
        unit: &'static str,
    ) {
        self.0.push(Row {
            scenario,
            setup: setup.into(),
            metric,
            value,
            unit,
        });
    }

    pub(super) fn render(&self, format: Format) -> String {
        match format {
            Format::Text => self.table(),
            Format::Json => self.json(),
        }
    }

    fn table(&self) -> String {
        let widest = |text: fn(&Row) -> usize| self.0.iter().map(text).max().unwrap_or(0);
        let (scenario, setup) = (
            widest(|row| row.scenario.len()),
            widest(|row| row.setup.len()),
        );
        let metric = widest(|row| row.metric.len());
        let lines = self.0.iter().map(|row| {
            format!(
                "{:scenario$}  {:setup$}  {:metric$}  {:>10} {}\n",
                row.scenario,
                row.setup,
                row.metric,
                significant(row.value),
                row.unit,
            )
        });
        lines.collect()
    }

    fn json(&self) -> String {
        let rows = self.0.iter().map(|Row { scenario, setup, metric, value, unit }| {
            json!({ "scenario": scenario, "setup": setup, "metric": metric, "value": value, "unit": unit })
        });
        format!("{:#}\n", serde_json::Value::from_iter(rows))
    }
}

/// Returns a number with about three digits that mean something.
fn significant(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn one_line_or_object_for_each_number() {
        let mut report = Report::default();
        report.add(
            "jobs",
            "4 clients, 4 workers",
            "completed",
            21_234.56,
            "jobs/s",
        );
        report.add("latency", "1000 jobs", "submit to pop, p50", 0.1234, "ms");
        expect![[r#"
            jobs     4 clients, 4 workers  completed                21235 jobs/s
            latency  1000 jobs             submit to pop, p50       0.123 ms
        "#]]
        .assert_eq(&report.render(Format::Text));
        expect![[r#"
            [
              {
                "metric": "completed",
                "scenario": "jobs",
                "setup": "4 clients, 4 workers",
                "unit": "jobs/s",
                "value": 21234.56
              },
              {
                "metric": "submit to pop, p50",
                "scenario": "latency",
                "setup": "1000 jobs",
                "unit": "ms",
                "value": 0.1234
              }
            ]
        "#]]
        .assert_eq(&report.render(Format::Json));
    }
}
