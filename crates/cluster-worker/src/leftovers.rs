//! What jobs, or a worker that was killed, have left in the state directory.

use std::path::Path;

use obuilder::store::remove_tree;

/// Removes a file or a tree, or says why it stays: leftovers take room, and are no reason to fail.
pub(crate) fn remove_leftover(path: &Path) {
    if let Err(error) = remove_tree(path) {
        tracing::warn!("Cannot remove {path:?}: {error}; remove it by hand");
    }
}
