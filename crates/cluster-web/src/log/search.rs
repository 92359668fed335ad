//! Searches a log, for browsers without JavaScript.

use super::line::Line;
use super::terminal::Terminal;

/// How long a text to search for may be.
const MAX_QUERY: usize = 200;

/// A line that has what is searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// The line.
    pub line: Line,
}

/// A search in a log, which comes in pieces.
#[derive(Debug)]
pub struct Search {
    query: String,
    limit: usize,
    found: Vec<Match>,
    is_full: bool,
}

impl Search {
    /// Begins a search that ends when it has found that many lines.
    pub fn new(query: &str, limit: usize) -> Self {
        let query: String = query.chars().take(MAX_QUERY).collect();
        Self {
            query: query.to_ascii_lowercase(),
            limit,
            found: Vec::new(),
            is_full: false,
        }
    }

    /// Searches the lines of a terminal that have changed. Returns whether to go on.
    pub fn read(&mut self, terminal: &mut Terminal) -> bool {
        for line in terminal.take_changed() {
            self.look_at(line);
        }
        !self.is_full
    }

    /// Returns the lines that were found, and whether there may be more.
    pub fn finish(self) -> (Vec<Match>, bool) {
        (self.found, self.is_full)
    }

    fn look_at(&mut self, line: Line) {
        // A line that was found before, and has changed.
        let known = self
            .found
            .iter()
            .rposition(|found| found.line.offset == line.offset);
        if let Some(known) = known {
            self.found.remove(known);
        }
        let has_text = line.text().to_ascii_lowercase().contains(&self.query);
        if self.query.is_empty() || !has_text {
            return;
        }
        if self.found.len() >= self.limit {
            self.is_full = true;
            return;
        }
        self.found.push(Match { line });
    }
}
