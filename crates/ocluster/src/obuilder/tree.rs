//! Results as a tree: each below its base.

use std::collections::{BTreeMap, HashSet};

use obuilder::StepId;
use obuilder::builder::Entry;

/// A line of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// The branches of the tree before the id.
    pub(super) indent: String,
    pub(super) entry: Entry,
}

/// Returns results in the order of a tree, the oldest first. The only result based on another is not indented, so that
/// a build with many steps does not grow too wide.
///
/// With `root`, only that result and what is based on it.
pub(super) fn lines(entries: Vec<Entry>, root: Option<&StepId>) -> Vec<Line> {
    let known: HashSet<StepId> = entries.iter().map(|entry| entry.id).collect();
    let mut tree: BTreeMap<Option<StepId>, Vec<Entry>> = BTreeMap::new();
    for entry in entries {
        let base = entry.base.filter(|base| known.contains(base));
        let place = if root == Some(&entry.id) { None } else { base };
        tree.entry(place).or_default().push(entry);
    }
    let mut tops = tree.remove(&None).unwrap_or_default();
    tops.retain(|top| root.is_none_or(|root| *root == top.id));
    // The results still to be shown, the next one last; without recursion, as a chain of steps may be long.
    let mut pending: Vec<(String, String, Entry)> = Vec::new();
    let mut lines = Vec::new();
    push(&mut pending, "", tops, false);
    while let Some((indent, below, entry)) = pending.pop() {
        let children = tree.remove(&Some(entry.id)).unwrap_or_default();
        let branches = children.len() > 1;
        push(&mut pending, &below, children, branches);
        lines.push(Line { indent, entry });
    }
    lines
}

/// Puts siblings before the results still to be shown.
fn push(
    pending: &mut Vec<(String, String, Entry)>,
    indent: &str,
    siblings: Vec<Entry>,
    branches: bool,
) {
    let last = siblings.len().saturating_sub(1);
    for (number, entry) in siblings.into_iter().enumerate().rev() {
        let (own, below) = match (branches, number == last) {
            (false, _) => ("", ""),
            (true, false) => ("├─ ", "│  "),
            (true, true) => ("└─ ", "   "),
        };
        pending.push((format!("{indent}{own}"), format!("{indent}{below}"), entry));
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use jiff::Timestamp;

    use super::*;

    fn check(bases: &[Option<u8>], root: Option<u8>, expected: &Expect) {
        let id = |number: u8| StepId::of(&[number]);
        let entry = |(number, base): (u8, &Option<u8>)| Entry {
            id: id(number),
            base: base.map(id),
            created: Timestamp::UNIX_EPOCH,
            used: Timestamp::UNIX_EPOCH,
        };
        let entries: Vec<Entry> = (0..).zip(bases).map(entry).collect();
        let number = |line: &Line| (0..).find(|n| id(*n) == line.entry.id).unwrap();
        let text: Vec<String> = lines(entries, root.map(id).as_ref())
            .iter()
            .map(|line| format!("{}{}", line.indent, number(line)))
            .collect();
        expected.assert_eq(&text.join("\n"));
    }

    /// Two images; steps 2 to 4 in a row, from which 5 and 7 branch off, and 6 goes on from 5.
    const BASES: [Option<u8>; 9] = [
        None,
        None,
        Some(0),
        Some(2),
        Some(3),
        Some(4),
        Some(5),
        Some(4),
        Some(1),
    ];

    #[test]
    fn only_branches_are_indented() {
        check(
            &BASES,
            None,
            &expect![[r#"
            0
            2
            3
            4
            ├─ 5
            │  6
            └─ 7
            1
            8"#]],
        );
    }

    #[test]
    fn a_part_of_the_tree_can_be_shown() {
        check(
            &BASES,
            Some(4),
            &expect![[r#"
            4
            ├─ 5
            │  6
            └─ 7"#]],
        );
    }

    #[test]
    fn a_result_with_an_unknown_base_is_shown() {
        check(
            &[Some(7), Some(0)],
            None,
            &expect![[r#"
            0
            1"#]],
        );
    }
}
