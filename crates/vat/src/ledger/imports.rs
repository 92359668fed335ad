//! The peer's capabilities that we hold, and what its promises resolve to.

use std::collections::HashMap;

use capnp_rpc::rpc_capnp::cap_descriptor;

use super::Resolution;
use crate::Limits;

/// The peer's capabilities that we hold, by import id.
#[derive(Default)]
pub(crate) struct Imports(HashMap<u32, Import>);

#[derive(Default)]
struct Import {
    /// How many references the peer has counted.
    references: u32,
    /// The length of the longest chain of promises that resolves to this import.
    chain: u8,
    /// The import that it resolves to; `None` if it is no promise or is unresolved.
    resolution: Option<u32>,
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

    /// Decides what to do when the peer resolves `promise` to `target`, and notes an accepted resolution.
    ///
    /// The RPC system follows resolutions to their end, so a promise that resolves to itself, directly or through
    /// others, would keep it busy for ever. It also recurses along a chain of them in calls and releases, so a long one
    /// would exhaust the stack. So a promise is broken if its resolution would close a circle or make a chain too long.
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
                return Resolution::Break("the promise resolves to itself");
            }
            if length > Limits::PROMISE_CHAIN {
                return Resolution::Break("the promise is part of a chain that is too long");
            }
            match self.0.get(&end).and_then(|import| import.resolution) {
                Some(next) => (end, length) = (next, length + 1),
                None => break,
            }
        }
        self.sent(target);
        if is_known {
            self.note_chain(first, before);
            if let Some(promise) = self.0.get_mut(&promise) {
                promise.resolution = Some(first);
            }
        }
        Resolution::Follow
    }

    /// Notes that a chain of `length` promises resolves to `import`, and so a longer one to what `import` resolves to.
    fn note_chain(&mut self, import: u32, length: u8) {
        let (mut next, mut length) = (Some(import), length);
        while let Some(import) = next.and_then(|id| self.0.get_mut(&id)) {
            import.chain = import.chain.max(length);
            (next, length) = (import.resolution, length + 1);
        }
    }
}

/// Returns the import in a descriptor of the peer's; `None` if it describes something else.
fn import_of(descriptor: cap_descriptor::Reader<'_>) -> Option<u32> {
    match descriptor.which() {
        Ok(cap_descriptor::SenderHosted(id) | cap_descriptor::SenderPromise(id)) => Some(id),
        _ => None,
    }
}
