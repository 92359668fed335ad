//! Every invariant of [`Jobs`], as code; called after each step in tests.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;

use pool::ClientId;

use crate::job::Job;
use crate::{AttemptId, ChangeId, JobId, JobKey, Jobs, Stage};

/// Returns an error with the given text unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)*) => {
        if !$condition {
            return Err(format!($($text)*));
        }
    };
}

impl Jobs {
    /// Checks every invariant. Slow: it goes through everything.
    ///
    /// # Errors
    ///
    /// A text about the first invariant that does not hold.
    pub fn check(&self) -> Result<(), String> {
        // By name and without `..`: a new field does not compile before its invariants are decided here.
        let Self {
            config: _,
            now: _,
            jobs,
            keys,
            workers,
            settling,
            alarms,
            ending,
            outbox,
            unacknowledged: _,
            totals: _,
        } = self;
        jobs.iter().try_for_each(|(id, job)| check_job(*id, job))?;
        check_keys(jobs, keys)?;
        let attempts = |(worker, attempts): (_, &BTreeSet<AttemptId>)| {
            attempts
                .iter()
                .map(move |id| (worker, *id))
                .collect::<alloc::vec::Vec<_>>()
        };
        let indexed: BTreeSet<_> = workers.iter().flat_map(attempts).collect();
        let current: BTreeSet<_> = jobs.values().map(Box::as_ref).filter_map(current).collect();
        ensure!(
            indexed == current,
            "workers have {current:?}, and the index says {indexed:?}"
        );
        ensure!(
            workers.values().all(|attempts| !attempts.is_empty()),
            "a worker without attempts is kept"
        );
        let set: BTreeSet<_> = jobs
            .values()
            .filter_map(|job| Some((job.alarm?, job.new.id)))
            .collect();
        ensure!(
            *alarms == set,
            "alarms are {alarms:?}, and should be {set:?}"
        );
        ensure!(
            settling.values().all(|s| !(s.ended && s.log_kept)),
            "an attempt can be acknowledged and is not"
        );
        check_ending(jobs, ending)?;
        ensure!(outbox.check(), "effects wait for nothing, or out of order");
        Ok(())
    }
}

fn check_keys(
    jobs: &BTreeMap<JobId, Box<Job>>,
    keys: &BTreeMap<(ClientId, JobKey), JobId>,
) -> Result<(), String> {
    for (id, job) in jobs {
        let key = job.new.key.as_ref();
        let known = key.is_none_or(|key| {
            let key = (job.new.client.clone(), key.clone());
            keys.contains_key(&key)
        });
        ensure!(
            known,
            "same key, same job: {id} has a key that leads nowhere"
        );
    }
    for ((client, key), id) in keys {
        let job = jobs.get(id).filter(|job| job.new.client == *client);
        let has_it = job.is_some_and(|job| job.new.key.as_ref() == Some(key));
        ensure!(
            has_it,
            "key {key:?} of {client} leads to {id}, which does not have it"
        );
    }
    Ok(())
}

fn check_ending(
    jobs: &BTreeMap<JobId, Box<Job>>,
    ending: &VecDeque<(ChangeId, JobId)>,
) -> Result<(), String> {
    let ended = jobs
        .values()
        .filter(|job| matches!(job.stage, Stage::Ended { .. }));
    let ended: BTreeSet<_> = ended.map(|job| job.new.id).collect();
    let expected: BTreeSet<_> = ending.iter().map(|(_, id)| *id).collect();
    ensure!(
        ended == expected,
        "{ended:?} have ended, and {expected:?} are to be dropped"
    );
    Ok(())
}

fn current(job: &Job) -> Option<(&pool::WorkerName, AttemptId)> {
    let attempt = job.stage.attempt()?;
    Some((
        &attempt.worker,
        AttemptId {
            job: job.new.id,
            number: attempt.number,
        },
    ))
}

fn check_job(id: JobId, job: &Job) -> Result<(), String> {
    ensure!(job.new.id == id, "{id} is kept as {}", job.new.id);
    ensure!(
        job.losses.len() <= job.attempts as usize,
        "{id} lost more attempts than it had"
    );
    let allowed = usize::from(job.new.terms.attempts.get());
    ensure!(
        job.losses.len() <= allowed,
        "{id} was lost {} times, and may be {allowed} times",
        job.losses.len()
    );
    if let Some(attempt) = job.stage.attempt() {
        ensure!(
            attempt.number == job.attempts,
            "{id} runs attempt {} of {}",
            attempt.number,
            job.attempts
        );
    }
    let next = job.next_limit();
    let alarm_is_in_time = match (job.alarm, next) {
        (Some(alarm), Some(next)) => alarm <= next,
        (None, None) => true,
        _ => false,
    };
    ensure!(
        alarm_is_in_time,
        "the alarm of {id} is {:?}, and its next limit {next:?}",
        job.alarm
    );
    Ok(())
}
