//! Counts tests from what `cargo test` prints, so that no crate's result is lost among the others.

use std::collections::BTreeSet;

/// What has been counted so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    reported_ok: usize,
    failed: usize,
    ignored: usize,
    failures: BTreeSet<String>,
    not_run: BTreeSet<String>,
}

impl Tally {
    /// Takes one line of output into account.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.read_counts(counts);
        } else if let Some(why) = after(line, "not run: ") {
            self.not_run.insert(why.to_owned());
        } else if let Some((name, outcome)) = test_line(line) {
            match outcome {
                "FAILED" => _ = self.failures.insert(name.to_owned()),
                "ignored" => _ = self.not_run.insert(format!("{name}: is marked as ignored")),
                _ => {}
            }
        }
    }

    /// `ok. 5 passed; 0 failed; 1 ignored; …`
    fn read_counts(&mut self, counts: &str) {
        let (_, counts) = counts.split_once(". ").unwrap_or_default();
        for count in counts.split("; ") {
            let Some((number, what)) = count.split_once(' ') else {
                continue;
            };
            let number: usize = number.parse().unwrap_or_default();
            match what {
                "passed" => self.reported_ok += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    /// Counts a check that is not a test of cargo's.
    pub(crate) fn add_check(&mut self, name: &str, passed: bool) {
        if passed {
            self.reported_ok += 1;
        } else {
            self.failed += 1;
            self.failures.insert(name.to_owned());
        }
    }

    /// Returns how many passed. Tests that could not run are not among them, although cargo reports that they passed.
    pub(crate) fn passed(&self) -> usize {
        self.reported_ok
            .saturating_sub(self.skipped() - self.ignored)
    }

    /// Returns how many failed.
    pub(crate) fn failed(&self) -> usize {
        self.failed
    }

    /// Returns how many were not run.
    pub(crate) fn skipped(&self) -> usize {
        self.not_run.len().max(self.ignored)
    }

    /// Returns the report: what failed and what did not run by name, then the counts in the last line.
    pub(crate) fn report(&self) -> String {
        let mut report = String::new();
        for failure in &self.failures {
            report += &format!("failed: {failure}\n");
        }
        for test in &self.not_run {
            report += &format!("not run: {test}\n");
        }
        let (passed, failed, skipped) = (self.passed(), self.failed(), self.skipped());
        report + &format!("{passed} passed, {failed} failed, {skipped} skipped\n")
    }
}

/// Returns what follows `mark`, which another test's output may have left in the middle of a line.
fn after<'a>(line: &'a str, mark: &str) -> Option<&'a str> {
    let (before, after) = line.split_once(mark)?;
    let is_quoted = before.contains(['"', '`', '\'']);
    (!is_quoted && after.contains(": needs ")).then_some(after)
}

/// Returns the name and outcome in `test NAME ... OUTCOME`.
fn test_line(line: &str) -> Option<(&str, &str)> {
    let (name, outcome) = line.strip_prefix("test ")?.split_once(" ... ")?;
    Some((name, outcome.split(',').next().unwrap_or(outcome)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(output: &str) -> Tally {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.read(line));
        tally
    }

    #[test]
    fn sums_over_crates() {
        let tally = tally(
            "test a ... ok\n\
             test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
             test b::c ... FAILED\n\
             test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n",
        );
        assert_eq!(
            tally.report(),
            "failed: b::c\n6 passed, 1 failed, 0 skipped\n"
        );
    }

    #[test]
    fn a_test_that_did_not_run_has_not_passed() {
        let tally = tally(
            "test x ... not run: x: needs root\nok\n\
             test y ... ignored, slow\n\
             test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n",
        );
        assert_eq!(
            tally.report(),
            "not run: x: needs root\nnot run: y: is marked as ignored\n4 passed, 0 failed, 2 skipped\n"
        );
    }
}
