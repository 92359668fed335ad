//! Tickets in order: urgent first, then by fair start time, then by age.
//!
//! The backlog is one such order, and so is each worker's queue.

use alloc::collections::BTreeSet;
use core::cmp::Reverse;
use core::ops::Bound;

use crate::{TicketId, Time};

/// When it is a ticket's turn: the smallest of an order goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn {
    urgent: Reverse<bool>,
    fair_start: Time,
    ticket: TicketId,
}

impl Turn {
    pub(crate) fn new(urgent: bool, fair_start: Time, ticket: TicketId) -> Self {
        Self {
            urgent: Reverse(urgent),
            fair_start,
            ticket,
        }
    }

    pub(crate) fn ticket(self) -> TicketId {
        self.ticket
    }
}

/// Tickets in the order of their turns.
#[derive(Clone, Debug, Default)]
pub(crate) struct InOrder {
    turns: BTreeSet<Turn>,
    /// How many of them are urgent. Counted here because metrics ask at every scrape.
    urgent: usize,
}

impl InOrder {
    pub(crate) fn insert(&mut self, turn: Turn) {
        let added = self.turns.insert(turn);
        self.urgent += usize::from(added && turn.urgent.0);
    }

    pub(crate) fn remove(&mut self, turn: Turn) {
        let removed = self.turns.remove(&turn);
        self.urgent -= usize::from(removed && turn.urgent.0);
    }

    /// Returns the turn that comes next.
    pub(crate) fn first(&self) -> Option<Turn> {
        self.turns.first().copied()
    }

    /// Returns the turn that comes after another one.
    pub(crate) fn after(&self, turn: Turn) -> Option<Turn> {
        let later = (Bound::Excluded(turn), Bound::Unbounded);
        self.turns.range(later).next().copied()
    }

    pub(crate) fn contains(&self, turn: Turn) -> bool {
        self.turns.contains(&turn)
    }

    /// Walks the turns, the next one first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Turn> {
        self.turns.iter().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.turns.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    pub(crate) fn urgent(&self) -> usize {
        self.urgent
    }
}
