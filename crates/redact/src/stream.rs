//! Redaction of one output, as it arrives.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::matcher::Matcher;
use crate::{MIN_SECRET_BYTES, PLACEHOLDER, SecretPatterns};

/// Redacts one output.
///
/// The result does not depend on the pieces in which the output is pushed.
pub struct Stream(Option<State>);

struct State {
    patterns: Arc<SecretPatterns>,
    plain: Matcher,
    encoded: Matcher,
    /// The bytes that were pushed and not released.
    pending: VecDeque<u8>,
    /// The offset of the first byte of `pending` in the output.
    begin: u64,
    /// The secret ranges of `pending`, in order and disjoint.
    secret: VecDeque<Range<u64>>,
    /// Whether the last released byte was secret, so that adjacent secrets get one placeholder.
    in_secret: bool,
}

impl Stream {
    pub(crate) fn new(patterns: Option<Arc<SecretPatterns>>) -> Self {
        Self(patterns.map(|patterns| State {
            plain: Matcher::new(&patterns.plain, false),
            encoded: Matcher::new(&patterns.encoded, true),
            patterns,
            pending: VecDeque::new(),
            begin: 0,
            secret: VecDeque::new(),
            in_secret: false,
        }))
    }

    /// Pushes the next piece of the output, and appends to `out` what can be shown now.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match &mut self.0 {
            Some(state) => state.push(bytes, out),
            None => out.extend_from_slice(bytes),
        }
    }

    /// Appends the pending bytes to `out`. Call it when the output has been idle for a while, as a reader may wait for
    /// them.
    ///
    /// The beginning of a secret stays pending, unless it is too short to be secret.
    pub fn flush_idle(&mut self, out: &mut Vec<u8>) {
        if let Some(state) = &mut self.0
            && state.pending.len() < MIN_SECRET_BYTES
        {
            state.release(state.end(), out);
        }
    }

    /// Appends the pending bytes to `out`, as the output has ended. The next piece starts another output.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if let Some(state) = &mut self.0 {
            state.release(state.end(), out);
            state.in_secret = false;
            state.plain = Matcher::new(&state.patterns.plain, false);
            state.encoded = Matcher::new(&state.patterns.encoded, true);
        }
    }

    /// Returns whether there are bytes that were pushed and not shown.
    pub fn has_pending(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|state| !state.pending.is_empty())
    }
}

impl State {
    fn end(&self) -> u64 {
        self.begin + self.pending.len() as u64
    }

    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for &byte in bytes {
            let offset = self.end();
            self.pending.push_back(byte);
            let patterns = &self.patterns;
            let found = [
                self.plain.next(&patterns.plain, byte, offset),
                self.encoded.next(&patterns.encoded, byte, offset),
            ];
            if let Some(begin) = found.into_iter().flatten().min() {
                self.mark_secret(begin.max(self.begin)..offset + 1);
            }
        }
        let matchers = [self.plain.first_undecided(), self.encoded.first_undecided()];
        let first_undecided = matchers.into_iter().flatten().min();
        self.release(first_undecided.unwrap_or(self.end()), out);
    }

    /// Adds a secret range. No other range ends after it, so it can only be merged with the last ones.
    fn mark_secret(&mut self, mut range: Range<u64>) {
        while let Some(last) = self.secret.back()
            && last.end >= range.start
        {
            range.start = range.start.min(last.start);
            self.secret.pop_back();
        }
        self.secret.push_back(range);
    }

    /// Releases everything before `until`.
    fn release(&mut self, until: u64, out: &mut Vec<u8>) {
        while self.begin < until {
            let (end, is_secret) = match self.secret.front() {
                Some(secret) if secret.start <= self.begin => (secret.end.min(until), true),
                Some(secret) => (secret.start.min(until), false),
                None => (until, false),
            };
            let count = usize::try_from(end.saturating_sub(self.begin)).unwrap_or(usize::MAX);
            let released = self.pending.drain(..count.min(self.pending.len()));
            match (is_secret, self.in_secret) {
                (false, _) => out.extend(released),
                (true, false) => out.extend_from_slice(PLACEHOLDER.as_bytes()),
                (true, true) => {}
            }
            self.begin = end;
            self.in_secret = is_secret;
            if self.secret.front().is_some_and(|secret| secret.end <= end) {
                self.secret.pop_front();
            }
        }
    }
}
