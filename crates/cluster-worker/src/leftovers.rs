//! Files that jobs or a killed worker have left in the state directory.

use std::path::Path;

use obuilder::store::remove_tree;

/// Removes a file or a tree. An error is only logged: leftovers take space, but do no other harm.
pub(crate) fn remove_leftover(path: &Path) {
    if let Err(error) = remove_tree(path) {
        tracing::warn!(
            "Cannot remove {}: {error}; remove it by hand",
            path.display()
        );
    }
}
