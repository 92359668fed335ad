//! Our capabilities that the peer holds.

use std::collections::HashMap;
use std::collections::hash_map;

use capnp_rpc::rpc_capnp::cap_descriptor;

/// Our capabilities that the peer holds, by export id.
#[derive(Default)]
pub(crate) struct Exports(HashMap<u32, Export>);

struct Export {
    /// How many references were sent to the peer and not released by it.
    references: u32,
    /// Whether it is a promise whose resolution was not sent to the peer.
    is_promise: bool,
}

/// The exports with their references.
pub(crate) struct IntoIter(hash_map::IntoIter<u32, Export>);

impl Iterator for IntoIter {
    type Item = (u32, u32);

    fn next(&mut self) -> Option<Self::Item> {
        let (id, export) = self.0.next()?;
        Some((id, export.references))
    }
}

impl Exports {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_promise(&self, export: u32) -> bool {
        self.0.get(&export).is_some_and(|export| export.is_promise)
    }

    /// Notes that the peer is sent a capability, and returns the export if it is one of ours.
    pub(crate) fn sent(&mut self, descriptor: cap_descriptor::Reader<'_>) -> Option<u32> {
        // The RPC system describes a promise as settled when it exports it again, so only the first description counts.
        let (id, is_promise) = match descriptor.which() {
            Ok(cap_descriptor::SenderHosted(id)) => (id, false),
            Ok(cap_descriptor::SenderPromise(id)) => (id, true),
            _ => return None,
        };
        let export = self.0.entry(id).or_insert(Export {
            references: 0,
            is_promise,
        });
        export.references = export.references.saturating_add(1);
        Some(id)
    }

    pub(crate) fn resolved(&mut self, promise: u32) {
        if let Some(export) = self.0.get_mut(&promise) {
            export.is_promise = false;
        }
    }

    pub(crate) fn released(&mut self, export: u32, references: u32) {
        if let hash_map::Entry::Occupied(mut entry) = self.0.entry(export) {
            let left = entry.get().references.saturating_sub(references);
            entry.get_mut().references = left;
            if left == 0 {
                entry.remove();
            }
        }
        if self.0.is_empty() && self.0.capacity() > 64 {
            self.0 = HashMap::new();
        }
    }
}

impl IntoIterator for Exports {
    type Item = (u32, u32);
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter(self.0.into_iter())
    }
}
