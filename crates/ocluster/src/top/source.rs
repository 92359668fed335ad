//! Asks the scheduler for what the screen wants, again and again, over a connection that is made again when it is lost.

use std::time::Duration;

use cluster_api::{Admin, AdminJobQuery, JobQuery, JobState, ListedJob, RpcErrorKind};
use tokio::sync::{mpsc, watch};
use vat::{DialOptions, Dialer, Session, SturdyRef};
use visible::with_causes;

use super::report::{Jobs, Pool, Report, Wanted};
use crate::admin::{KnownJob, state};

/// How often the scheduler is asked.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long to wait before each attempt to connect again; the last for all later ones.
const BACKOFF: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
/// The time limit for an answer, after which the connection counts as lost.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// The most queued jobs of a queue that are listed.
const MOST_QUEUED: u32 = 50;
/// The most running jobs that are listed, and the most that have ended.
const MOST_RUNNING: u32 = 200;
const MOST_ENDED: u32 = 20;

/// Reports what the screen wants.
pub(super) struct Source {
    pub(super) target: SturdyRef,
    pub(super) dialer: Dialer,
    pub(super) wanted: watch::Receiver<Wanted>,
    pub(super) reports: mpsc::Sender<Report>,
}

/// Returns a dialer with these options, but for the time limits.
pub(super) fn dialer(options: DialOptions) -> Dialer {
    Dialer::new(DialOptions {
        connect_timeout: ANSWER_LIMIT / 2,
        handshake_timeout: ANSWER_LIMIT / 2,
        ..options
    })
}

/// Why there is no connection any more.
struct Lost {
    why: String,
    /// The connection to another scheduler, which has been found while this one was silent.
    successor: Option<Session>,
}

impl Lost {
    fn because(why: String) -> Self {
        Self {
            why,
            successor: None,
        }
    }
}

impl Source {
    /// Reports until the receiver of the reports is gone. It begins with a connection that is there.
    pub(super) async fn run(self, first: Session) {
        let mut session = Some(first);
        let mut attempts = 0;
        while !self.reports.is_closed() {
            let connected = match session.take() {
                Some(session) => Ok(session),
                None => self.connect().await,
            };
            let mut successor = None;
            let why = match connected {
                Ok(session) => {
                    attempts = 0;
                    let lost = self.serve(&session).await;
                    successor = lost.successor;
                    lost.why
                }
                Err(why) => why,
            };
            let last = BACKOFF.len() - 1;
            let pause = BACKOFF.get(attempts.min(last)).copied();
            attempts += 1;
            if self.reports.send(Report::Lost(why)).await.is_err() {
                return;
            }
            if successor.is_none() {
                tokio::time::sleep(pause.unwrap_or(INTERVAL)).await;
            }
            session = successor;
        }
    }

    async fn connect(&self) -> Result<Session, String> {
        let connected = self.dialer.renewed().connect(&self.target).await;
        connected.map_err(|error| with_causes(&error))
    }

    /// Reports over a connection, until that is lost.
    async fn serve(&self, session: &Session) -> Lost {
        let admin = Admin::from_client(session.bootstrap());
        tokio::select! {
            lost = self.poll(&admin) => lost,
            lost = self.follow(&admin) => lost,
            loss = self.dialer.lost(&self.target, session) => Lost {
                why: loss.error.extra,
                successor: loss.successor,
            },
        }
    }

