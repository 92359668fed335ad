//! What the two sides of a connection hold of each other, as the messages between them say.
//!
//! The RPC system has tables of its own, but does not show them, and it trusts the peer where we do not: it recurses
//! along chains of promises, and releases everything at once when a connection ends. The ledger tells us
//!
//! * when a connection without a handle has no capabilities left either,
//! * when a peer exceeds a limit,
//! * what a lost peer held, so that it can be released in small steps.

mod exports;
mod imports;
mod questions;

use std::collections::HashSet;

use capnp_rpc::rpc_capnp::{cap_descriptor, payload};

use self::exports::Exports;
use self::imports::Imports;
use self::questions::Questions;
use crate::Limits;

/// The questions and capabilities of one connection.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Our questions that are not finished.
    ours: HashSet<u32>,
    theirs: Questions,
    imports: Imports,
    exports: Exports,
}

/// What to do when a peer resolves a promise of its own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// Accept the resolution.
    Follow,
    /// Break the promise instead.
    Break(&'static str),
}

/// Something that a lost peer holds, and would have had to release.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cleanup {
    /// A question, with the capabilities in its answer.
    Finish(u32),
    /// An export, and the number of references to it.
    Release(u32, u32),
}

/// Everything that a lost peer holds, one item at a time.
#[derive(Default)]
pub(crate) struct Cleanups {
    questions: questions::IntoIter,
    exports: Exports,
    releases: Option<exports::IntoIter>,
}

impl Iterator for Cleanups {
    type Item = Cleanup;

    fn next(&mut self) -> Option<Cleanup> {
        if let Some((question, results)) = self.questions.next() {
            for export in results {
                self.exports.released(export, 1);
            }
            return Some(Cleanup::Finish(question));
        }
        let exports = &mut self.exports;
        let releases = self
            .releases
            .get_or_insert_with(|| std::mem::take(exports).into_iter());
        let (export, references) = releases.next()?;
        Some(Cleanup::Release(export, references))
    }
}

impl Ledger {
    /// Returns whether we have no question open and hold no capability of the peer's.
    pub(crate) fn is_idle(&self) -> bool {
        self.ours.is_empty() && self.imports.is_empty()
    }

    /// Returns how many questions and exports the peer holds.
    pub(crate) fn held_by_peer(&self) -> usize {
        self.theirs.len() + self.exports.len()
    }

    /// Takes out what a lost peer holds.
    pub(crate) fn take_cleanups(&mut self) -> Cleanups {
        Cleanups {
            questions: std::mem::take(&mut self.theirs).into_iter(),
            exports: std::mem::take(&mut self.exports),
            releases: None,
        }
    }

    pub(crate) fn we_asked(&mut self, question: u32) {
        self.ours.insert(question);
    }

    pub(crate) fn we_finished(&mut self, question: u32) {
        self.ours.remove(&question);
        self.shrink();
    }

    /// Notes an answer of the peer's. Returns whether the question was open.
    pub(crate) fn they_answered(&mut self, question: u32, no_finish_needed: bool) -> bool {
        if no_finish_needed {
            let was_open = self.ours.remove(&question);
            self.shrink();
            was_open
        } else {
            self.ours.contains(&question)
        }
    }

    /// Frees the memory of an empty set, as most connections are idle most of the time.
    fn shrink(&mut self) {
        if self.ours.is_empty() && self.ours.capacity() > 64 {
            self.ours = HashSet::new();
        }
    }

    /// Notes a question of the peer's in a message of `bytes`. The peer may have `max_open` open questions.
    ///
    /// `target` is the question whose answer it calls; `None` if it calls a capability.
    ///
    /// # Errors
    ///
    /// When a limit is exceeded: the text says which.
    pub(crate) fn they_asked(
        &mut self,
        question: u32,
        target: Option<u32>,
        bytes: usize,
        max_open: usize,
        limits: &Limits,
    ) -> Result<(), String> {
        if self.theirs.len() >= max_open {
            return Err(format!("more than {max_open} open questions"));
        }
        self.theirs.ask(question, target, bytes)?;
        let limit = limits.unanswered;
        if self.theirs.unanswered_bytes() > limit {
            return Err(format!("more than {limit} bytes of unanswered calls"));
        }
        Ok(())
    }

