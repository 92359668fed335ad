//! What to look for in the history.

use jobs::JobId;
use pool::{ClientId, Time};

use crate::{Label, Record, State};

/// Which jobs to return: those that have all of what is given.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Those of this client.
    pub client: Option<ClientId>,
    /// Those for this pool.
    pub pool: Option<String>,
    /// Those with this cache hint.
    pub hint: Option<String>,
    /// Those that this worker has had.
    pub worker: Option<String>,
    /// Those that have all of these labels.
    pub labels: Vec<Label>,
    /// Those in one of these states; any, if there are none.
    pub states: Vec<State>,
    /// Those that were submitted at this time or later.
    pub since: Option<Time>,
    /// Those before the place where a page ended.
    pub before: Option<Cursor>,
    /// At most so many.
    pub at_most: u32,
}

/// A place in the history, where the next page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(pub(crate) i64);

impl Cursor {
    /// Returns the place that [`number`](Self::number) stands for.
    pub fn from_number(number: u64) -> Self {
        Self(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// Returns the place as a number above 0, to send it to a client.
    pub fn number(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0)
    }
}

/// Some jobs of the history, the latest submission first.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The jobs. There may be fewer than were asked for, or none, though more follow: a search that finds little
    /// looks at a bounded number of jobs for each page.
    pub records: Vec<Record>,
    /// Where the next page begins; `None` if this was the last one.
    pub next: Option<Cursor>,
}

impl Page {
    /// Returns the ids of the jobs.
    pub fn ids(&self) -> impl Iterator<Item = JobId> {
        self.records.iter().map(|record| record.id)
    }
}
