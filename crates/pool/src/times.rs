//! How long jobs take, learned from those that have ended.

use alloc::collections::BTreeMap;
use core::time::Duration;

use crate::scale::Log;
use crate::window::{Known, Spread, Window, deviation};
use crate::{CacheHint, Cost};

/// How many hints have times of their own. Of others it is forgotten which were used longest ago.
const MAX_HINTS: usize = 10_000;

/// How many of a hint's latest jobs count: warm ones, and as many cold ones.
const HINT_JOBS: usize = 16;

/// How many of a client's, or of the pool's, latest jobs count.
const GROUP_JOBS: usize = 64;

/// From how many jobs of a client, or of the pool, something is learned about its other jobs.
const MIN_GROUP_JOBS: u16 = 3;

/// As how many jobs of a hint itself counts what is known of the spread of all hints.
const PRIOR_JOBS: u64 = 4;

/// The least spread that is expected, in steps of [`Log`]: 2 %.
const MIN_DEVIATION: u16 = 30;

/// The spread that is expected where none is known: a factor of two, either way.
const UNKNOWN_DEVIATION: u16 = 1024;

/// The latest jobs of a client, or of the pool.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    warm: Window<Log, GROUP_JOBS>,
    cold: Window<Log, GROUP_JOBS>,
    pub(crate) known: Known,
}

impl Group {
    fn learn(&mut self, is_warm: bool, log: Log) {
        let is_enough = |spread: &Spread| spread.count >= MIN_GROUP_JOBS;
        if is_warm {
            self.warm.push(log);
            self.known.warm = self.warm.spread().filter(is_enough);
        } else {
            self.cold.push(log);
            self.known.cold = self.cold.spread().filter(is_enough);
        }
    }
}

/// The latest jobs of a hint.
#[derive(Clone, Debug, Default)]
struct HintJobs {
    warm: Window<Log, HINT_JOBS>,
    cold: Window<Log, HINT_JOBS>,
    known: Known,
    /// When it was last learned from: larger for later.
    used: u64,
}

impl HintJobs {
    fn learn(&mut self, is_warm: bool, log: Log) {
        if is_warm {
            self.warm.push(log);
            self.known.warm = self.warm.spread();
        } else {
            self.cold.push(log);
            self.known.cold = self.cold.spread();
        }
    }
}

/// What a pool has learned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times {
    hints: BTreeMap<CacheHint, HintJobs>,
    /// The hints, by when they were last learned from.
    by_use: BTreeMap<u64, CacheHint>,
    uses: u64,
    /// All jobs.
    pool: Group,
    /// By how much jobs differed from what their hint had shown before.
    differences: Window<i32, GROUP_JOBS>,
    /// The same as a standard deviation; `None` while too little is known.
    difference: Option<u16>,
}

/// What has changed because of a job that has ended.
pub(crate) struct Learned {
    /// What is known of its hint now.
    pub(crate) known: Known,
    /// A hint that was forgotten for it.
    pub(crate) forgotten: Option<CacheHint>,
}

/// How long a job is expected to take, on a worker that has its hint cached, and anywhere else.
pub(crate) type Costs = Cost;

/// Where something is known from: of two, the larger one counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Guess,
    Pool,
    Client,
    Hint,
}

/// What is to be expected of a job, on a logarithmic scale.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) median: Log,
    /// By how much the jobs of its hint differ from each other: a standard deviation.
    pub(crate) within: u16,
    /// By how much all of them may differ from what is known of the hint: a standard deviation.
    pub(crate) between: u16,
}

/// Returns the deviation of a hint, to which what other hints have shown is added while it has few jobs.
fn with_prior(spread: Spread, difference: u16) -> u16 {
    let own = u64::from(spread.count.saturating_sub(1));
    let sum = own * square(spread.deviation) + PRIOR_JOBS * square(difference);
    root(sum / (own + PRIOR_JOBS))
}

fn square(deviation: u16) -> u64 {
    u64::from(deviation).pow(2)
}

fn root(square: u64) -> u16 {
    u16::try_from(square.isqrt()).unwrap_or(u16::MAX)
}

impl Times {
    /// Returns whether enough is known to depart from what upstream guesses.
    pub(crate) fn are_known(&self) -> bool {
        self.pool.known != Known::default()
    }

    /// Returns this without what is known of each hint, which those have who ask.
    pub(crate) fn without_hints(&self) -> Self {
        Self {
            hints: BTreeMap::new(),
            by_use: BTreeMap::new(),
            uses: 0,
            pool: self.pool.clone(),
            differences: self.differences.clone(),
            difference: self.difference,
        }
    }

