//! What was measured, as a table for people and as JSON for programs.

use crate::json::bench::{Measurement, Measurements};
use cli::error::CommandError;
use cli::output::Format;

/// All numbers so far, in the order in which they were measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Report(Measurements);

impl Report {
    pub(super) fn add(
        &mut self,
        scenario: &'static str,
        setup: impl Into<String>,
        metric: &'static str,
        value: f64,
        unit: &'static str,
    ) {
        self.0.0.push(Measurement {
            scenario,
            setup: setup.into(),
            metric,
            value,
            unit,
        });
    }

    pub(super) fn print(&self, format: Format) -> Result<(), CommandError> {
        format.print(|| self.table(), || &self.0)
    }

    fn table(&self) -> String {
        let widest = |text: fn(&Measurement) -> usize| self.0.0.iter().map(text).max().unwrap_or(0);
        let (scenario, setup) = (
            widest(|row| row.scenario.len()),
            widest(|row| row.setup.len()),
        );
        let metric = widest(|row| row.metric.len());
        let lines = self.0.0.iter().map(|row| {
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
        .assert_eq(&report.table());
        expect![[r#"
            [
              {
                "scenario": "jobs",
                "setup": "4 clients, 4 workers",
                "metric": "completed",
                "value": 21234.56,
                "unit": "jobs/s"
              },
              {
                "scenario": "latency",
                "setup": "1000 jobs",
                "metric": "submit to pop, p50",
                "value": 0.1234,
                "unit": "ms"
              }
            ]"#]]
        .assert_eq(&serde_json::to_string_pretty(&report.0).unwrap());
    }
}
