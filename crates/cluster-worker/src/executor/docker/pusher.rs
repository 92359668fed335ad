//! Pushes images, one at a time, with retries.

use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cluster_api::PhaseKind;
use tokio::sync::Mutex;

use super::commands::Docker;
use super::push::{PushRequest, PushTarget};
use crate::cancel::Cancel;
use crate::log::JobLog;
use crate::metrics::Stats;
use crate::outcome::JobError;
use crate::process::{ProcessError, Processes};

/// The number of retries of a push.
const RETRIES: u32 = 5;

/// Parts of output after which a retry does not help.
const FINAL_ANSWERS: [&str; 7] = [
    "denied: ",
    "unauthorized: ",
    "no basic auth credentials",
    "authentication required",
    "invalid reference format",
    "does not exist locally",
    "repository name must be",
];

/// Returns how long to wait after failed attempt `n`, counted from 1: 4 s, 16 s, 48 s, 128 s, 320 s, as upstream.
pub(super) fn backoff(n: u32) -> Duration {
    Duration::from_secs(u64::from(n) * 2 * 2_u64.pow(n))
}

/// Pushes images.
pub(super) struct Pusher {
    pub(super) docker: Docker,
    pub(super) processes: Processes,
    pub(super) stats: Rc<Stats>,
    pub(super) backoff: fn(u32) -> Duration,
    /// Held while something is pushed.
    pub(super) busy: Mutex<()>,
}

impl Pusher {
    /// Pushes `image`, and returns its RepoId: the repository and the digest that it has there.
    ///
    /// `tmp` is a directory for the login, so that the worker's own login is not used.
    pub(super) async fn push(
        &self,
        image: &str,
        request: &PushRequest<'_>,
        tmp: &Path,
        log: &JobLog,
        cancel: &Cancel,
    ) -> Result<String, JobError> {
        let PushRequest { target, login } = request;
        let shown = target.to_string();
        let user = login
            .map(|login| format!(" as user {:?}", login.user))
            .unwrap_or_default();
        let _phase = log.phase(PhaseKind::Push, &shown);
        log.line(format_args!("Pushing {image:?} to {shown:?}{user}"))?;
        if let Some(login) = login {
            let command = self.docker.login(tmp, login, target);
            match self.processes.run(&command, log, cancel).await {
                Err(ProcessError::Exit { .. }) => {
                    return Err(JobError::failed(format!(
                        "Failed to docker-login as {:?}",
                        login.user
                    )));
                }
                other => other?,
            }
        }
        self.processes
            .run(&self.docker.tag(tmp, image, target), log, cancel)
            .await?;
        let mut attempt = 1;
        while let Err(error) = self.try_push(target, tmp, log, cancel).await? {
            self.wait_to_retry(attempt, &error, log, cancel).await?;
            attempt += 1;
        }
        self.repo_id(target, cancel).await
    }

    /// Pushes once. The inner error is retryable.
    async fn try_push(
        &self,
        target: &PushTarget<'_>,
        tmp: &Path,
        log: &JobLog,
        cancel: &Cancel,
    ) -> Result<Result<(), ProcessError>, JobError> {
        let _turn = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(JobError::Cancelled),
            turn = self.busy.lock() => turn,
        };
        let (started, offset) = (Instant::now(), log.length());
        let result = self
            .processes
            .run(&self.docker.push(tmp, target), log, cancel)
            .await;
        self.stats.push_time.add(started.elapsed());
        match result {
            Ok(()) => Ok(Ok(())),
            Err(error @ (ProcessError::Exit { .. } | ProcessError::Signal { .. }))
                if !is_final(&String::from_utf8_lossy(&log.recent(offset))) =>
            {
                Ok(Err(error))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn wait_to_retry(
        &self,
        attempt: u32,
        error: &ProcessError,
        log: &JobLog,
        cancel: &Cancel,
    ) -> Result<(), JobError> {
        let most = RETRIES + 1;
        if attempt >= most {
            return Err(JobError::failed(format!(
                "Push exhausted retries after {attempt} attempts: {error}"
            )));
        }
        let delay = (self.backoff)(attempt);
        log.line(format_args!(
            "Push attempt {attempt}/{most} failed with retryable error {:?}. Retrying in {} seconds...",
            error.to_string(),
            delay.as_secs(),
        ))?;
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(JobError::Cancelled),
            () = tokio::time::sleep(delay) => Ok(()),
        }
    }

    async fn repo_id(&self, target: &PushTarget<'_>, cancel: &Cancel) -> Result<String, JobError> {
        let digests = match self
            .processes
            .ask(&self.docker.digests(target), cancel)
            .await
        {
            Ok(digests) => digests,
            Err(ProcessError::Cancelled) => return Err(JobError::Cancelled),
            Err(_) => {
                return Err(JobError::failed(
                    "Failed to read RepoDigests for newly-pushed image!",
                ));
            }
        };
        let digests = digests.trim();
        let prefix = format!("{}@", target.familiar());
        let found = digests
            .split(' ')
            .find(|digest| digest.starts_with(&prefix));
        found.map(str::to_owned).ok_or_else(|| {
            JobError::failed(format!(
                "Can't find target repository '{prefix}…' in list {digests:?}!"
            ))
        })
    }
}

/// Returns whether a push has failed permanently, judged by its output.
fn is_final(output: &str) -> bool {
    FINAL_ANSWERS.iter().any(|answer| output.contains(answer))
}
