//! Makes layers of what steps have changed, and uploads them with their records.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::path::Path;
use std::time::Duration;

use oci::Digest;
use oci::export::{ExportError, LayerFile, write_layer};
use oci::fetch::{Artifact, ArtifactBlob, RepositoryError};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::record::{
    Chain, MOST_LOG, MOST_UNPACKED, Record, Requirements, SharedBlob, SharedLayer,
};
use super::{Shared, now};
use crate::StepId;

/// How long an upload of one blob may take.
const UPLOAD: Duration = Duration::from_secs(600);

/// How much less urgent than other threads it is to make layers: the jobs come first.
const NICENESS: i32 = 10;

/// The media types of what is uploaded.
const RECORDS: &str = "application/vnd.ocluster.obuilder.records.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const LOG: &str = "application/vnd.ocluster.obuilder.log.v1";

/// A result of this worker that is to be shared.
#[derive(Debug, Clone)]
pub(crate) struct Own {
    pub(crate) id: StepId,
    pub(crate) base: StepId,
    /// The step and its variant.
    pub(crate) step: StepId,
    pub(crate) took_ms: u64,
    pub(crate) made: i64,
}

/// A layer that was made of a result, and the result's log.
#[derive(Debug)]
pub(crate) struct Layer {
    layer: LayerFile,
    log: Option<(File, SharedBlob)>,
}

/// Why a result was not shared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotShared {
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error("cannot read its log: {0}")]
    Log(#[source] io::Error),
    #[error("its log has more than {MOST_LOG} bytes")]
    LogTooLarge,
    #[error("an upload took longer than {} s", UPLOAD.as_secs())]
    Slow,
    #[error("{0}")]
    Internal(String),
}

impl Shared {
    /// Returns whether results are uploaded now.
    pub(crate) fn is_sharing(&self) -> bool {
        self.mode.writes() && self.outage.is_over(Instant::now())
    }

    /// Returns whether results are uploaded at all.
    pub(crate) fn writes(&self) -> bool {
        self.mode.writes()
    }

    /// Returns whether the repository has a result for a step that this worker would use.
    pub(crate) async fn has(&self, step: StepId) -> Result<bool, NotShared> {
        let tag = self.tag(&step.to_string());
        let manifest = self.within(self.repository.document(&tag, Artifact::MOST));
        let Some(artifact) = manifest.await?.and_then(|it| Artifact::parse(&it).ok()) else {
            return Ok(false);
        };
        let document = &artifact.document;
        if document.size > Artifact::MOST {
            return Ok(false);
        }
        let blob = self
            .repository
            .blob(&document.digest, document.size, &self.scratch);
        let Ok(mut blob) = blob.await else {
            return Ok(false);
        };
        let mut bytes = Vec::new();
        if io::Read::read_to_end(&mut blob, &mut bytes).is_err() {
            return Ok(false);
        }
        let wanted = Requirements {
            step,
            platform: &self.platform,
            accepted: &self.accepted,
            now: now(),
            max_age: self.max_age,
        };
        Ok(Chain::check(&bytes, &wanted).is_ok())
    }

    /// Makes the layer of a result, on a thread that gives way to others.
    pub(crate) async fn layer(
        &self,
        base: &Path,
        result: &Path,
        log: &Path,
    ) -> Result<Layer, NotShared> {
        let (base, result, log) = (base.to_owned(), result.to_owned(), log.to_owned());
        let scratch = self.scratch.clone();
        let cancel = CancellationToken::new();
        let _stop = cancel.clone().drop_guard();
        let (sender, made) = oneshot::channel();
        let make = move || {
            if let Err(errno) = rustix::process::setpriority_process(None, NICENESS) {
                tracing::debug!("Cannot make a thread less urgent: {errno}");
            }
            let layer = write_layer(&base, &result, &scratch, MOST_UNPACKED, &cancel);
            let made = layer.map_err(NotShared::from).and_then(|layer| {
                let log = log_blob(&log, &scratch)?;
                Ok(Layer { layer, log })
            });
            // Nobody waits if the builder was dropped.
            drop(sender.send(made));
        };
        let thread = std::thread::Builder::new().name("share".to_owned());
        thread
            .spawn(make)
            .map_err(|error| NotShared::Internal(error.to_string()))?;
        let stopped = |_| NotShared::Internal("the thread has stopped".to_owned());
        made.await.map_err(stopped)?
    }

