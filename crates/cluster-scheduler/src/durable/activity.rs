//! What a pool did of late, from the history.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use cluster_api::RpcError;
use cluster_web::cluster::{Activity, LastJobs};
use job_store::{AttemptRecord, Query, Reader as _, Record, State};
use jobs::{AttemptEnd, Verdict};
use pool::Time;

use super::DurableJobs;

/// The time that shares are about, in microseconds.
const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

/// How many jobs are looked at.
const MAX_JOBS: u32 = 5_000;

/// How many are read at once. Other readers get their turn in between.
const PAGE: u32 = 250;

/// How many of the last jobs of a worker count.
const LAST: usize = 20;

/// What was read so far.
struct Sums {
    now: Time,
    /// Where the time that shares are about begins.
    since: Time,
    served: BTreeMap<String, f64>,
    /// When the jobs of each worker ended, and whether they failed.
    ended: HashMap<String, Vec<(Time, bool)>>,
}

impl DurableJobs {
    /// Returns what a pool did of late.
    pub(crate) async fn activity(&self, pool: String) -> Result<Activity, RpcError> {
        let now = self.clock.unix_now();
        let mut sums = Sums {
            now,
            since: Time::from_micros(now.micros().saturating_sub(DAY_MICROS)),
            served: BTreeMap::new(),
            ended: HashMap::new(),
        };
        let mut before = None;
        for _ in 0..MAX_JOBS / PAGE {
            let query = Query {
                pool: Some(pool.clone()),
                before,
                at_most: PAGE,
                ..Query::default()
            };
            let read = self.read(move |reader| {
                let page = reader.page(&query)?;
                page.records.iter().for_each(|record| sums.add(record));
                Ok((sums, page.next))
            });
            (sums, before) = read.await?;
            if before.is_none() {
                break;
            }
        }
        Ok(sums.activity())
    }
}

impl Sums {
    fn add(&mut self, record: &Record) {
        let latest = record.attempts.last().map(|attempt| attempt.number);
        for attempt in &record.attempts {
            let is_latest = latest == Some(attempt.number);
            let end = match &attempt.end {
                Some((_, end)) => *end,
                None if is_latest && record.state == State::Running => self.now,
                // When it ended was never known.
                None => continue,
            };
            let begin = attempt.started.max(self.since);
            let served = end.secs_after(begin);
            if served > 0.0 {
                *self.served.entry(record.client.clone()).or_default() += served;
            }
            if let Some((end, at)) = &attempt.end
                && let Some(has_failed) = has_failed(end)
            {
                let AttemptRecord { worker, .. } = attempt;
                let ended = self.ended.entry(worker.clone()).or_default();
                ended.push((*at, has_failed));
            }
        }
    }

    fn activity(self) -> Activity {
        let served = self.served.into_iter().map(|(client, seconds)| {
            let served = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            (client, served)
        });
        let workers = self.ended.into_iter().filter_map(|(worker, mut ended)| {
            ended.sort_unstable_by_key(|(at, _)| std::cmp::Reverse(*at));
            ended.truncate(LAST);
            let (latest, _) = ended.first()?;
            let failed = ended.iter().filter(|(_, has_failed)| *has_failed).count();
            let since_1970 = u64::try_from(latest.micros()).unwrap_or(0);
            let last = LastJobs {
                ended: u32::try_from(ended.len()).unwrap_or(u32::MAX),
                failed: u32::try_from(failed).unwrap_or(u32::MAX),
                latest: SystemTime::UNIX_EPOCH + Duration::from_micros(since_1970),
            };
            Some((worker, last))
        });
        Activity {
            served: served.collect(),
            workers: workers.collect(),
        }
    }
}

/// Returns whether an attempt failed; `None` if its end says nothing about its worker.
fn has_failed(end: &AttemptEnd) -> Option<bool> {
    match end {
        AttemptEnd::Done(Verdict::Succeeded(_)) => Some(false),
        AttemptEnd::Done(_) | AttemptEnd::Lost(_) => Some(true),
        AttemptEnd::Stopped => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten days after 1970.
    const NOW: i64 = 10 * DAY_MICROS;

    fn hours_ago(hours: i64) -> Time {
        Time::from_micros(NOW - hours * 3_600_000_000)
    }

    fn attempt(worker: &str, started: i64, end: Option<(AttemptEnd, i64)>) -> AttemptRecord {
        AttemptRecord {
            number: 1,
            worker: worker.to_owned(),
            started: hours_ago(started),
            end: end.map(|(end, at)| (end, hours_ago(at))),
        }
    }

    fn record(client: &str, state: State, attempt: AttemptRecord) -> Record {
        Record {
            id: "28t5cy4tqkff".parse().unwrap(),
            client: client.to_owned(),
            pool: "linux".to_owned(),
            hint: String::new(),
            urgent: false,
            key: None,
            kind: "docker".to_owned(),
            attached: false,
            labels: Vec::new(),
            submitted: hours_ago(100),
            state,
            end: None,
            attempts: vec![attempt],
        }
    }

    fn succeeded() -> AttemptEnd {
        AttemptEnd::Done(Verdict::Succeeded("".into()))
    }

    fn sums(records: &[Record]) -> Activity {
        let now = Time::from_micros(NOW);
        let mut sums = Sums {
            now,
            since: Time::from_micros(NOW - DAY_MICROS),
            served: BTreeMap::new(),
            ended: HashMap::new(),
        };
        records.iter().for_each(|record| sums.add(record));
        sums.activity()
    }

    #[test]
    fn a_client_is_served_while_its_jobs_run_within_the_day() {
        let activity = sums(&[
            // It ended before the day, it began before the day, it runs, and one whose end is not known.
            record(
                "alice",
                State::Succeeded,
                attempt("w1", 50, Some((succeeded(), 30))),
            ),
            record(
                "alice",
                State::Succeeded,
                attempt("w1", 30, Some((succeeded(), 20))),
            ),
            record("bob", State::Running, attempt("w1", 3, None)),
            record("bob", State::Lost, attempt("w1", 2, None)),
        ]);
        let hours = |client: &str| activity.served[client].as_secs() / 3_600;
        assert_eq!((hours("alice"), hours("bob")), (4, 3));
    }

    #[test]
    fn a_worker_has_its_last_twenty_jobs() {
        let end = |hours: i64| match hours % 3 {
            0 => AttemptEnd::Stopped,
            1 => succeeded(),
            _ => AttemptEnd::Lost(jobs::LossReason::WorkerGone),
        };
        let records: Vec<Record> = (1..50)
            .map(|hours| {
                let attempt = attempt("w1", hours + 1, Some((end(hours), hours)));
                record("alice", State::Succeeded, attempt)
            })
            .collect();
        let last = LastJobs {
            ended: 20,
            failed: 10,
            latest: SystemTime::UNIX_EPOCH + Duration::from_micros((NOW - 3_600_000_000) as u64),
        };
        assert_eq!(sums(&records).workers["w1"], last);
    }
}
