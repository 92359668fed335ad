//! Who waits until logs are in the log store, and the database says so.

use std::collections::{BTreeMap, HashMap};

use futures::channel::oneshot;
use jobs::AttemptId;

/// Those who wait for one log.
type Waiting = Vec<oneshot::Sender<()>>;

/// The logs that are waited for, and those that were uploaded just now.
#[derive(Default)]
pub(super) struct Uploads {
    waiting: HashMap<AttemptId, Waiting>,
    /// Those that are in the store, by the number of the entry that says so, which is not on disk yet.
    unsaved: BTreeMap<u64, (AttemptId, Waiting)>,
}

impl Uploads {
    /// Returns what is told when the log of an attempt is in the store, and that is on disk. It may be in the store
    /// already.
    pub(super) fn wait(&mut self, attempt: AttemptId) -> oneshot::Receiver<()> {
        let (uploaded, is_uploaded) = oneshot::channel();
        let unsaved = self.unsaved.values_mut().rev();
        let waiting = match unsaved.into_iter().find(|(known, _)| *known == attempt) {
            Some((_, waiting)) => waiting,
            None => self.waiting.entry(attempt).or_default(),
        };
        waiting.push(uploaded);
        is_uploaded
    }

    /// A log is in the store, and the entry with this number says so once it is on disk.
    pub(super) fn uploaded(&mut self, attempt: AttemptId, entry: u64) {
        let waiting = self.waiting.remove(&attempt).unwrap_or_default();
        self.unsaved.insert(entry, (attempt, waiting));
    }

    /// Nothing has to be saved any more for a log to be counted.
    pub(super) fn is_counted(&mut self, attempt: AttemptId) {
        tell(self.waiting.remove(&attempt).unwrap_or_default());
    }

    /// The entries up to this number are on disk. Returns the logs that are counted now.
    pub(super) fn saved(&mut self, up_to: u64) -> Vec<AttemptId> {
        let later = self.unsaved.split_off(&(up_to + 1));
        let saved = std::mem::replace(&mut self.unsaved, later).into_values();
        let counted = saved.map(|(attempt, waiting)| {
            tell(waiting);
            attempt
        });
        counted.collect()
    }

    /// Tells whether somebody waits for a log that was not uploaded yet.
    pub(super) fn is_awaited(&self, attempt: AttemptId) -> bool {
        self.waiting.contains_key(&attempt)
    }
}

fn tell(waiting: Waiting) {
    for uploaded in waiting {
        // An error means that nobody waits any more.
        let _: Result<(), ()> = uploaded.send(());
    }
}

#[cfg(test)]
mod tests {
    use jobs::JobId;

    use super::*;

    const ATTEMPT: AttemptId = AttemptId {
        job: JobId::from_bits(7),
        number: 1,
    };

    #[test]
    fn those_who_wait_are_told_once_it_is_on_disk() {
        let mut uploads = Uploads::default();
        let mut early = uploads.wait(ATTEMPT);
        uploads.uploaded(ATTEMPT, 3);
        assert!(!uploads.is_awaited(ATTEMPT));
        // One that comes between the upload and the disk.
        let mut late = uploads.wait(ATTEMPT);
        assert!(!uploads.is_awaited(ATTEMPT));
        assert_eq!(uploads.saved(2), []);
        assert_eq!((early.try_recv(), late.try_recv()), (Ok(None), Ok(None)));
        assert_eq!(uploads.saved(3), [ATTEMPT]);
        assert_eq!(
            (early.try_recv(), late.try_recv()),
            (Ok(Some(())), Ok(Some(())))
        );
    }

    #[test]
    fn a_log_that_was_counted_before_is_not_waited_for() {
        let mut uploads = Uploads::default();
        let mut waiting = uploads.wait(ATTEMPT);
        assert!(uploads.is_awaited(ATTEMPT));
        uploads.is_counted(ATTEMPT);
        assert!(!uploads.is_awaited(ATTEMPT));
        assert_eq!(waiting.try_recv(), Ok(Some(())));
    }
}
