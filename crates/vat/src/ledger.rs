//! What the two sides of a connection owe each other, seen from the messages that pass.
//!
//! The RPC system keeps its own tables, but does not show them, and trusts the peer in places where we do not. From this
//! ledger we know when a connection that nobody holds any more has no capabilities left either, and when a peer asks
//! for too much.

use std::collections::{HashMap, HashSet};

use capnp_rpc::rpc_capnp::{cap_descriptor, payload};

use crate::Limits;

#[derive(Default)]
pub(crate) struct Ledger {
    /// Whether the peer has named a service that exists.
    trusted: bool,
    /// Questions of ours that are not finished.
    ours: HashSet<u32>,
    /// Questions of the peer's that it has not finished.
    theirs: HashSet<u32>,
    /// Capabilities of the peer's that we hold, and how many references it has counted.
    imports: HashMap<u32, u32>,
    /// Promises of the peer's which it has resolved to another import of ours.
    resolved: HashMap<u32, u32>,
}

/// What to do with a peer's word on what a promise of its own has become.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// Believe it.
    Follow,
    /// Break the promise instead.
    Break(&'static str),
}

impl Ledger {
    /// Returns whether neither side holds anything, apart from capabilities of ours that the peer holds.
    pub(crate) fn is_idle(&self) -> bool {
        self.ours.is_empty() && self.imports.is_empty()
    }

    pub(crate) fn we_asked(&mut self, question: u32) {
        self.ours.insert(question);
    }

    pub(crate) fn we_finished(&mut self, question: u32) {
        self.ours.remove(&question);
        shrink(&mut self.ours);
    }

    /// Notes an answer of the peer's; returns whether anybody here still waits for it.
    pub(crate) fn they_answered(&mut self, question: u32, no_finish_needed: bool) -> bool {
        if no_finish_needed {
            let waited = self.ours.remove(&question);
            shrink(&mut self.ours);
            waited
        } else {
            self.ours.contains(&question)
        }
    }

    /// Notes that the peer knows a secret of ours.
    pub(crate) fn trust(&mut self) {
        self.trusted = true;
    }

    pub(crate) fn they_asked(&mut self, question: u32, limits: &Limits) -> Result<(), String> {
        let most = if self.trusted {
            limits.questions
        } else {
            limits.strangers_questions
        };
        if self.theirs.len() >= most {
            return Err(format!("more than {most} open questions"));
        }
        self.theirs.insert(question);
        Ok(())
    }

    pub(crate) fn they_finished(&mut self, question: u32) {
        self.theirs.remove(&question);
        shrink(&mut self.theirs);
    }

    /// Notes the capabilities in a message of the peer's.
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
            self.they_sent_cap(descriptor);
        }
        if self.imports.len() > limits.imports {
            return Err(format!(
                "more than {} capabilities at a time",
                limits.imports
            ));
        }
        Ok(())
    }

    pub(crate) fn they_sent_cap(&mut self, descriptor: cap_descriptor::Reader<'_>) {
        if let Some(import) = import_of(descriptor) {
            let references = self.imports.entry(import).or_default();
            *references = references.saturating_add(1);
        }
    }

    pub(crate) fn we_released(&mut self, import: u32, references: u32) {
        if let Some(left) = self.imports.get_mut(&import) {
            *left = left.saturating_sub(references);
            if *left == 0 {
                self.imports.remove(&import);
                self.resolved.remove(&import);
            }
        }
        if self.imports.is_empty() {
            self.imports = HashMap::new();
            self.resolved = HashMap::new();
        }
    }

    /// Decides about a promise of the peer's that is said to be something now.
    ///
    /// The RPC system follows resolutions until it finds an end: a promise that has become itself, directly or through
    /// others, would keep it busy for ever. So a circle is broken where it would close. A promise that becomes a
    /// capability of *ours* could close a circle through promises we have given out, which cannot be seen from here; as
    /// no vat of a cluster hands a peer's own capability back to it in this way, such a promise breaks too.
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
        let Some(target) = import_of(target) else {
            return Resolution::Follow;
        };
        let mut end = target;
        while let Some(next) = self.resolved.get(&end) {
            end = *next;
        }
        if end == promise {
            return Resolution::Break("the promise has become itself");
        }
        if self.imports.contains_key(&promise) {
            self.resolved.insert(promise, target);
        }
        Resolution::Follow
    }
}

/// Returns the import that a descriptor of the peer's stands for.
fn import_of(descriptor: cap_descriptor::Reader<'_>) -> Option<u32> {
    match descriptor.which() {
        Ok(cap_descriptor::SenderHosted(id) | cap_descriptor::SenderPromise(id)) => Some(id),
        _ => None,
    }
}

/// Gives back the memory of a set that is empty: most connections are idle most of the time.
fn shrink(set: &mut HashSet<u32>) {
    if set.is_empty() && set.capacity() > 64 {
        *set = HashSet::new();
    }
}
