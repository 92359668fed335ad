//! Finding many patterns at once: an Aho-Corasick automaton, a byte at a time.

use std::cell::Cell;

use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};

/// How many bytes of patterns there are at most, in both automata together.
///
/// A byte takes up to 40 bytes of memory while the automaton is made, and 10 afterwards. Eight bytes of patterns are made of one of
/// a secret or more, so this is enough for 30 KiB of secrets in all forms.
const MAX_BYTES: usize = 256 << 10;

/// The longest pattern, in bytes, and so the most that is held back. What is longer is found in pieces.
const MAX_PATTERN: usize = 256;

/// Counts what patterns take.
#[derive(Default)]
pub(crate) struct Budget {
    used: usize,
    is_exceeded: Cell<bool>,
}

impl Budget {
    /// Adds a pattern, in pieces if it is long, while there is room.
    pub(crate) fn add(&mut self, patterns: &mut Vec<Vec<u8>>, pattern: Vec<u8>) {
        if pattern.len() <= MAX_PATTERN {
            return self.add_piece(patterns, pattern);
        }
        let whole = pattern.len() / MAX_PATTERN * MAX_PATTERN;
        let (pieces, rest) = pattern.split_at(whole);
        for piece in pieces.chunks(MAX_PATTERN) {
            self.add_piece(patterns, piece.to_vec());
        }
        if !rest.is_empty() {
            // The last is as long as the others, so that it is no short word.
            let last = pattern[pattern.len() - MAX_PATTERN..].to_vec();
            self.add_piece(patterns, last);
        }
    }

    fn add_piece(&mut self, patterns: &mut Vec<Vec<u8>>, piece: Vec<u8>) {
        if self.used + piece.len() > MAX_BYTES {
            return self.exceed();
        }
        self.used += piece.len();
        patterns.push(piece);
    }

    /// Returns whether another pattern of this length could be added.
    pub(crate) fn has_room(&self, length: usize) -> bool {
        self.used + length.min(MAX_PATTERN) <= MAX_BYTES
    }

    pub(crate) fn exceed(&self) {
        self.is_exceeded.set(true);
    }

    pub(crate) fn is_exceeded(&self) -> bool {
        self.is_exceeded.get()
    }
}

/// Finds all of some patterns, also where they overlap.
#[derive(Default)]
pub(crate) struct Patterns(Option<Automaton>);

struct Automaton {
    nfa: NFA,
    start: StateID,
    /// How much of what was read last begins a pattern, for each state.
    depths: Vec<u16>,
}

/// Where an automaton has got to. `None` if there are no patterns.
#[derive(Clone, Copy)]
pub(crate) struct State(Option<StateID>);

impl Patterns {
    /// Returns `None` if they are more than an automaton can have, which the budget rules out.
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
        // A pattern's own bytes lead from the start through the states that stand for its beginnings.
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

    /// Reads a byte, and returns the length of the longest pattern that ends with it; 0 if none does.
    pub(crate) fn next(&self, state: &mut State, byte: u8) -> usize {
        let (Some(Automaton { nfa, .. }), State(Some(state))) = (&self.0, state) else {
            return 0;
        };
        *state = nfa.next_state(Anchored::No, *state, byte);
        if !nfa.is_match(*state) {
            return 0;
        }
        // The state's own pattern is the longest, and comes first.
        nfa.pattern_len(nfa.match_pattern(*state, 0))
    }

    /// Returns how many of the bytes read last could be the beginning of a pattern.
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
