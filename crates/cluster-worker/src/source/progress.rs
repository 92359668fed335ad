//! Git's progress in a log: a line every few seconds.

use std::time::{Duration, Instant};

use crate::process::Filter;

/// The interval of progress lines in a log. A quick fetch shows none.
const INTERVAL: Duration = Duration::from_secs(10);

/// The longest progress line, in bytes.
const LONGEST: usize = 300;

/// Forwards git's output, but only some lines of its progress.
pub(super) struct Progress {
    /// The line that has not ended yet.
    line: Vec<u8>,
    shown: Instant,
    /// How much has been received, by git's last report.
    received: Option<String>,
    /// Whether to hide changed refs: there may be one for each pull request.
    hides_refs: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            line: Vec::new(),
            shown: Instant::now(),
            received: None,
            hides_refs: false,
        }
    }

    /// Also hides the refs that `git fetch` has changed.
    pub(super) fn without_refs() -> Self {
        Self {
            hides_refs: true,
            ..Self::new()
        }
    }

    /// Returns how much has been received. `None` if git has not reported it, as for very small amounts.
    pub(super) fn received(&self) -> Option<&str> {
        self.received.as_deref()
    }

    fn end_line(&mut self, end: u8, shown: &mut Vec<u8>) {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        if line.len() <= LONGEST && is_progress(&text) {
            self.received = received(&text).or(self.received.take());
            if self.shown.elapsed() >= INTERVAL {
                self.shown = Instant::now();
                shown.extend_from_slice(text.trim_end().as_bytes());
                shown.push(b'\n');
            }
        } else if !(self.hides_refs && is_ref(&text)) {
            shown.extend_from_slice(&line);
            shown.push(end);
        }
    }
}

impl Filter for Progress {
    fn pass(&mut self, bytes: &[u8], shown: &mut Vec<u8>) {
        for &byte in bytes {
            if matches!(byte, b'\n' | b'\r') {
                self.end_line(byte, shown);
            } else {
                self.line.push(byte);
                if self.line.len() > LONGEST {
                    // It is not progress. The rest of the line is handled as another line.
                    shown.append(&mut self.line);
                }
            }
        }
    }

    fn finish(&mut self, shown: &mut Vec<u8>) {
        shown.append(&mut self.line);
    }
}

/// Returns whether a line shows progress, such as `Receiving objects:  12% (3/25), 1.20 MiB | 3.00 MiB/s`, also with
/// `remote: ` before it.
fn is_progress(line: &str) -> bool {
    let line = line.strip_prefix("remote: ").unwrap_or(line);
    if line.starts_with("Total ") {
        return line.contains(" (delta ");
    }
    let Some((what, rest)) = line.split_once(": ") else {
        return false;
    };
    let rest = rest.trim();
    let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let counts = after.len() < rest.len()
        && (after.is_empty()
            || ["%", " (", ", done"]
                .iter()
                .any(|next| after.starts_with(next)));
    counts && what.chars().all(|c| c.is_ascii_alphabetic() || c == ' ')
}

/// Returns whether a line reports a changed ref, such as ` * [new branch]      main       -> origin/main`, or the
/// server. A line about a rejected ref does not count.
fn is_ref(line: &str) -> bool {
    line.starts_with("From ")
        || (line.starts_with(' ') && !line.starts_with(" !") && line.contains(" -> "))
}

/// Returns the size in a progress line.
fn received(line: &str) -> Option<String> {
    let (before, _) = line.split_once(" | ")?;
    let (_, size) = before.rsplit_once(", ")?;
    Some(size.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(progress: &mut Progress, parts: &[&str]) -> String {
        let mut shown = Vec::new();
        for part in parts {
            progress.pass(part.as_bytes(), &mut shown);
        }
        progress.finish(&mut shown);
        String::from_utf8(shown).unwrap()
    }

    const FETCH: [&str; 3] = [
        "remote: Enumerating objects: 6, done.        \n\
         remote: Counting objects:  16% (1/6)        \rremote: Counting",
        " objects: 100% (6/6), done.        \n\
         remote: Total 6 (delta 0), reused 0 (delta 0), pack-reused 0 (from 0)        \n",
        "Receiving objects:  50% (3/6), 1.20 MiB | 3.00 MiB/s\r\
         Receiving objects: 100% (6/6), 2.40 MiB | 3.00 MiB/s, done.\n",
    ];

    #[test]
    fn a_quick_fetch_shows_no_progress_and_has_a_size() {
        let mut progress = Progress::new();
        assert_eq!(filtered(&mut progress, &FETCH), "");
        assert_eq!(progress.received(), Some("2.40 MiB"));
    }

    #[test]
    fn a_slow_fetch_shows_some_progress() {
        let mut progress = Progress::new();
        progress.shown = Instant::now().checked_sub(INTERVAL).unwrap();
        assert_eq!(
            filtered(&mut progress, &FETCH),
            "remote: Enumerating objects: 6, done.\n"
        );
    }

    #[test]
    fn changed_refs_can_be_hidden() {
        let refs = [
            "From git://example.com/x\n * [new branch]      main       -> origin/main\n",
            "   0ecc688..7081553  w -> origin/w\n - [deleted]         (none)     -> origin/x\n",
            " ! [rejected]        main       -> main  (non-fast-forward)\n",
        ];
        assert_eq!(filtered(&mut Progress::without_refs(), &refs), refs[2]);
        assert_eq!(filtered(&mut Progress::new(), &refs), refs.concat());
    }

    #[test]
    fn all_other_output_is_shown() {
        let long = "x".repeat(2 * LONGEST) + ": 100% (1/1)\n";
        let text = format!(
            "remote: Welcome to example.com: 3 mirrors\nfatal: couldn't find remote ref x\n\
             Submodule path 'sub': checked out '12'\n{long}fatal: end"
        );
        assert_eq!(filtered(&mut Progress::new(), &[&text]), text);
    }
}
