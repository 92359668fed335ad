//! How long clients were without an answer.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// How often to look.
const INTERVAL: Duration = Duration::from_millis(20);

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wait {
    /// The answer to a submission, over a connection that it has had for long.
    Submission,
    /// The answer to a submission of a program that has just been started.
    NewProgram,
    /// The next lines of a log, in a program that uses the library.
    Log,
    /// The next lines of a log, in the client's program.
    LogProgram,
}

impl Wait {
    const ALL: [Self; 4] = [
        Self::Submission,
        Self::NewProgram,
        Self::Log,
        Self::LogProgram,
    ];

    fn is_for_a_log(self) -> bool {
        matches!(self, Self::Log | Self::LogProgram)
    }
}

/// What could not be done for some time, whichever scheduler had led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outage {
    /// Nothing: the database was away.
    Everything,
    /// To accept jobs.
    Submissions,
}

/// The longest waits of a round.
#[derive(Default)]
pub(super) struct Gaps {
    waits: RefCell<Vec<(Wait, Instant, Instant)>>,
    outages: RefCell<Vec<(Outage, Instant, Instant)>>,
    /// The logs are not written any more.
    is_over: Cell<bool>,
}

impl Gaps {
    /// A client has waited from then until now.
    pub(super) fn waited(&self, wait: Wait, since: Instant) {
        self.waits.borrow_mut().push((wait, since, Instant::now()));
    }

    /// From then until now, no scheduler could have done that.
    pub(super) fn note_outage(&self, outage: Outage, since: Instant) {
        let until = Instant::now();
        self.outages.borrow_mut().push((outage, since, until));
    }

    /// From now on, nothing is measured.
    pub(super) fn end(&self) {
        self.is_over.set(true);
    }

    /// Watches a log grow from its first byte on, until `length` returns nothing.
    pub(super) async fn watch(&self, wait: Wait, length: impl Fn() -> Option<u64>) {
        let mut known = 0;
        let mut since = Instant::now();
        while !self.is_over.get() {
            match length() {
                None if known > 0 => return,
                None => {}
                Some(now) if now == known => {}
                Some(now) => {
                    if known > 0 {
                        self.waited(wait, since);
                    }
                    (known, since) = (now, Instant::now());
                }
            }
            tokio::time::sleep(INTERVAL).await;
        }
        if known > 0 {
            self.waited(wait, since);
        }
    }

    /// Returns the longest wait of each kind, without the times in which nobody could have answered.
    pub(super) fn longest(&self) -> Vec<(Wait, Duration)> {
        let outages = self.outages.borrow();
        let waits = self.waits.borrow();
        let longest = |wait: Wait| {
            let counts = |outage| outage == Outage::Everything || !wait.is_for_a_log();
            let outages = outages.iter().filter(|(outage, ..)| counts(*outage));
            let outages: Vec<_> = outages.map(|&(_, from, to)| (from, to)).collect();
            let waits = waits.iter().filter(|(of, ..)| *of == wait);
            waits
                .map(|&(_, from, to)| without(from, to, &outages))
                .max()
        };
        let all = Wait::ALL.into_iter();
        all.filter_map(|wait| Some((wait, longest(wait)?)))
            .collect()
    }
}

/// Returns the longest piece of a time outside of all outages.
fn without(from: Instant, to: Instant, outages: &[(Instant, Instant)]) -> Duration {
    let mut pieces = vec![(from, to)];
    for &(begin, end) in outages {
        pieces = pieces
            .into_iter()
            .flat_map(|(from, to)| [(from, to.min(begin)), (from.max(end), to)])
            .filter(|(from, to)| from < to)
            .collect();
    }
    let lengths = pieces.iter().map(|(from, to)| *to - *from);
    lengths.max().unwrap_or_default()
}

#[test]
fn an_outage_is_left_out_of_a_wait() {
    let zero = Instant::now();
    let at = |seconds| zero + Duration::from_secs(seconds);
    let longest = |outages: &[(u64, u64)]| {
        let outages: Vec<_> = { outages }
            .iter()
            .map(|&(from, to)| (at(from), at(to)))
            .collect();
        without(at(10), at(20), &outages).as_secs()
    };
    assert_eq!(longest(&[]), 10);
    assert_eq!(longest(&[(0, 5), (25, 30)]), 10);
    assert_eq!(longest(&[(12, 14)]), 6);
    assert_eq!(longest(&[(8, 12), (15, 30)]), 3);
    assert_eq!(longest(&[(5, 25)]), 0);
}
