//! Capabilities of a peer's that are held here, and which of its promises have become which.

use std::collections::HashMap;

use capnp_rpc::rpc_capnp::cap_descriptor;

use super::Resolution;
use crate::Limits;

#[derive(Default)]
pub(crate) struct Imports(HashMap<u32, Import>);

#[derive(Default)]
struct Import {
    /// How many references the peer has counted.
    references: u32,
    /// The longest chain of promises that have become each the next, and the last of them this.
    chain: u8,
    /// Another import that it has become, if it is a promise.
    becomes: Option<u32>,
}

impl Imports {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes a capability that the peer has sent.
    pub(crate) fn sent(&mut self, descriptor: cap_descriptor::Reader<'_>) {
        if let Some(import) = import_of(descriptor) {
            let import = self.0.entry(import).or_default();
            import.references = import.references.saturating_add(1);
        }
    }

    pub(crate) fn released(&mut self, import: u32, references: u32) {
        if let Some(found) = self.0.get_mut(&import) {
            found.references = found.references.saturating_sub(references);
            if found.references == 0 {
                self.0.remove(&import);
            }
        }
        if self.0.is_empty() {
            self.0 = HashMap::new();
        }
    }

    /// Decides about a promise that has become `target`, and notes that if it is to be believed.
    ///
    /// The RPC system follows resolutions until it finds an end: a promise that has become itself, directly or through
    /// others, would keep it busy for ever. And it goes along a chain of them by recursion, to call as to let go of it, so
    /// that a long one would exhaust the stack. So the promise that would close a circle breaks, or make a chain too long.
    pub(crate) fn resolved(
        &mut self,
        promise: u32,
        target: cap_descriptor::Reader<'_>,
    ) -> Resolution {
        let Some(first) = import_of(target) else {
            return Resolution::Follow;
        };
        let known = self.0.get(&promise);
        let before = known.map_or(0, |promise| promise.chain) + 1;
        let is_known = known.is_some();
        let (mut end, mut length) = (first, before);
        loop {
            if end == promise {
                return Resolution::Break("the promise has become itself");
            }
            if length > Limits::PROMISE_CHAIN {
                return Resolution::Break("the promise is one of too many in a chain");
            }
            match self.0.get(&end).and_then(|import| import.becomes) {
                Some(next) => (end, length) = (next, length + 1),
                None => break,
            }
        }
        self.sent(target);
        if is_known {
            self.note_chain(first, before);
            if let Some(promise) = self.0.get_mut(&promise) {
                promise.becomes = Some(first);
            }
        }
        Resolution::Follow
    }

    /// Notes that a chain of `length` promises ends at `import` now, and so a longer one at what that has become.
    fn note_chain(&mut self, import: u32, length: u8) {
        let (mut next, mut length) = (Some(import), length);
        while let Some(import) = next.and_then(|id| self.0.get_mut(&id)) {
            import.chain = import.chain.max(length);
            (next, length) = (import.becomes, length + 1);
        }
    }
}

/// Returns the import that a descriptor of the peer's stands for.
fn import_of(descriptor: cap_descriptor::Reader<'_>) -> Option<u32> {
    match descriptor.which() {
        Ok(cap_descriptor::SenderHosted(id) | cap_descriptor::SenderPromise(id)) => Some(id),
        _ => None,
    }
}
