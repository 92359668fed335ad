//! The tasks that copy the logs of attached jobs into the store. See [`crate::attached`] for how they hold no job.

use std::rc::Rc;

use cluster_api::{Answer, LogChunk};
use tokio::time::Instant;

use crate::attached::{AttachedJob, LOG_INTERVAL, MAX_TIME_AFTER_END};
use crate::durable::DurableJobs;
use crate::durable::times::Growth;

impl DurableJobs {
    /// Begins to read the logs of attached jobs, one after the other. Never ends.
    pub(crate) async fn keep_attached_logs(self: Rc<Self>) {
        loop {
            match self.attached.next_log() {
                None => self.attached.until_log().await,
                Some(job) => {
                    tokio::task::spawn_local(Rc::clone(&self).keep_attached_log(job));
                    tokio::time::sleep(LOG_INTERVAL).await;
                }
            }
        }
    }

    async fn keep_attached_log(self: Rc<Self>, job: Rc<AttachedJob>) {
        let attempt = job.attempt_id();
        let growth = Growth::default();
        let copied = async {
            self.copy_attached_log(&job, &growth).await;
            growth.end();
        };
        let times = self.copy_attached_times(&job, &growth);
        tokio::select! {
            _ = async { futures::join!(copied, times) } => {}
            () = overtime(&job) => tracing::info!(
                target: "scheduler",
                "Kept only the beginning of the log of {attempt}: the rest was not read within {} s of its end",
                MAX_TIME_AFTER_END.as_secs()
            ),
        }
        let is_for_upload = self.log_store.is_some();
        let finished = self
            .store
            .run(move |kept| kept.finish_attached(attempt, is_for_upload))
            .await;
        match finished {
            // One that is compressed is counted then.
            Some(Ok(Some(bytes))) => {
                self.log_is_whole(attempt, bytes, bytes);
            }
            Some(Ok(None)) | None => {}
            Some(Err(error)) => {
                tracing::warn!(target: "scheduler", "Cannot complete the log of {attempt}: {error}");
            }
        }
        job.log_completed();
        self.attached.forget_if_stored(&job);
    }

    /// Appends the log to the store as it grows, until it ends, or its job is released or lost.
    async fn copy_attached_log(&self, job: &AttachedJob, growth: &Growth) {
        let mut offset = 0;
        let mut asked = Instant::now();
        while let Some(answer) = ask_for_log(job, offset)
            && let Ok(chunk) = answer.await
            && !chunk.bytes.is_empty()
        {
            let (length, took) = (chunk.bytes.len(), asked.elapsed());
            let attempt = job.attempt_id();
            let Some(end) = self.keep_chunk(attempt, offset, chunk.bytes).await else {
                return;
            };
            offset = end;
            job.log_grew(offset);
            growth.grew();
            self.attached.pace(length, took).await;
            asked = Instant::now();
        }
    }
}

/// Asks for a piece of a log; `None` if nobody holds the job any more. The answer holds nothing.
fn ask_for_log(job: &AttachedJob, offset: u64) -> Option<Answer<LogChunk>> {
    let job = job.job()?;
    Some(job.log(i64::try_from(offset).unwrap_or(i64::MAX)))
}

/// Waits until a job has ended so long ago that no more of its log is read.
async fn overtime(job: &AttachedJob) {
    loop {
        let changed = job.changed();
        if job.has_ended() {
            break;
        }
        changed.await;
    }
    tokio::time::sleep(MAX_TIME_AFTER_END).await;
}
