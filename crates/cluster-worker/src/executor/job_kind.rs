//! What follows from a job's kind, whichever worker gets it.

/// The part of a description that depends on the kind of job.
pub(crate) trait JobKind {
    /// Returns the text for the worker's log when such a job arrives. `hint` is its cache hint as the log shows it.
    fn announcement(&self, hint: &str) -> String;

    /// Returns a password that must be redacted besides the job's secrets.
    fn password(&self) -> Option<&[u8]> {
        None
    }

    /// Returns whether the job's source includes the `.git` directory.
    fn includes_git(&self) -> bool {
        false
    }
}
