//! Search for many patterns at once, a byte at a time: an Aho-Corasick automaton.

use std::cell::Cell;

use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};

/// The total size of all patterns, in both automata together, in bytes.
///
/// A byte takes up to 40 bytes of memory while the automaton is built, and 10 afterwards. Each byte of a secret takes
/// eight bytes of patterns or more, so this is enough for 30 KiB of secrets in all forms.
const MAX_PATTERN_BYTES: usize = 256 << 10;

/// The longest pattern in bytes, and so the most pending output. A longer secret is found in pieces.
const MAX_PATTERN_LENGTH: usize = 256;

/// Counts the size of the patterns.
#[derive(Default)]
pub(crate) struct Budget {
    used: usize,
    is_exceeded: Cell<bool>,
}

impl Budget {
    /// Adds a pattern if the budget allows it, in pieces if it is long.
    pub(crate) fn add(&mut self, patterns: &mut Vec<Vec<u8>>, pattern: Vec<u8>) {
        if pattern.len() <= MAX_PATTERN_LENGTH {
            return self.add_piece(patterns, pattern);
        }
        let whole = pattern.len() / MAX_PATTERN_LENGTH * MAX_PATTERN_LENGTH;
        let (pieces, rest) = pattern.split_at(whole);
        for piece in pieces.chunks(MAX_PATTERN_LENGTH) {
            self.add_piece(patterns, piece.to_vec());
        }
        if !rest.is_empty() {
            // The last piece is as long as the others, as a short one could be a common word.
            let last = pattern[pattern.len() - MAX_PATTERN_LENGTH..].to_vec();
            self.add_piece(patterns, last);
        }
    }

    fn add_piece(&mut self, patterns: &mut Vec<Vec<u8>>, piece: Vec<u8>) {
        if self.used + piece.len() > MAX_PATTERN_BYTES {
            return self.exceed();
        }
        self.used += piece.len();
        patterns.push(piece);
    }

    /// Returns whether the budget allows another pattern of this length.
    pub(crate) fn has_room(&self, length: usize) -> bool {
        self.used + length.min(MAX_PATTERN_LENGTH) <= MAX_PATTERN_BYTES
    }

    pub(crate) fn exceed(&self) {
        self.is_exceeded.set(true);
    }

    pub(crate) fn is_exceeded(&self) -> bool {
        self.is_exceeded.get()
    }
}

/// Finds patterns, also where they overlap.
#[derive(Default)]
pub(crate) struct Patterns(Option<Automaton>);

struct Automaton {
    nfa: NFA,
    start: StateID,
    /// For each state, how many of the last bytes are the beginning of a pattern.
    depths: Vec<u16>,
}

/// The state of an automaton. `None` if there are no patterns.
#[derive(Clone, Copy)]
pub(crate) struct State(Option<StateID>);

impl Patterns {
    /// Returns an automaton for these patterns; `None` if they are too many, which the budget prevents.
    pub(crate) fn new(mut patterns: Vec<Vec<u8>>) -> Option<Self> {
        patterns.sort();
        patterns.dedup();
        if patterns.is_empty() {
            return Some(Self(None));
        }
        let mut builder = NFA::builder();
        let nfa = builder
            .match_kind(MatchKind::Standard)
            .prefilter(false)
            .build(&patterns)
            .ok()?;
        let start = nfa.start_state(Anchored::No).ok()?;
        let mut depths = Vec::new();
        // The bytes of a pattern lead from the start through the states for its beginnings.
        for pattern in &patterns {
            let mut state = start;
            for (before, &byte) in pattern.iter().enumerate() {
                state = nfa.next_state(Anchored::No, state, byte);
                if depths.len() <= state.as_usize() {
                    depths.resize(state.as_usize() + 1, 0);
                }
                depths[state.as_usize()] = u16::try_from(before + 1).ok()?;
            }
        }
        Some(Self(Some(Automaton { nfa, start, depths })))
    }

    pub(crate) fn start(&self) -> State {
        State(self.0.as_ref().map(|automaton| automaton.start))
    }

    /// Reads a byte. Returns the length of the longest pattern that ends with it; 0 if there is none.
    pub(crate) fn next(&self, state: &mut State, byte: u8) -> usize {
        let (Some(Automaton { nfa, .. }), State(Some(state))) = (&self.0, state) else {
            return 0;
        };
        *state = nfa.next_state(Anchored::No, *state, byte);
        if !nfa.is_match(*state) {
            return 0;
        }
        // The first pattern of a state is its longest.
        nfa.pattern_len(nfa.match_pattern(*state, 0))
    }

    /// Returns how many of the last bytes could be the beginning of a pattern.
    pub(crate) fn depth(&self, state: State) -> usize {
        match (&self.0, state) {
            (Some(automaton), State(Some(state))) => automaton
                .depths
                .get(state.as_usize())
                .copied()
                .unwrap_or(0)
                .into(),
            (None, _) | (_, State(None)) => 0,
        }
    }
}