    /// Learns from a job that ran to its end.
    pub(crate) fn learn(
        &mut self,
        hint: &CacheHint,
        client: &mut Group,
        is_warm: bool,
        took: Duration,
    ) -> Learned {
        let log = Log::of(took);
        self.pool.learn(is_warm, log);
        client.learn(is_warm, log);
        if hint.is_none() {
            return Learned {
                known: Known::default(),
                forgotten: None,
            };
        }
        let jobs = self.hints.entry(hint.clone()).or_default();
        let before = jobs.known.of(is_warm);
        jobs.learn(is_warm, log);
        self.by_use.remove(&jobs.used);
        self.uses += 1;
        jobs.used = self.uses;
        let known = jobs.known;
        self.by_use.insert(self.uses, hint.clone());
        if let Some(before) = before {
            self.differences.push(log.above(before.median));
            let differences = self.differences.values();
            self.difference = (differences.len() >= usize::from(MIN_GROUP_JOBS))
                .then(|| deviation(differences.iter().copied(), differences.len()));
        }
        Learned {
            known,
            forgotten: self.forget_oldest(),
        }
    }

    fn forget_oldest(&mut self) -> Option<CacheHint> {
        if self.hints.len() <= MAX_HINTS {
            return None;
        }
        let (_, hint) = self.by_use.pop_first()?;
        self.hints.remove(&hint);
        Some(hint)
    }

    /// Returns what is known of a hint.
    pub(crate) fn known(&self, hint: &CacheHint) -> Known {
        let jobs = self.hints.get(hint);
        jobs.map_or(Known::default(), |jobs| jobs.known)
    }

    /// Returns what a job is expected to take, of whose hint and client this is known. What is known of neither is as
    /// with other jobs of the pool, or as upstream guesses.
    pub(crate) fn costs(&self, hint: Known, client: impl FnOnce() -> Known, guess: &Cost) -> Costs {
        if !self.are_known() {
            return *guess;
        }
        let client = match hint {
            Known {
                warm: Some(_),
                cold: Some(_),
            } => Known::default(),
            _ => client(),
        };
        let find = |is_warm: bool, guess: Duration| {
            let sources = [
                (Source::Hint, hint),
                (Source::Client, client),
                (Source::Pool, self.pool.known),
            ];
            let known = sources
                .into_iter()
                .find_map(|(source, known)| Some((source, known.of(is_warm)?)));
            known.map_or((Source::Guess, guess), |(source, spread)| {
                (source, spread.median.duration())
            })
        };
        let (warm_from, mut cached) = find(true, guess.cached);
        let (cold_from, mut non_cached) = find(false, guess.non_cached);
        // A cache does not make a job slower. Where both are known as well, they are left as they are.
        if cached > non_cached && warm_from < cold_from {
            cached = non_cached;
        } else if cached > non_cached && cold_from < warm_from {
            non_cached = cached;
        }
        Cost { cached, non_cached }
    }

    /// Returns what is to be expected of a job in more detail; `None` while too little is known.
    pub(crate) fn expect(
        &self,
        (hint, has_hint): (Known, bool),
        client: Known,
        is_warm: bool,
        guess: &Cost,
    ) -> Option<Expected> {
        if !self.are_known() {
            return None;
        }
        let group = client.of(is_warm).or(self.pool.known.of(is_warm));
        let difference = self.difference.unwrap_or(UNKNOWN_DEVIATION);
        let (median, within, between) = match (hint.of(is_warm), group) {
            (Some(spread), _) => {
                let within = with_prior(spread, difference);
                let between = square(within) / u64::from(spread.count.max(1));
                (spread.median, within, root(between))
            }
            // The jobs of a new hint are alike, and may differ from the others.
            (None, Some(group)) if has_hint => {
                let within = difference.min(group.deviation);
                let between = square(group.deviation) - square(within);
                (group.median, within, root(between))
            }
            (None, Some(group)) => (group.median, group.deviation, 0),
            (None, None) => {
                let costs = self.costs(hint, || client, guess);
                let expected = match is_warm {
                    true => costs.cached,
                    false => costs.non_cached,
                };
                (Log::of(expected), difference, UNKNOWN_DEVIATION)
            }
        };
        Some(Expected {
            median,
            within: within.max(MIN_DEVIATION),
            between,
        })
    }

    /// Checks that no more is kept than is meant to be.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.hints.len() > MAX_HINTS {
            return Err("times of too many hints are kept");
        }
        if self.hints.len() != self.by_use.len() {
            return Err("hints with times are not ordered by use");
        }
        Ok(())
    }
}
