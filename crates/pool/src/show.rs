//! The text an operator reads, as upstream prints it; `dump` adds what only tests want.
//!
//! Items, waiting workers and clients are filled into lines: one stays on its line if the line up to
//! and including it is at most 77 bytes wide. What follows the last of them is not counted. In
//! brackets the right-most is next.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString as _};
use core::fmt;

use visible::Shown;

use crate::{Item, Items, Pool, Snapshot, Time, WaitingView};

/// How wide a line may become by adding an item to it.
const WIDTH: usize = 77;

/// How many tickets of each queue are shown. Enough for any eye, and the text stays short enough to
/// be made without keeping others waiting.
const SHOWN: usize = 1_000;

impl Pool {
    /// Returns the state as an operator reads it.
    ///
    /// Of a queue with more than 1,000 tickets, the later ones are only counted.
    pub fn show(&self, now: Time) -> String {
        self.snapshot(now, SHOWN).to_string()
    }

    /// Returns what `show` does, and a line about what is cached where: for tests.
    pub fn dump(&self, now: Time) -> String {
        format!("{}{}", self.show(now), self.show_cached())
    }

    /// Returns the line that `dump` adds.
    pub fn show_cached(&self) -> String {
        let mut text = String::from("cached: ");
        let mut separator = "";
        for (hint, workers) in self.cached() {
            text.push_str(separator);
            text.push_str(&Shown(hint.as_str()).to_string());
            let names: alloc::vec::Vec<_> = workers.iter().map(|name| name.as_str()).collect();
            text.push_str(&format!(": [{}]", names.join("; ")));
            separator = ", ";
        }
        text.push('\n');
        text
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            capacity,
            waiting,
            workers,
            disconnected,
            clients,
        } = self;
        writeln!(f, "capacity: {capacity}")?;
        match waiting {
            WaitingView::Backlog(items) => {
                let mut line = Filled::after("queue: (backlog) [");
                line.items(items);
                writeln!(f, "{}]", line.text)?;
            }
            WaitingView::Ready(names) => {
                let mut line = Filled::after("queue: (ready) [");
                line.indent = "queue: ".len();
                line.fill(names.iter().rev().map(|name| name.as_str().into()));
                writeln!(f, "{}]", line.text)?;
            }
        }
        writeln!(f, "registered:")?;
        for worker in workers {
            let head = format!("  {} ({:.0}): ", worker.name, worker.workload.as_secs_f64());
            if worker.reasons.is_empty() {
                let mut line = Filled::after(&format!("{head}["));
                line.items(&worker.queue);
                write!(f, "{}]", line.text)?;
            } else {
                write!(f, "{head}(inactive: {})", worker.reasons)?;
            }
            writeln!(f, " ({} running)", worker.running.len())?;
        }
        writeln!(f, "disconnected:")?;
        for worker in disconnected {
            writeln!(
                f,
                "  {}{}",
                worker.name,
                if worker.paused { " (paused)" } else { "" }
            )?;
        }
        let mut line = Filled::after("clients: ");
        line.fill(clients.iter().map(|client| {
            let rate = format!("{}({:.0})", client.id, client.rate.get());
            match client.next_fair_start_in {
                delay if delay > 0.0 => format!("{rate}+{}", RoughDuration(delay)).into(),
                _ => rate.into(),
            }
        }));
        writeln!(f, "{}", line.text)
    }
}

/// Text whose words are filled into lines.
struct Filled {
    text: String,
    /// Where continued lines begin.
    indent: usize,
    /// How long the last line is.
    column: usize,
}

impl Filled {
    /// Returns a text that starts with `head`, and continues below its end.
    fn after(head: &str) -> Self {
        Self {
            text: head.into(),
            indent: head.len(),
            column: head.len(),
        }
    }

    fn items(&mut self, items: &Items) {
        let more = (items.more > 0).then(|| format!("({} more)", items.more).into());
        let first = items.first.iter().rev().map(|item| item.to_string().into());
        self.fill(more.into_iter().chain(first));
    }

    fn fill<'a>(&mut self, words: impl Iterator<Item = Cow<'a, str>>) {
        for (index, word) in words.enumerate() {
            if index > 0 && self.column + 1 + word.len() > WIDTH {
                self.text.push('\n');
                self.text.extend(core::iter::repeat_n(' ', self.indent));
                self.column = self.indent;
            } else if index > 0 {
                self.text.push(' ');
                self.column += 1;
            }
            self.text.push_str(&word);
            self.column += word.len();
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urgent = if self.urgent { "+urgent" } else { "" };
        write!(
            f,
            "{}:{}@{}",
            self.client,
            self.label,
            RoughDuration(self.fair_start_in)
        )?;
        match self.cost {
            Some(cost) => write!(f, "({:.0}{urgent})", cost.as_secs_f64()),
            None => f.write_str(urgent),
        }
    }
}

/// Seconds up to two minutes, then minutes.
struct RoughDuration(f64);

impl fmt::Display for RoughDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 120.0 {
            write!(f, "{:.0}s", self.0)
        } else {
            write!(f, "{:.0}m", self.0 / 60.0)
        }
    }
}
