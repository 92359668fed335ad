//! What the two sides of a connection owe each other, seen from the messages that pass.
//!
//! The RPC system keeps its own tables, but does not show them, and trusts the peer in places where we do not: it
//! recurses along chains of promises, and breaks everything in one go when a connection ends. From this ledger we know
//! when a connection that nobody holds any more has no capabilities left either, when a peer asks for too much, and
//! how to take apart what a lost peer has left behind in pieces.

mod exports;
mod imports;
mod questions;

use std::collections::HashSet;

use capnp_rpc::rpc_capnp::{cap_descriptor, payload};

use self::exports::Exports;
use self::imports::Imports;
use self::questions::Questions;
use crate::Limits;

#[derive(Default)]
pub(crate) struct Ledger {
    /// Questions of ours that are not finished.
    ours: HashSet<u32>,
    theirs: Questions,
    imports: Imports,
    exports: Exports,
}

/// What to do with a peer's word on what a promise of its own has become.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// Believe it.
    Follow,
    /// Break the promise instead.
    Break(&'static str),
}

/// One thing that a lost peer would have had to say itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Debt {
    /// It does not wait for the answer to this question, nor hold what is in it.
    Finish(u32),
    /// It does not hold this many references to an export.
    Release(u32, u32),
}

/// All that a lost peer has left behind, one after the other.
#[derive(Default)]
pub(crate) struct Debts {
    questions: questions::Left,
    exports: Exports,
    releases: Option<exports::Left>,
}

impl Iterator for Debts {
    type Item = Debt;

    fn next(&mut self) -> Option<Debt> {
        if let Some((question, results)) = self.questions.next() {
            for export in results {
                self.exports.released(export, 1);
            }
            return Some(Debt::Finish(question));
        }
        let exports = &mut self.exports;
        let releases = self
            .releases
            .get_or_insert_with(|| std::mem::take(exports).into_left());
        let (export, references) = releases.next()?;
        Some(Debt::Release(export, references))
    }
}

impl Ledger {
    /// Returns whether neither side holds anything, apart from capabilities of ours that the peer holds.
    pub(crate) fn is_idle(&self) -> bool {
        self.ours.is_empty() && self.imports.is_empty()
    }

    /// Returns how much a lost peer would leave behind.
    pub(crate) fn debt(&self) -> usize {
        self.theirs.len() + self.exports.len()
    }

    /// Takes out what a lost peer leaves behind.
    pub(crate) fn take_debts(&mut self) -> Debts {
        Debts {
            questions: std::mem::take(&mut self.theirs).into_left(),
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

    /// Notes an answer of the peer's; returns whether anybody here still waits for it.
    pub(crate) fn they_answered(&mut self, question: u32, no_finish_needed: bool) -> bool {
        if no_finish_needed {
            let waited = self.ours.remove(&question);
            self.shrink();
            waited
        } else {
            self.ours.contains(&question)
        }
    }

    /// Gives back the memory of a set that is empty: most connections are idle most of the time.
    fn shrink(&mut self) {
        if self.ours.is_empty() && self.ours.capacity() > 64 {
            self.ours = HashSet::new();
        }
    }

    /// Notes a question of the peer's in a message of `bytes`, asked of the answer to `target` if it is not asked of a
    /// capability. The peer may have `most` that are open.
    pub(crate) fn they_asked(
        &mut self,
        question: u32,
        target: Option<u32>,
        bytes: usize,
        most: usize,
        limits: &Limits,
    ) -> Result<(), String> {
        if self.theirs.len() >= most {
            return Err(format!("more than {most} open questions"));
        }
        self.theirs.ask(question, target, bytes)?;
        let most = limits.unanswered;
        if self.theirs.unanswered_bytes() > most {
            return Err(format!(
                "the calls that wait for answers take more than {most} bytes"
            ));
        }
        Ok(())
    }

    /// Notes an answer of ours, with these results if it has any.
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
    pub(crate) fn we_sent_caps(&mut self, payload: payload::Reader<'_>) -> capnp::Result<()> {
        for descriptor in payload.get_cap_table()? {
            self.exports.sent(descriptor);
        }
        Ok(())
    }

    /// Notes that a promise of ours is broken, or has become `target`.
    pub(crate) fn we_resolved(&mut self, promise: u32, target: Option<cap_descriptor::Reader<'_>>) {
        self.exports.resolved(promise);
        if let Some(target) = target {
            self.exports.sent(target);
        }
    }

    pub(crate) fn they_released(&mut self, export: u32, references: u32) {
        self.exports.released(export, references);
    }

    /// Returns how many questions of the peer's are not answered.
    pub(crate) fn unanswered(&self) -> usize {
        self.theirs.unanswered()
    }

    /// Returns how many bytes those have.
    pub(crate) fn unanswered_bytes(&self) -> usize {
        self.theirs.unanswered_bytes()
    }

    /// Notes the capabilities in a message of the peer's.
    ///
    /// A promise of ours may not come back: it could become itself, or be the next in a chain of promises which cannot be
    /// seen from here. No vat of a cluster does that.
    pub(crate) fn they_sent_caps(
        &mut self,
        payload: payload::Reader<'_>,
        limits: &Limits,
    ) -> Result<(), String> {
        let table = payload.get_cap_table().map_err(|e| e.to_string())?;
        if table.len() as usize > Limits::MESSAGE_IMPORTS {
            let most = Limits::MESSAGE_IMPORTS;
            return Err(format!("more than {most} capabilities in one message"));
        }
        for descriptor in table {
            if self.is_promise_of_ours(descriptor) {
                return Err("a promise of the receiver's may not be handed back to it".to_owned());
            }
            self.imports.sent(descriptor);
        }
        if self.imports.len() > limits.imports {
            let most = limits.imports;
            return Err(format!("more than {most} capabilities at a time"));
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

    /// Decides about a promise of the peer's that is said to be something now.
    ///
    /// A promise that becomes a capability of *ours* could close a circle through promises we have given out, which cannot
    /// be seen from here; as no vat of a cluster hands a peer's own capability back to it in this way, such a promise breaks.
    pub(crate) fn they_resolved(
        &mut self,
        promise: u32,
        target: cap_descriptor::Reader<'_>,
    ) -> Resolution {
        if let Ok(cap_descriptor::ReceiverHosted(_) | cap_descriptor::ReceiverAnswer(_)) =
            target.which()
        {
            return Resolution::Break("a promise may not become a capability of the receiver's");
        }
        self.imports.resolved(promise, target)
    }
}
