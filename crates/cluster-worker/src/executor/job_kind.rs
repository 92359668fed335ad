//! What is known of a job by its kind alone, whatever worker gets it.

/// The part of a description that depends on the kind of job.
pub(crate) trait JobKind {
    /// Returns what the worker's log shows when such a job arrives, given its cache hint as the log shows it.
    fn announcement(&self, hint: &str) -> String;

    /// Returns a password that is not among the job's secrets.
    fn password(&self) -> Option<&[u8]> {
        None
    }

    /// Returns whether the job's source includes the `.git` directory.
    fn includes_git(&self) -> bool {
        false
    }
}