    /// Notes an answer of ours. `results` is `None` for an exception.
    ///
    /// # Errors
    ///
    /// When the message cannot be read.
    pub(crate) fn we_answered(
        &mut self,
        question: u32,
        no_finish_needed: bool,
        results: Option<payload::Reader<'_>>,
    ) -> capnp::Result<()> {
        let mut exports = Vec::new();
        if let Some(results) = results {
            for descriptor in results.get_cap_table()? {
                exports.extend(self.exports.sent(descriptor));
            }
        }
        if no_finish_needed {
            self.theirs.finish(question, true);
        } else {
            self.theirs.answer(question, exports);
        }
        Ok(())
    }

    pub(crate) fn they_finished(&mut self, question: u32, release_results: bool) {
        let results = self.theirs.finish(question, false);
        if release_results {
            for export in results {
                self.exports.released(export, 1);
            }
        }
    }

    /// Notes the capabilities in a call of ours.
    ///
    /// # Errors
    ///
    /// When the message cannot be read.
    pub(crate) fn we_sent_caps(&mut self, payload: payload::Reader<'_>) -> capnp::Result<()> {
        for descriptor in payload.get_cap_table()? {
            self.exports.sent(descriptor);
        }
        Ok(())
    }

    /// Notes that a promise of ours resolves to `target`, or is broken if that is `None`.
    pub(crate) fn we_resolved(&mut self, promise: u32, target: Option<cap_descriptor::Reader<'_>>) {
        self.exports.resolved(promise);
        if let Some(target) = target {
            self.exports.sent(target);
        }
    }

    pub(crate) fn they_released(&mut self, export: u32, references: u32) {
        self.exports.released(export, references);
    }

    /// Returns how many questions of the peer's are unanswered.
    pub(crate) fn unanswered(&self) -> usize {
        self.theirs.unanswered()
    }

    /// Returns the size of the messages with those questions, in bytes.
    pub(crate) fn unanswered_bytes(&self) -> usize {
        self.theirs.unanswered_bytes()
    }

    /// Notes the capabilities in a message of the peer's.
    ///
    /// A promise of ours must not come back: it could resolve to itself, or extend a chain of promises that cannot be
    /// seen from here. No vat of a cluster sends one back.
    ///
    /// # Errors
    ///
    /// When a rule is broken: the text says which.
    pub(crate) fn they_sent_caps(
        &mut self,
        payload: payload::Reader<'_>,
        limits: &Limits,
    ) -> Result<(), String> {
        let table = payload.get_cap_table().map_err(|e| e.to_string())?;
        let limit = Limits::MESSAGE_IMPORTS;
        if table.len() as usize > limit {
            return Err(format!("more than {limit} capabilities in one message"));
        }
        for descriptor in table {
            if self.is_promise_of_ours(descriptor) {
                return Err("a promise may not be sent back to its owner".to_owned());
            }
            self.imports.sent(descriptor);
        }
        let limit = limits.imports;
        if self.imports.len() > limit {
            return Err(format!("more than {limit} capabilities at a time"));
        }
        Ok(())
    }

    fn is_promise_of_ours(&self, descriptor: cap_descriptor::Reader<'_>) -> bool {
        match descriptor.which() {
            Ok(cap_descriptor::ReceiverHosted(export)) => self.exports.is_promise(export),
            Ok(cap_descriptor::ReceiverAnswer(Ok(answer))) => {
                self.theirs.contains(answer.get_question_id())
            }
            _ => false,
        }
    }

    pub(crate) fn we_released(&mut self, import: u32, references: u32) {
        self.imports.released(import, references);
    }

    /// Decides what to do when the peer resolves one of its promises to `target`.
    ///
    /// A promise that resolves to a capability of *ours* could close a circle through promises that we have exported,
    /// which cannot be seen from here. No vat of a cluster does that, so such a promise is broken.
    pub(crate) fn they_resolved(
        &mut self,
        promise: u32,
        target: cap_descriptor::Reader<'_>,
    ) -> Resolution {
        if let Ok(cap_descriptor::ReceiverHosted(_) | cap_descriptor::ReceiverAnswer(_)) =
            target.which()
        {
            return Resolution::Break("a promise may not resolve to a capability of its receiver");
        }
        self.imports.resolved(promise, target)
    }
}
