//! OBuilder jobs: built step by step, by a builder on a thread of its own.

mod config;
mod decoration;
mod pipe;
mod refusal;
mod thread;
mod upkeep;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use bstr::BString;
use cluster_api::{Action, Description};
use futures::future::{FutureExt as _, LocalBoxFuture, ready};
use obuilder::builder::BuildError;
use obuilder_spec::Spec;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Executor, Fitness};
use crate::cancel::Cancel;
use crate::log::JobLog;
use crate::outcome::JobError;

pub use config::OBuilderConfig;
use pipe::{LogReader, pipe};
pub(crate) use refusal::OBuilderRefusal;
pub(crate) use thread::BuilderThread;
use thread::Order;
pub use upkeep::Upkeep;

/// What a spec is called in messages about it: it came without a file.
const SPEC_NAME: &str = "spec";

/// Builds OBuilder specs.
pub(crate) struct OBuilderExecutor {
    builder: Rc<BuilderThread>,
    /// Where its store is.
    store: PathBuf,
}

impl OBuilderExecutor {
    pub(crate) fn new(builder: Rc<BuilderThread>, store: PathBuf) -> Self {
        Self { builder, store }
    }
}

impl Executor for OBuilderExecutor {
    fn admit(&self, job: &Description) -> Result<(), JobError> {
        parse(job).map(drop)
    }

    fn run<'a>(
        &'a self,
        job: &'a Description,
        source: &'a Path,
        log: &'a JobLog,
        cancel: &'a Cancel,
    ) -> LocalBoxFuture<'a, Result<String, JobError>> {
        async move {
            let spec = parse(job)?;
            let (writer, reader) = pipe();
            let (done, answer) = oneshot::channel();
            let stop = CancellationToken::new();
            // If this future is dropped, so is the build.
            let _stop = stop.clone().drop_guard();
            self.builder.order(Order {
                spec,
                source: source.to_owned(),
                secrets: secrets(job),
                cancel: stop.clone(),
                log: writer,
                span: tracing::Span::current(),
                done,
            });
            follow(reader, log, cancel, &stop).await?;
            match answer.await {
                Ok(Ok(id)) => Ok(id.to_string()),
                Ok(Err(BuildError::Cancelled)) => Err(JobError::Cancelled),
                Ok(Err(BuildError::LimitReached(limit))) => {
                    Err(JobError::LimitReached(limit.into()))
                }
                Ok(Err(error)) => Err(JobError::failed(error.to_string())),
                Err(_) => Err(JobError::failed(
                    "this worker's builder has crashed; its log says why",
                )),
            }
        }
        .boxed_local()
    }

    fn directory(&self) -> LocalBoxFuture<'_, Option<PathBuf>> {
        ready(Some(self.store.clone())).boxed_local()
    }

    fn fitness(&self) -> Option<Fitness> {
        Some(self.builder.fitness())
    }
}

fn parse(job: &Description) -> Result<Spec, JobError> {
    let Action::OBuilder(build) = &job.action else {
        return Err(JobError::failed("this is not an OBuilder job"));
    };
    Spec::parse(build.spec.as_bytes(), SPEC_NAME)
        .map_err(|error| JobError::failed(error.to_string()))
}

fn secrets(job: &Description) -> Vec<(BString, Vec<u8>)> {
    let secrets = job.secrets.iter();
    secrets
        .map(|secret| (secret.id.as_str().into(), secret.value.expose().to_vec()))
        .collect()
}

/// Copies what the build says to the job's log, to its end; and passes on the wish to stop.
async fn follow(
    mut reader: LogReader,
    log: &JobLog,
    cancel: &Cancel,
    stop: &CancellationToken,
) -> Result<(), JobError> {
    loop {
        let bytes = tokio::select! {
            biased;
            () = cancel.cancelled(), if !stop.is_cancelled() => {
                stop.cancel();
                continue;
            }
            bytes = reader.next() => bytes,
        };
        let Some(bytes) = bytes else {
            return Ok(());
        };
        log.append(&bytes)?;
        log.room().await;
    }
}
