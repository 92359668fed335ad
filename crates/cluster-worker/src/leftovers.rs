//! What jobs, or a worker that was killed, have left in the state directory.

use std::path::Path;

use obuilder::store::remove_tree;

/// Removes a file or a tree. Failing is only logged: leftovers take room, but do no other harm.
pub(crate) fn remove_leftover(path: &Path) {
    if let Err(error) = remove_tree(path) {
        tracing::warn!(
            "Cannot remove {}: {error}; remove it by hand",
            path.display()
        );
    }
}