    /// Reports pools and jobs, at once when something else is wanted.
    async fn poll(&self, admin: &Admin) -> Lost {
        let mut changes = self.wanted.clone();
        loop {
            let wanted = changes.borrow_and_update().clone();
            let report = tokio::time::timeout(ANSWER_LIMIT, self.report(admin, &wanted)).await;
            match report {
                Ok(Ok(())) => {}
                Ok(Err(lost)) => return lost,
                Err(_) => {
                    let limit = ANSWER_LIMIT.as_secs();
                    return Lost::because(format!("the scheduler has not answered for {limit} s"));
                }
            }
            let is_other = |now: &Wanted| (&now.pool, &now.job) != (&wanted.pool, &wanted.job);
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                changed = changes.wait_for(is_other) => {
                    if changed.is_err() {
                        return Lost::because("the program ends".to_owned());
                    }
                }
            }
        }
    }

    async fn report(&self, admin: &Admin, wanted: &Wanted) -> Result<(), Lost> {
        let names = admin
            .pools()
            .await
            .map_err(|error| Lost::because(error.reason))?;
        let each = names.into_iter().map(|name| {
            let most = match wanted.pool.as_deref() == Some(&name) {
                true => MOST_QUEUED,
                false => 0,
            };
            pool(admin, name, most)
        });
        let (pools, jobs, job) = futures::join!(
            futures::future::join_all(each),
            jobs(admin, wanted.pool.clone()),
            job(admin, wanted.job.clone()),
        );
        self.send(Report::Pools { pools, jobs }).await?;
        if let Some(job) = job {
            self.send(job).await?;
        }
        Ok(())
    }

    /// Reports the log that is wanted, while it is written.
    async fn follow(&self, admin: &Admin) -> Lost {
        let mut changes = self.wanted.clone();
        loop {
            let Ok(wanted) = changes.wait_for(|wanted| wanted.log.is_some()).await else {
                return Lost::because("the program ends".to_owned());
            };
            let Some(log) = wanted.log.clone() else {
                continue;
            };
            drop(wanted);
            let chunk = tokio::select! {
                chunk = admin.job_log(&log.id, log.attempt, log.from) => chunk,
                _ = changes.wait_for(|now| now.log.as_ref() != Some(&log)) => continue,
            };
            let report = match chunk {
                Ok(chunk) => Report::Log {
                    next: chunk.next,
                    bytes: chunk.bytes,
                    log: log.clone(),
                },
                Err(error) if error.kind == RpcErrorKind::Disconnected => {
                    return Lost::because(error.reason);
                }
                Err(error) => Report::NoLog {
                    log: log.clone(),
                    why: error.reason,
                },
            };
            if let Err(lost) = self.send(report).await {
                return lost;
            }
            // The screen wants the next bytes once it has these.
            let has_them = |now: &Wanted| now.log.as_ref() != Some(&log);
            if changes.wait_for(has_them).await.is_err() {
                return Lost::because("the program ends".to_owned());
            }
        }
    }

    async fn send(&self, report: Report) -> Result<(), Lost> {
        let sent = self.reports.send(report).await;
        sent.map_err(|_| Lost::because("the program ends".to_owned()))
    }
}

/// Returns a pool, with at most `most` jobs of each queue.
async fn pool(admin: &Admin, name: String, most: u32) -> Pool {
    let state = state::pool(&admin.pool(&name), most).await;
    Pool {
        name,
        state: state.map_err(|(method, error)| format!("{method}: {error}")),
    }
}

/// Returns the jobs of a pool, or those of all pools that did not succeed; `None` if there is no history.
async fn jobs(admin: &Admin, pool: Option<String>) -> Option<Jobs> {
    let list = async |states: &[JobState], at_most| {
        let query = AdminJobQuery {
            jobs: JobQuery {
                states: states.to_vec(),
                at_most: Some(at_most),
                ..JobQuery::default()
            },
            client: None,
            pool: pool.clone(),
        };
        let listed = admin.list_jobs(&query).await;
        listed.ok().map(|page| page.jobs)
    };
    let failed = [JobState::Failed, JobState::TimedOut, JobState::Lost];
    let ended = [JobState::Succeeded, JobState::Cancelled];
    let (running, ended): (Vec<ListedJob>, Vec<ListedJob>) = match &pool {
        None => (Vec::new(), list(&failed, MOST_ENDED).await?),
        Some(_) => {
            let all = [failed.as_slice(), &ended].concat();
            let running = [JobState::Running];
            let lists = futures::join!(list(&running, MOST_RUNNING), list(&all, MOST_ENDED));
            (lists.0?, lists.1?)
        }
    };
    Some(Jobs {
        pool,
        running,
        ended,
    })
}

async fn job(admin: &Admin, id: Option<String>) -> Option<Report> {
    let id = id?;
    let job = KnownJob::ask(admin, &id).await;
    Some(Report::Job {
        id,
        job: job.map(Box::new).map_err(|failed| failed.error.reason),
    })
}
