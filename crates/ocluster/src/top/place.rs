//! Where the user is: what is shown, which row is selected, and what was searched for.

use super::row::{Row, Target};

/// What is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum View {
    Pools,
    Pool(String),
    Worker { pool: String, worker: String },
    Ticket { pool: String, ticket: u64 },
    Job(String),
    Help,
}

/// A view, and how far the user has moved in it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) view: View,
    /// The selected row of a list. It stays selected when the list changes.
    selected: Option<Target>,
    /// The number of the selected row, should it be gone.
    cursor: usize,
    /// The first row on the screen.
    first: usize,
    /// Whether the last row stays on the screen.
    follows: bool,
    /// What was searched for.
    pub(super) filter: String,
}

/// A movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    Up(usize),
    Down(usize),
    First,
    Last,
    /// To the first row of the next list.
    NextList,
    /// To the next row, or the one before, that has what was searched for.
    NextMatch,
    PreviousMatch,
}

/// The part of the rows that is on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) first: usize,
    /// The selected row.
    pub(super) selected: Option<usize>,
}

impl Place {
    pub(super) fn new(view: View) -> Self {
        let follows = matches!(view, View::Job(_));
        Self {
            view,
            selected: None,
            cursor: 0,
            first: 0,
            follows,
            filter: String::new(),
        }
    }

    /// Returns whether rows are selected here. If not, they are read.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.view, View::Pools | View::Pool(_))
    }

    /// Returns the selected row's target.
    pub(super) fn target(&self) -> Option<&Target> {
        self.selected.as_ref()
    }

    /// Moves within `rows`, of which `height` fit on the screen.
    pub(super) fn go(&mut self, movement: Move, rows: &[Row], height: usize) {
        if self.is_list() {
            let targets = targets(rows);
            let at = self.position(rows, &targets);
            let last = targets.len().saturating_sub(1);
            self.cursor = match movement {
                Move::Up(by) => at.saturating_sub(by),
                Move::Down(by) => at.saturating_add(by).min(last),
                Move::First => 0,
                Move::Last => last,
                Move::NextList => next_list(rows, &targets, at),
                Move::NextMatch | Move::PreviousMatch => at,
            };
            let row = targets.get(self.cursor).and_then(|row| rows.get(*row));
            self.selected = row.and_then(|row| row.target.clone());
            return;
        }
        let last = rows.len().saturating_sub(height);
        let first = match self.follows {
            true => last,
            false => self.first.min(last),
        };
        self.first = match movement {
            Move::Up(by) => first.saturating_sub(by),
            Move::Down(by) => first.saturating_add(by).min(last),
            Move::First => 0,
            Move::Last | Move::NextList => last,
            Move::NextMatch => self.next_match(rows, first + 1).unwrap_or(first).min(last),
            Move::PreviousMatch => self.match_before(rows, first).unwrap_or(first),
        };
        let is_log = matches!(self.view, View::Job(_));
        self.follows = is_log && self.first == last && movement != Move::NextMatch;
    }

    /// Moves to what is searched for, from what is on the screen on.
    pub(super) fn search(&mut self, rows: &[Row], height: usize) {
        if self.is_list() || self.filter.is_empty() {
            return;
        }
        let last = rows.len().saturating_sub(height);
        let first = if self.follows { 0 } else { self.first };
        if let Some(found) = self
            .next_match(rows, first)
            .or_else(|| self.next_match(rows, 0))
        {
            self.first = found.min(last);
            self.follows = false;
        }
    }

    /// Goes to a row that is read, with what is just before it.
    pub(super) fn go_to(&mut self, row: usize, rows: &[Row], height: usize) {
        let last = rows.len().saturating_sub(height);
        self.first = row.saturating_sub(2).min(last);
        self.follows = false;
    }

    fn next_match(&self, rows: &[Row], from: usize) -> Option<usize> {
        let after = rows.iter().enumerate().skip(from);
        let mut found = after.filter(|(_, row)| row.matches(&self.filter));
        found.next().map(|(index, _)| index)
    }

    fn match_before(&self, rows: &[Row], before: usize) -> Option<usize> {
        let earlier = rows.iter().enumerate().take(before);
        let mut found = earlier.filter(|(_, row)| row.matches(&self.filter));
        found.next_back().map(|(index, _)| index)
    }

    /// Returns what is on the screen of `rows`, if `height` of them fit.
    pub(super) fn window(&mut self, rows: &[Row], height: usize) -> Window {
        let last = rows.len().saturating_sub(height);
        if !self.is_list() {
            let first = if self.follows {
                last
            } else {
                self.first.min(last)
            };
            return Window {
                first,
                selected: None,
            };
        }
        let targets = targets(rows);
        self.cursor = self.position(rows, &targets);
        let selected = targets.get(self.cursor).copied();
        let row = selected.and_then(|row| rows.get(row));
        self.selected = row.and_then(|row| row.target.clone());
        let at = selected.unwrap_or(0);
        // What is above the first row that can be selected is its heading.
        self.first = match self.cursor {
            0 => 0,
            _ => self.first.min(at),
        };
        if at >= self.first + height {
            self.first = at + 1 - height;
        }
        Window {
            first: self.first,
            selected,
        }
    }

    /// Returns which of the rows that can be selected is.
    fn position(&self, rows: &[Row], targets: &[usize]) -> usize {
        let is_selected = |row: &&usize| {
            let target = rows.get(**row).and_then(|row| row.target.as_ref());
            target.is_some() && target == self.selected.as_ref()
        };
        let found = targets.iter().position(|row| is_selected(&row));
        found.unwrap_or_else(|| self.cursor.min(targets.len().saturating_sub(1)))
    }
}

/// Returns the rows that can be selected.
fn targets(rows: &[Row]) -> Vec<usize> {
    let rows = rows.iter().enumerate();
    rows.filter(|(_, row)| row.target.is_some())
        .map(|(index, _)| index)
        .collect()
}

/// Returns the first of `targets` after `at` with other rows before it, or else the first of all.
fn next_list(rows: &[Row], targets: &[usize], at: usize) -> usize {
    let begins = |row: usize| match row.checked_sub(1) {
        Some(before) => rows.get(before).is_none_or(|row| row.target.is_none()),
        None => true,
    };
    let later = targets.iter().enumerate().skip(at + 1);
    let mut found = later.filter(|(_, row)| begins(**row));
    found.next().map_or(0, |(index, _)| index)
}
