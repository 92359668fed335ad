//! A history: what happened, step by step; it can be lived through again, and shortened.

use std::fmt;

use jobs::{Departure, Fault};

use super::counts::Counts;
use super::random::Random;
use super::world::World;

/// Something that happens. Jobs are chosen by numbers that count among those that exist, so that steps can be left out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Submit {
        client: usize,
        key: Option<usize>,
        terms: usize,
    },
    Cancel {
        job: usize,
    },
    Leave {
        job: usize,
        departure: Departure,
    },
    ComeBack {
        job: usize,
    },
    Commit {
        changes: usize,
    },
    FailCommit,
    Crash {
        saved: usize,
    },
    Assign {
        job: usize,
        worker: usize,
    },
    /// The worker that the pool had found leaves before it gets the job.
    MissWorker {
        job: usize,
    },
    Deliver {
        worker: usize,
    },
    Finish {
        worker: usize,
        which: usize,
        success: bool,
    },
    Report {
        worker: usize,
    },
    KeepLog {
        worker: usize,
        which: usize,
    },
    Disconnect {
        worker: usize,
    },
    Restart {
        worker: usize,
    },
    Replace {
        worker: usize,
    },
    Connect {
        worker: usize,
    },
    Advance {
        seconds: u64,
    },
}

/// A mistake to plant, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// In the jobs.
    Inside(Fault),
    /// The store reports changes that it has not saved.
    SkipsCommits,
}

/// How a history went wrong.
pub(crate) struct Failure {
    pub(crate) problem: String,
    pub(crate) steps: Vec<Step>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.problem)?;
        self.steps
            .iter()
            .try_for_each(|step| writeln!(f, "    Step::{step:?},"))
    }
}

/// Makes up a history.
pub(crate) fn random(random: &mut Random, steps: usize) -> Vec<Step> {
    (0..steps).map(|_| random_step(random)).collect()
}

fn random_step(random: &mut Random) -> Step {
    let worker = random.below(3);
    let job = random.below(1_000);
    match random.below(100) {
        0..14 => Step::Submit {
            client: random.below(2),
            key: random.once_in(2).then(|| random.below(6)),
            terms: random.below(6),
        },
        14..17 => Step::Cancel { job },
        17..19 => Step::Leave {
            job,
            departure: random.pick(&[Departure::Closed, Departure::Silent]),
        },
        19 => Step::ComeBack { job },
        20..38 => Step::Commit {
            changes: random.pick(&[1, 2, 5, usize::MAX]),
        },
        38 => Step::FailCommit,
        39..41 => Step::Crash {
            saved: random.pick(&[0, 1, 3, usize::MAX]),
        },
        41..43 => Step::MissWorker { job },
        43..55 => Step::Assign { job, worker },
        55..67 => Step::Deliver { worker },
        67..74 => Step::Finish {
            worker,
            which: job,
            success: !random.once_in(4),
        },
        74..80 => Step::Report { worker },
        80..86 => Step::KeepLog { worker, which: job },
        86..88 => Step::Disconnect { worker },
        88 => Step::Restart { worker },
        89 if random.once_in(3) => Step::Replace { worker },
        89..97 => Step::Connect { worker },
        _ => Step::Advance {
            seconds: random.pick(&[1, 20, 130, 301, 700]),
        },
    }
}

/// Lives through a history, and what comes when all recovers. Returns how often each thing happened.
pub(crate) fn run(steps: &[Step], mistake: Option<Mistake>) -> Result<Counts, String> {
    let mut world = World::new(mistake);
    for step in steps {
        world.live(*step)?;
    }
    world.recover()?;
    Ok(world.seen)
}

/// Leaves out whatever it can without curing the problem.
pub(crate) fn shorten(
    mut steps: Vec<Step>,
    mut problem: String,
    mistake: Option<Mistake>,
) -> Failure {
    let mut size = steps.len() / 2;
    while size > 0 {
        let mut start = 0;
        while start < steps.len() {
            let end = (start + size).min(steps.len());
            let mut shorter = steps.clone();
            shorter.drain(start..end);
            match run(&shorter, mistake) {
                Ok(_) => start = end,
                Err(same) => (steps, problem) = (shorter, same),
            }
        }
        size /= 2;
    }
    Failure { problem, steps }
}
