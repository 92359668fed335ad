//! What is known of the content of each result, for sharing: a file beside the results, because a result never changes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use oci::Digest;
use serde::{Deserialize, Serialize};

use super::record::Chain;
use crate::StepId;

/// What is known of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Note {
    /// It is a base image with these files.
    Image(Digest),
    /// A step of this worker made it, and it was not shared yet.
    Own {
        /// The step and its variant.
        step: String,
        /// How long it took, in milliseconds.
        took_ms: u64,
        /// When it was made, in seconds since 1970.
        made: i64,
        /// Whether the step was given secrets, or one that it is based on.
        has_secrets: bool,
    },
    /// It is shared: it was fetched, or uploaded.
    Shared(Chain),
}

/// The notes of all results of a store.
#[derive(Debug)]
pub(crate) struct Notes {
    dir: PathBuf,
}

impl Notes {
    /// Returns those in the state directory of a store.
    pub(super) fn of(state_dir: &Path) -> Self {
        Self {
            dir: state_dir.join("shared"),
        }
    }

    /// Returns the note of a result. `None` if there is none, or if it cannot be read: then the result is not shared.
    pub(crate) fn read(&self, id: &StepId) -> Option<Note> {
        serde_json::from_slice(&fs::read(self.file(id)).ok()?).ok()
    }

    /// Keeps the note of a result. After a failure the result is not shared.
    pub(crate) fn keep(&self, id: &StepId, note: &Note) {
        let path = self.file(id);
        let part = path.with_extension("part");
        let text = serde_json::to_vec(note).unwrap_or_default();
        let written = fs::create_dir_all(&self.dir)
            .and_then(|()| fs::write(&part, &text))
            .and_then(|()| fs::rename(&part, &path));
        if let Err(error) = written {
            tracing::debug!("Cannot keep how {id} was made: {error}");
            drop(fs::remove_file(&part));
        }
    }

    /// Removes the note of a result that is removed, or about to be made.
    pub(crate) fn forget(&self, id: &StepId) {
        match fs::remove_file(self.file(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("Cannot remove how {id} was made: {error}");
            }
            Ok(()) | Err(_) => {}
        }
    }

    fn file(&self, id: &StepId) -> PathBuf {
        self.dir.join(id.to_string())
    }
}
