//! An output on its way, without the secrets.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::lane::Lane;
use crate::{Known, MARK, SHORTEST};

/// An output on its way, without the secrets.
///
/// What comes out does not depend on the pieces in which it goes in.
pub struct Stream(Option<State>);

struct State {
    known: Arc<Known>,
    plain: Lane,
    encoded: Lane,
    /// What has come in and not gone out.
    held: VecDeque<u8>,
    /// The offset of the first byte of `held`, in all that has come in.
    begin: u64,
    /// What is secret of `held`, in order and apart.
    secret: VecDeque<Range<u64>>,
    /// Whether the last byte that was let go was secret, so that one mark stands for all that is beside each other.
    in_secret: bool,
}

impl Stream {
    pub(crate) fn new(known: Option<Arc<Known>>) -> Self {
        Self(known.map(|known| State {
            plain: Lane::new(&known.plain, false),
            encoded: Lane::new(&known.encoded, true),
            known,
            held: VecDeque::new(),
            begin: 0,
            secret: VecDeque::new(),
            in_secret: false,
        }))
    }

    /// Takes in some of the output, and adds to `out` what can be shown of it now.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match &mut self.0 {
            Some(state) => state.push(bytes, out),
            None => out.extend_from_slice(bytes),
        }
    }

    /// Adds what is held back, because nothing more has come for a while: somebody may wait to read it.
    ///
    /// What is the beginning of a secret is held on to, unless it is so short that it tells nothing.
    pub fn pause(&mut self, out: &mut Vec<u8>) {
        if let Some(state) = &mut self.0
            && state.held.len() < SHORTEST
        {
            state.release(state.end(), out);
        }
    }

    /// Adds what is held back, because nothing more will come: of the next output, nothing belongs to this one.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if let Some(state) = &mut self.0 {
            state.release(state.end(), out);
            state.in_secret = false;
            state.plain = Lane::new(&state.known.plain, false);
            state.encoded = Lane::new(&state.known.encoded, true);
        }
    }

    /// Returns whether anything is held back.
    pub fn has_pending(&self) -> bool {
        self.0.as_ref().is_some_and(|state| !state.held.is_empty())
    }
}

impl State {
    fn end(&self) -> u64 {
        self.begin + self.held.len() as u64
    }

    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for &byte in bytes {
            let offset = self.end();
            self.held.push_back(byte);
            let known = &self.known;
            let found = [
                self.plain.next(&known.plain, byte, offset),
                self.encoded.next(&known.encoded, byte, offset),
            ];
            if let Some(begin) = found.into_iter().flatten().min() {
                self.mark(begin.max(self.begin)..offset + 1);
            }
        }
        let lanes = [self.plain.undecided(), self.encoded.undecided()];
        let undecided = lanes.into_iter().flatten().min();
        self.release(undecided.unwrap_or(self.end()), out);
    }

    /// Adds to what is secret. It ends where no other has ended, so it can only swallow others.
    fn mark(&mut self, mut range: Range<u64>) {
        while let Some(last) = self.secret.back()
            && last.end >= range.start
        {
            range.start = range.start.min(last.start);
            self.secret.pop_back();
        }
        self.secret.push_back(range);
    }

    /// Lets go of all before `until`.
    fn release(&mut self, until: u64, out: &mut Vec<u8>) {
        while self.begin < until {
            let (end, is_secret) = match self.secret.front() {
                Some(secret) if secret.start <= self.begin => (secret.end.min(until), true),
                Some(secret) => (secret.start.min(until), false),
                None => (until, false),
            };
            let count = usize::try_from(end.saturating_sub(self.begin)).unwrap_or(usize::MAX);
            let gone = self.held.drain(..count.min(self.held.len()));
            match (is_secret, self.in_secret) {
                (false, _) => out.extend(gone),
                (true, false) => out.extend_from_slice(MARK.as_bytes()),
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
