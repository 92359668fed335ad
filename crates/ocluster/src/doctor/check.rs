//! The findings, as a page for people or for programs.

pub(super) use crate::json::doctor::{Check, Outcome, Report};
use cli::quote::printable;
use cli::terminal;
use visible::counted;

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }

    /// Returns the terminal's code for its colour.
    fn colour(self) -> &'static str {
        match self {
            Self::Ok => "32",
            Self::Skipped => "90",
            Self::Warning => "33",
            Self::Problem => "31",
        }
    }
}

impl Check {
    pub(super) fn fit(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(name, Outcome::Ok, found, None)
    }

    pub(super) fn skipped(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(name, Outcome::Skipped, why, None)
    }

    pub(super) fn warning(
        name: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self::new(name, Outcome::Warning, found, Some(advice.into()))
    }

    pub(super) fn problem(
        name: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self::new(name, Outcome::Problem, found, Some(advice.into()))
    }

    fn new(
        name: impl Into<String>,
        outcome: Outcome,
        found: impl Into<String>,
        advice: Option<String>,
    ) -> Self {
        Self {
            name: name.into(),
            outcome,
            found: found.into(),
            advice,
        }
    }
}

/// Returns the checks for people: a line each, a second one with what to do, and a last line that sums up.
pub(super) fn text(checks: &[Check], use_colour: bool) -> String {
    let widest = checks.iter().map(|check| check.name.chars().count()).max();
    let width = widest.unwrap_or(0);
    let mut text = String::new();
    for Check {
        name,
        outcome,
        found,
        advice,
    } in checks
    {
        let word = format!("{:<7}", outcome.word());
        let word = if use_colour {
            format!("\x1b[{}m{word}\x1b[0m", outcome.colour())
        } else {
            word
        };
        // The findings may come from another program, or another machine.
        let found: Vec<String> = found.lines().map(printable).collect();
        let found = found.join(&format!("\n{:width$}", "", width = width + 11));
        let name = printable(name);
        text.push_str(&format!("{word}  {name:<width$}  {found}\n"));
        if let Some(advice) = advice {
            let advice = terminal::plain(advice);
            text.push_str(&format!("{:>9}-> {advice}\n", ""));
        }
    }
    text.push_str(&format!("\n{}\n", summary(checks)));
    text
}

fn summary(checks: &[Check]) -> String {
    let count = |outcome| {
        checks
            .iter()
            .filter(|check| check.outcome == outcome)
            .count()
    };
    match (count(Outcome::Problem), count(Outcome::Warning)) {
        (0, 0) => "No problems found.".to_owned(),
        (problems, warnings) => format!(
            "{}, {}.",
            counted(problems, "problem"),
            counted(warnings, "warning")
        ),
    }
}

/// Returns the checks for programs.
pub(super) fn report(checks: Vec<Check>) -> Report {
    Report {
        fit: !checks.iter().any(|check| check.outcome == Outcome::Problem),
        checks,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn checks() -> [Check; 4] {
        [
            Check::fit("git", "git version 2.39.5"),
            Check::skipped("clock", "not known: no timedatectl here"),
            Check::warning("disk", "12% of the space is free", "prune"),
            Check::problem(
                "docker",
                "it reports:\nno\x1b[2J",
                "start it: systemctl start docker",
            ),
        ]
    }

    #[test]
    fn for_people() {
        expect![[r#"
            ok       git     git version 2.39.5
            skipped  clock   not known: no timedatectl here
            warning  disk    12% of the space is free
                     -> prune
            problem  docker  it reports:
                             no�[2J
                     -> start it: systemctl start docker

            1 problem, 1 warning.
        "#]]
        .assert_eq(&text(&checks(), false));
        let coloured = text(&checks(), true);
        let words = coloured.lines().filter(|line| line.starts_with('\x1b'));
        let words: Vec<_> = words.filter_map(|line| line.split("  ").next()).collect();
        expect![[r#"
            [
                "\u{1b}[32mok",
                "\u{1b}[90mskipped\u{1b}[0m",
                "\u{1b}[33mwarning\u{1b}[0m",
                "\u{1b}[31mproblem\u{1b}[0m",
            ]
        "#]]
        .assert_debug_eq(&words);
    }

    #[test]
    fn for_programs() {
        let json =
            |checks: &[Check]| serde_json::to_string_pretty(&report(checks.to_vec())).unwrap();
        expect![[r#"
            {
              "fit": true,
              "checks": [
                {
                  "name": "clock",
                  "outcome": "skipped",
                  "found": "not known: no timedatectl here",
                  "advice": null
                },
                {
                  "name": "disk",
                  "outcome": "warning",
                  "found": "12% of the space is free",
                  "advice": "prune"
                }
              ]
            }"#]]
        .assert_eq(&json(&checks()[1..3]));
        assert!(!report(checks().to_vec()).fit);
    }
}
