//! The list of what breaks a rule today, so that the rule holds for everything else.
//!
//! The list can only become shorter: what breaks a rule and is not on it is an error, and so is a line of the list
//! that nothing breaks any more. `cargo xtask tidy --update` takes those off, and adds none.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};

use super::finding::{Finding, Rule};

/// Where the list is, from the root of the project.
pub(super) const PATH: &str = "xtask/src/tidy/exceptions.txt";

const HEAD: &str = "\
# What breaks a rule of `cargo xtask tidy` today: how often, which rule, which file, and what in it.
# Remove lines; add none. `cargo xtask tidy --update` takes off what is mended.
";

/// How many findings are excepted, by what they have in common.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Exceptions(BTreeMap<Key, usize>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    rule: Rule,
    path: String,
    subject: String,
}

impl Key {
    fn of(finding: &Finding) -> Self {
        Self {
            rule: finding.rule,
            path: finding.path.clone(),
            subject: finding.subject.clone(),
        }
    }
}

impl Exceptions {
    /// Reads the list.
    ///
    /// # Errors
    /// When a line is not one of ours.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut found = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, count) = parse_line(line)
                .with_context(|| format!("{PATH}:{}: cannot read {line:?}", number + 1))?;
            found.insert(key, count);
        }
        Ok(Self(found))
    }

    /// Returns the list that excepts all of these findings that may be excepted.
    pub(super) fn of(findings: &[Finding]) -> Self {
        let mut found = BTreeMap::new();
        for finding in findings {
            if finding.rule != Rule::Strict {
                *found.entry(Key::of(finding)).or_default() += 1;
            }
        }
        Self(found)
    }

    /// Returns this list without what is no longer found.
    pub(super) fn without_mended(&self, findings: &[Finding]) -> Self {
        let today = Self::of(findings);
        let left = self.0.iter().filter_map(|(key, listed)| {
            let found = *today.0.get(key)?;
            Some((key.clone(), found.min(*listed)))
        });
        Self(left.collect())
    }

    /// Returns the list as it is written.
    pub(super) fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for (key, count) in &self.0 {
            let line = format!("{count} {} {} {}", key.rule.name(), key.path, key.subject);
            // Writing to a String cannot fail.
            writeln!(text, "{}", line.trim_end()).unwrap_or_default();
        }
        text
    }

    /// Returns the findings that are not excepted, and one more for each line of the list that is out of date.
    pub(super) fn apply(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let today = Self::of(&findings);
        let is_excepted = |finding: &Finding| {
            let key = Key::of(finding);
            self.0.get(&key).copied().unwrap_or(0) >= today.0.get(&key).copied().unwrap_or(1)
        };
        let mut left: Vec<Finding> = findings;
        left.retain(|finding| !is_excepted(finding));
        for (key, listed) in &self.0 {
            let seen = today.0.get(key).copied().unwrap_or(0);
            if seen < *listed {
                let what = format!("{} {} {}", key.rule.name(), key.path, key.subject);
                let message = format!(
                    "\"{}\" is listed {listed} times and found {seen} times; run `cargo xtask tidy --update`",
                    what.trim_end()
                );
                left.push(Finding::strict(PATH, None, message));
            }
        }
        left
    }
}

fn parse_line(line: &str) -> Result<(Key, usize)> {
    let mut words = line.splitn(4, ' ');
    let count = words.next().context("no number")?.parse()?;
    let name = words.next().context("no rule")?;
    let path = words.next().context("no file")?.to_owned();
    let subject = words.next().unwrap_or_default().to_owned();
    let mut rules = Rule::RATCHETED.into_iter();
    let Some(rule) = rules.find(|rule| rule.name() == name) else {
        bail!("there is no rule \"{name}\" that may have exceptions");
    };
    let key = Key {
        rule,
        path,
        subject,
    };
    Ok((key, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long_line(line: usize) -> Finding {
        Finding {
            rule: Rule::LongLine,
            line: Some(line),
            ..Finding::strict("a.rs", None, "too long".to_owned())
        }
    }

    fn texts(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(Finding::to_string).collect()
    }

    #[test]
    fn what_is_listed_passes_and_one_more_does_not() {
        let list = Exceptions::parse("2 long-line a.rs\n").unwrap();
        assert!(list.apply(vec![long_line(1), long_line(5)]).is_empty());
        let found = list.apply(vec![long_line(1), long_line(5), long_line(9)]);
        let expected = ["a.rs:1: too long", "a.rs:5: too long", "a.rs:9: too long"];
        assert_eq!(texts(&found), expected);
    }

    #[test]
    fn what_is_listed_and_gone_is_an_error() {
        let list = Exceptions::parse("2 long-line a.rs\n1 circle b.rs x, y\n").unwrap();
        assert_eq!(
            texts(&list.apply(vec![long_line(1)])),
            [
                "xtask/src/tidy/exceptions.txt: \"long-line a.rs\" is listed 2 times and found 1 times; \
                 run `cargo xtask tidy --update`",
                "xtask/src/tidy/exceptions.txt: \"circle b.rs x, y\" is listed 1 times and found 0 times; \
                 run `cargo xtask tidy --update`",
            ]
        );
    }

    #[test]
    fn an_update_takes_off_what_is_mended_and_adds_nothing() {
        let list = Exceptions::parse("2 long-line a.rs\n1 circle b.rs x, y\n").unwrap();
        let updated = |findings: &[Finding]| list.without_mended(findings).text();
        assert!(updated(&[long_line(1)]).ends_with("\n1 long-line a.rs\n"));
        let more = [long_line(1), long_line(2), long_line(3)];
        assert!(updated(&more).ends_with("\n2 long-line a.rs\n"));
    }

    #[test]
    fn a_strict_rule_has_no_exceptions() {
        let finding = Finding::strict("a.rs", 1, "wrong".to_owned());
        let list = Exceptions::of(std::slice::from_ref(&finding));
        assert_eq!(list, Exceptions::default());
        assert_eq!(list.apply(vec![finding]).len(), 1);
        assert!(Exceptions::parse("1 strict a.rs\n").is_err());
    }

    #[test]
    fn the_list_is_read_as_it_is_written() {
        let list = Exceptions::of(&[long_line(1), long_line(2)]);
        assert!(list.text().ends_with("\n2 long-line a.rs\n"));
        assert_eq!(Exceptions::parse(&list.text()).unwrap(), list);
    }
}
