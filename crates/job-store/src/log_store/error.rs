//! Why a log in a log store cannot be read or written.

use std::error::Error;
use std::io;

use jobs::AttemptId;
use visible::{OneLine, with_causes};

/// The longest account of an error, in bytes: services answer with whole documents.
const MAX_DETAIL_BYTES: usize = 400;

/// Why a log store cannot be used, or a log in it.
#[derive(Debug, thiserror::Error)]
pub enum LogStoreError {
    /// The settings cannot be used.
    #[error("cannot use the log store: {0}")]
    Unusable(String),
    /// It has no log of this attempt.
    #[error("the log store has no log of {0}")]
    Missing(AttemptId),
    /// The object is not what this scheduler has written.
    #[error("the log of {attempt} in the log store is damaged: {detail}")]
    Damaged {
        /// The attempt.
        attempt: AttemptId,
        /// What is wrong.
        detail: String,
    },
    /// It cannot be reached, or cannot do what is asked for at present.
    #[error("the log store does not answer: {0}")]
    Away(String),
    /// It does not let this scheduler in.
    #[error("the log store refuses access: {0}; check its credentials and permissions")]
    Refused(String),
    /// A file of this machine cannot be read.
    #[error("cannot read the log of {attempt}")]
    File {
        /// The attempt.
        attempt: AttemptId,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl LogStoreError {
    /// Returns whether the store as a whole cannot be used at present, and not only one of its objects.
    pub fn is_of_the_store(&self) -> bool {
        match self {
            Self::Unusable(_) | Self::Away(_) | Self::Refused(_) => true,
            Self::Missing(_) | Self::Damaged { .. } | Self::File { .. } => false,
        }
    }

    /// Returns what an error of the library means for the log of an attempt.
    pub(super) fn of(attempt: AttemptId, error: &object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::Missing(attempt),
            error => Self::of_store(error),
        }
    }

    /// Returns what an error of the library means for the store.
    pub(super) fn of_store(error: &object_store::Error) -> Self {
        match error {
            object_store::Error::PermissionDenied { .. }
            | object_store::Error::Unauthenticated { .. } => Self::Refused(one_line(error)),
            error => {
                let text = one_line(error);
                // Of some requests, the library has no error of its own for this.
                let is_refused = ["status code: 401", "status code: 403"]
                    .iter()
                    .any(|status| text.contains(status));
                match is_refused {
                    true => Self::Refused(text),
                    false => Self::Away(text),
                }
            }
        }
    }
}

/// Returns an error with its causes as one short line. The parameters of URLs are left out: they may be credentials.
pub(super) fn one_line(error: &(dyn Error + 'static)) -> String {
    let text = with_causes(error).to_string();
    let words = text
        .split_whitespace()
        .map(|word| match word.split_once('?') {
            Some((before, _)) if before.contains("://") => before,
            _ => word,
        });
    let text = words.collect::<Vec<_>>().join(" ");
    let text = visible::shortened(&text, MAX_DETAIL_BYTES).into_owned();
    OneLine(&text).to_string()
}
