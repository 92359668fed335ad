//! Looks up chains, and downloads and unpacks layers.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use oci::fetch::{Artifact, RepositoryError};
use oci::{Limits, UnpackError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::record::{Chain, CheckedChain, Record, Refusal, Requirements};
use super::stats::MissCause;
use super::{Shared, now};
use crate::StepId;

/// How long a lookup may take: a step that starts waits for it.
const LOOKUP: Duration = Duration::from_secs(5);

/// How many layers are downloaded at once.
const AT_ONCE: usize = 3;

/// The most files of one layer.
const MOST_FILES: u64 = 5_000_000;

/// How long a fetch may take besides twice the time of the step.
const GRACE: Duration = Duration::from_secs(10);

/// What a step needs of the repository, on this machine.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The layers to put onto the base, in order, with the sizes of their archives.
    pub(crate) layers: Vec<(File, u64)>,
    /// The step's log. `None` if there was no output.
    pub(crate) log: Option<File>,
    /// The size of all of it, in bytes.
    pub(crate) size: u64,
}

impl Shared {
    /// Looks up a step. `None` if its result cannot be used, for whatever reason: then the step runs.
    pub(crate) async fn find(&self, step: StepId) -> Option<CheckedChain> {
        if !self.mode.reads() {
            return None;
        }
        if !self.outage.is_over(Instant::now()) {
            self.missed(
                MissCause::Unavailable,
                "the repository did not answer lately",
            );
            return None;
        }
        let refusal = match tokio::time::timeout(LOOKUP, self.lookup(step)).await {
            Ok(Ok(found)) => return Some(found),
            Ok(Err(refusal)) => refusal,
            Err(_) => {
                self.outage.failed(Instant::now());
                let reason = format!(
                    "the repository did not answer within {} s",
                    LOOKUP.as_secs()
                );
                (MissCause::Unavailable, reason)
            }
        };
        self.missed(refusal.0, &refusal.1);
        None
    }

    async fn lookup(&self, step: StepId) -> Result<CheckedChain, Refusal> {
        let invalid = |reason: &str| (MissCause::Invalid, reason.to_owned());
        let tag = self.tag(&step.to_string());
        let manifest = self.repository.document(&tag, Artifact::MOST).await;
        self.observe(&manifest);
        let Some(manifest) = manifest.map_err(refused)? else {
            return Err((MissCause::Absent, format!("there is no {tag}")));
        };
        let artifact = Artifact::parse(&manifest).map_err(|reason| invalid(&reason))?;
        let document = &artifact.document;
        if document.size > Artifact::MOST {
            return Err(invalid("its list of records is too large"));
        }
        let blob = self
            .repository
            .blob(&document.digest, document.size, &self.scratch);
        let mut bytes = Vec::new();
        let read = blob.await.map_err(refused)?.read_to_end(&mut bytes);
        read.map_err(|error| invalid(&error.to_string()))?;
        Chain::check(
            &bytes,
            &Requirements {
                step,
                platform: &self.platform,
                accepted: &self.accepted,
                now: now(),
                max_age: self.max_age,
            },
        )
    }

    /// Downloads the layers of some records, and the log of the last one. `None` if that is not worth it, fails, or
    /// takes too long: then the step runs.
    pub(crate) async fn download(&self, missing: &[Record]) -> Option<Fetched> {
        let last = missing.last()?;
        let step = Duration::from_millis(last.took_ms);
        let layers = missing.iter().map(|record| record.layer.size);
        let size = layers.chain(last.log.iter().map(|log| log.size)).sum();
        if !self.speed.borrow().is_worth(Instant::now(), size, step) {
            let reason = format!("its {size} bytes are expected to take longer than the step");
            self.missed(MissCause::Slower, &reason);
            return None;
        }
        let limit = step.saturating_mul(2).saturating_add(GRACE);
        let begun = Instant::now();
        let refusal = match tokio::time::timeout(limit, self.download_all(missing, last)).await {
            Ok(Ok((layers, log))) => return Some(Fetched { layers, log, size }),
            Ok(Err(error)) => {
                if matches!(error, RepositoryError::Unavailable { .. }) {
                    self.outage.failed(Instant::now());
                }
                refused(error)
            }
            Err(_) => {
                // So that the next ones of this size are not begun.
                let (now, took) = (Instant::now(), begun.elapsed());
                self.speed.borrow_mut().learn(now, size, took);
                let reason = format!("its download took longer than {} s", limit.as_secs());
                (MissCause::Slower, reason)
            }
        };
        self.missed(refusal.0, &refusal.1);
        None
    }

    async fn download_all(
        &self,
        missing: &[Record],
        last: &Record,
    ) -> Result<(Vec<(File, u64)>, Option<File>), RepositoryError> {
        let layers = missing.iter().map(|record| async {
            let layer = &record.layer;
            let file = self
                .repository
                .blob(&layer.digest, layer.size, &self.scratch);
            Ok::<_, RepositoryError>((file.await?, layer.unpacked))
        });
        let layers = futures::stream::iter(layers)
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let log = match &last.log {
            Some(log) => {
                let file = self.repository.blob(&log.digest, log.size, &self.scratch);
                Some(file.await?)
            }
            None => None,
        };
        Ok((layers, log))
    }

    /// Records that a result was fetched.
    pub(crate) fn fetched(&self, size: u64, took: Duration) {
        self.speed.borrow_mut().learn(Instant::now(), size, took);
        self.counts.change(|stats| {
            stats.hits = stats.hits.saturating_add(1);
            stats.received = stats.received.saturating_add(size);
            stats.fetching = stats.fetching.saturating_add(took);
        });
    }
}

/// Puts layers onto the root filesystem of a draft, until `cancel` fires. Returns once nothing is written any more.
pub(crate) async fn unpack(
    rootfs: &Path,
    layers: Vec<(File, u64)>,
    cancel: &CancellationToken,
) -> Result<(), UnpackError> {
    let (rootfs, cancel): (PathBuf, _) = (rootfs.to_owned(), cancel.child_token());
    let _stop = cancel.clone().drop_guard();
    let unpacking = tokio::task::spawn_blocking(move || {
        for (layer, unpacked) in layers {
            let limits = Limits {
                layers: 1,
                entries: MOST_FILES,
                stored: u64::MAX,
                unpacked,
            };
            oci::apply_layer(&rootfs, layer, limits, &cancel)?;
        }
        Ok(())
    });
    let unpacked = unpacking.await;
    unpacked
        .unwrap_or_else(|error| Err(UnpackError::Incomplete(format!("internal error: {error}"))))
}

fn refused(error: RepositoryError) -> Refusal {
    let cause = match &error {
        RepositoryError::Unavailable { .. } | RepositoryError::Io { .. } => MissCause::Unavailable,
        RepositoryError::Missing(_) | RepositoryError::Wrong(_) => MissCause::Invalid,
    };
    (cause, error.to_string())
}