    /// Uploads a layer, and returns the chain `base` with the record of the result. The content of the first base is
    /// `image`.
    pub(crate) async fn add(
        &self,
        own: &Own,
        image: Digest,
        base: Chain,
        made: Layer,
    ) -> Result<Chain, NotShared> {
        let Layer { layer, log } = made;
        let described = SharedLayer {
            digest: layer.digest,
            size: layer.size,
            unpacked: layer.unpacked,
        };
        self.upload(&layer.digest, layer.size, layer.file).await?;
        let log = match log {
            Some((file, blob)) => {
                self.upload(&blob.digest, blob.size, file).await?;
                Some(blob)
            }
            None => None,
        };
        let content = base.content().unwrap_or(image);
        let record = Record {
            took_ms: own.took_ms,
            made: own.made,
            worker: self.worker.clone(),
            ..Record::new(own.step, &self.platform, content, described, log)
        };
        Ok(base.with(&record, &self.key))
    }

    /// Puts a chain under the tag of its last step: now others find it.
    pub(crate) async fn put(&self, step: StepId, chain: &Chain) -> Result<(), NotShared> {
        let Some(records) = chain.records() else {
            return Err(NotShared::Internal("a chain has another form".to_owned()));
        };
        let bytes = chain.encode();
        let document = ArtifactBlob {
            media_type: RECORDS.to_owned(),
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
        };
        let mut file = self.scratch_file()?;
        file.write_all(&bytes).map_err(NotShared::Log)?;
        self.upload(&document.digest, document.size, file).await?;
        let blobs = records.iter().flat_map(|record| {
            let layer = ArtifactBlob {
                media_type: LAYER.to_owned(),
                digest: record.layer.digest,
                size: record.layer.size,
            };
            let log = record.log.iter().map(|log| ArtifactBlob {
                media_type: LOG.to_owned(),
                digest: log.digest,
                size: log.size,
            });
            std::iter::once(layer).chain(log)
        });
        let artifact = Artifact {
            blobs: blobs.collect(),
            document,
        };
        let manifest = artifact.manifest();
        let tag = self.tag(&step.to_string());
        self.within(self.repository.put_document(&tag, &manifest))
            .await?;
        self.counts
            .change(|stats| stats.shared = stats.shared.saturating_add(1));
        Ok(())
    }

    /// Records that a result could not be shared.
    pub(crate) fn not_shared(&self, id: StepId, error: &NotShared) {
        tracing::warn!("Cannot share the result {id}: {error}");
        self.counts
            .change(|stats| stats.not_shared = stats.not_shared.saturating_add(1));
    }

    fn scratch_file(&self) -> Result<File, NotShared> {
        tempfile::tempfile_in(&self.scratch).map_err(NotShared::Log)
    }

    async fn upload(&self, digest: &Digest, size: u64, file: File) -> Result<(), NotShared> {
        if self
            .within(self.repository.put_blob(digest, size, file))
            .await?
        {
            self.counts
                .change(|stats| stats.sent = stats.sent.saturating_add(size));
        }
        Ok(())
    }

    async fn within<T>(
        &self,
        what: impl Future<Output = Result<T, RepositoryError>>,
    ) -> Result<T, NotShared> {
        match tokio::time::timeout(UPLOAD, what).await {
            Ok(answer) => {
                self.observe(&answer);
                Ok(answer?)
            }
            Err(_) => {
                self.outage.failed(Instant::now());
                Err(NotShared::Slow)
            }
        }
    }
}

/// Copies a log, so that it stays when the result is removed. `None` if it is missing or empty.
fn log_blob(path: &Path, scratch: &Path) -> Result<Option<(File, SharedBlob)>, NotShared> {
    let bytes = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(NotShared::Log(error)),
        Ok(metadata) if metadata.len() > MOST_LOG => return Err(NotShared::LogTooLarge),
        Ok(_) => std::fs::read(path).map_err(NotShared::Log)?,
    };
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut file = tempfile::tempfile_in(scratch).map_err(NotShared::Log)?;
    let written = file.write_all(&bytes).and_then(|()| file.rewind());
    written.map_err(NotShared::Log)?;
    let blob = SharedBlob {
        digest: Digest::of(&bytes),
        size: bytes.len() as u64,
    };
    Ok(Some((file, blob)))
}
