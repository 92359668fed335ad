//! OBuilder jobs: built step by step, by a builder on a thread of its own.

mod config;
mod decoration;
mod hints;
mod op_phases;
mod pipe;
mod refusal;
mod thread;
mod upkeep;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use bstr::BString;
use cluster_api::{Description, OBuilderBuild, Secret};
use futures::future::{FutureExt as _, LocalBoxFuture, ready};
use obuilder::builder::BuildError;
use obuilder_spec::Spec;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{AdmittedBuild, AnyBuild, Backend, Executor, Fitness, JobKind, PruneReports};
use crate::cancel::Cancel;
use crate::log::JobLog;
use crate::outcome::JobError;

pub use config::OBuilderConfig;
use op_phases::OpPhases;
use pipe::{LogReader, Piece, pipe};
pub(crate) use refusal::OBuilderRefusal;
use thread::BuildRequest;
pub(crate) use thread::BuilderThread;
pub use upkeep::Upkeep;
use visible::Lines;

/// The name of a spec in errors, as it has no file.
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

/// An OBuilder build that has been admitted.
struct AdmittedSpec<'a> {
    builder: &'a BuilderThread,
    spec: Spec,
    hint: &'a str,
    secrets: &'a [Secret],
}

impl AdmittedBuild for AdmittedSpec<'_> {
    async fn run(self, source: &Path, log: &JobLog, cancel: &Cancel) -> Result<String, JobError> {
        let Self {
            builder,
            spec,
            hint,
            secrets,
        } = self;
        let (writer, reader) = pipe();
        let (done, answer) = oneshot::channel();
        let stop = CancellationToken::new();
        // Dropping this future cancels the build.
        let _stop = stop.clone().drop_guard();
        builder.request(BuildRequest {
            spec,
            hint: hint.to_owned(),
            source: source.to_owned(),
            secrets: exposed(secrets),
            cancel: stop.clone(),
            log: writer,
            span: tracing::Span::current(),
            done,
        });
        follow(reader, log, cancel, &stop).await?;
        match answer.await {
            Ok(Ok(id)) => Ok(id.to_string()),
            Ok(Err(BuildError::Cancelled)) => Err(JobError::Cancelled),
            Ok(Err(BuildError::LimitReached(limit))) => Err(JobError::LimitReached(limit.into())),
            Ok(Err(BuildError::CommandFailed { reason, exit })) => {
                Err(JobError::command_failed(reason, exit.code()))
            }
            Ok(Err(error)) => Err(JobError::failed(error.to_string())),
            Err(_) => Err(JobError::failed(
                "the worker's builder has crashed; see the worker's log",
            )),
        }
    }
}

impl Executor<OBuilderBuild> for OBuilderExecutor {
    fn admit<'a>(
        &'a self,
        build: &'a OBuilderBuild,
        job: &'a Description,
    ) -> Result<Box<dyn AnyBuild + 'a>, JobError> {
        let spec = Spec::parse(build.spec.as_bytes(), SPEC_NAME)
            .map_err(|error| JobError::failed(error.to_string()))?;
        Ok(Box::new(AdmittedSpec {
            builder: &self.builder,
            spec,
            hint: &job.cache_hint,
            secrets: &job.secrets,
        }))
    }
}

impl JobKind for OBuilderBuild {
    fn announcement(&self, hint: &str) -> String {
        format!(
            "Got request to build ({hint}):\n{}",
            Lines(self.spec.trim())
        )
    }
}

impl Backend for OBuilderExecutor {
    fn directory(&self) -> LocalBoxFuture<'_, Option<PathBuf>> {
        ready(Some(self.store.clone())).boxed_local()
    }

    fn fitness(&self) -> Option<Fitness> {
        Some(self.builder.fitness())
    }

    fn prune_reports(&self) -> Option<PruneReports> {
        Some(self.builder.prune_reports())
    }
}

fn exposed(secrets: &[Secret]) -> Vec<(BString, Vec<u8>)> {
    let secrets = secrets.iter();
    secrets
        .map(|secret| (secret.id.as_str().into(), secret.value.expose().to_vec()))
        .collect()
}

/// Copies the build's output to the job's log until it ends, and forwards a cancellation.
async fn follow(
    mut reader: LogReader,
    log: &JobLog,
    cancel: &Cancel,
    stop: &CancellationToken,
) -> Result<(), JobError> {
    let mut ops = OpPhases::new(log);
    loop {
        let piece = tokio::select! {
            biased;
            () = cancel.cancelled(), if !stop.is_cancelled() => {
                stop.cancel();
                continue;
            }
            piece = reader.next() => piece,
        };
        match piece {
            None => return Ok(()),
            Some(Piece::Heading(text)) => {
                ops.heading(&text)?;
                log.append(&decoration::heading(text.as_ref()))?;
            }
            Some(Piece::Output(bytes)) => log.append(&bytes)?,
            Some(Piece::Progress(progress)) => ops.report(progress),
        }
        log.room().await;
    }
}
