//! Fetches the result of a step that another worker has shared.

use std::fs::File;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use oci::Digest;
use tokio::time::Instant;
use visible::{Elapsed, Size};

use super::attempt::Attempt;
use super::claims::StepFailure;
use super::core::Core;
use crate::StepId;
use crate::shared::{CheckedChain, MissCause, Note, Record, Shared, unpack};
use crate::store::{Draft, StoreError};

/// Where a chain begins that is partly here.
struct Beginning {
    /// The result that is here.
    base: StepId,
    /// The steps after it.
    missing: Vec<Record>,
}

impl Attempt {
    /// Fetches the result instead of running the step. `None` if the step must run.
    pub(super) async fn fetch(
        &self,
        shared: &Rc<Shared>,
        step: StepId,
    ) -> Option<Result<(), StepFailure>> {
        let fetched = self.cancel().run_until_cancelled(self.found(shared, step));
        let Some(found) = fetched.await else {
            return Some(Err(StepFailure::Cancelled));
        };
        let (chain, beginning, begun, fetched) = found?;
        let pin = self.core().claims.pin(beginning.base);
        let store = &self.core().parts.store;
        let draft = match store.begin(&self.id(), Some(&beginning.base)).await {
            Ok(draft) => draft,
            Err(error) => {
                // The step itself reports it if it is lasting.
                tracing::debug!("Cannot fetch the result {}: {error}", self.id());
                return None;
            }
        };
        let size = fetched.size;
        let unpacked = unpack(&draft.rootfs, fetched.layers, self.cancel()).await;
        let made = match unpacked {
            Ok(()) => self.finish(&draft, fetched.log),
            Err(error) => Err(error.to_string()),
        };
        if made.is_err() || self.cancel().is_cancelled() {
            if let Err(error) = store.discard(draft).await {
                tracing::warn!("Cannot remove the draft of step {}: {error}", self.id());
            }
            if self.cancel().is_cancelled() {
                return Some(Err(StepFailure::Cancelled));
            }
            if let Err(reason) = made {
                shared.missed(MissCause::Invalid, &reason);
            }
            return None;
        }
        // Before it is published: a note without a result is replaced when the step is attempted again.
        shared
            .notes()
            .keep(&self.id(), &Note::Shared(chain.chain().clone()));
        let published = self.publish(draft, Some(beginning.base)).await;
        drop(pin);
        if published.is_ok() {
            let took = begun.elapsed();
            shared.fetched(size, took);
            self.was_fetched(note(&chain, size, took));
        } else {
            shared.notes().forget(&self.id());
        }
        Some(published)
    }

    async fn found(
        &self,
        shared: &Rc<Shared>,
        step: StepId,
    ) -> Option<(CheckedChain, Beginning, Instant, crate::shared::Fetched)> {
        let chain = shared.find(step).await?;
        let beginning = match self.core().beginning(shared, &chain, self.base()?).await {
            Ok(beginning) => beginning,
            Err(error) => {
                tracing::debug!("Cannot find out what the base of {step} contains: {error}");
                None
            }
        };
        let Some(beginning) = beginning else {
            let reason = format!("{step} was built on another content of the base image");
            shared.missed(MissCause::OtherBase, &reason);
            return None;
        };
        // Not before: to read a large base image, once, is no part of how fast fetches are.
        let begun = Instant::now();
        let fetched = shared.download(&beginning.missing).await?;
        Some((chain, beginning, begun, fetched))
    }

    /// Writes what is beside the root filesystem of a result.
    fn finish(&self, draft: &Draft, log: Option<File>) -> Result<(), String> {
        self.describe(draft).map_err(|failure| match failure {
            StepFailure::Failed(reason) => reason,
            other => format!("{other:?}"),
        })?;
        let write = || -> io::Result<()> {
            let mut to = File::create_new(draft.dir.join("log"))?;
            if let Some(mut log) = log {
                io::copy(&mut log, &mut to)?;
            }
            Ok(())
        };
        write().map_err(|error| format!("cannot write the log: {error}"))
    }
}

impl Core {
    /// Finds the result that is here and nearest to the end of a chain, from `base` to the base image. `None` if the
    /// chain starts from another content.
    async fn beginning(
        &self,
        shared: &Shared,
        chain: &CheckedChain,
        base: StepId,
    ) -> Result<Option<Beginning>, StoreError> {
        let mut at = base;
        loop {
            let Some(finished) = self.parts.store.result(&at)? else {
                return Ok(None);
            };
            let content = match (shared.notes().read(&at), finished.base) {
                (Some(Note::Image(content)), None) => Some(content),
                (Some(Note::Shared(chain)), Some(_)) => chain.content(),
                (_, None) => Some(self.image_content(shared, at).await?),
                (_, Some(_)) => None,
            };
            if let Some(missing) = content.and_then(|content| chain.after(&content)) {
                return Ok(Some(Beginning { base: at, missing }));
            }
            match finished.base {
                Some(base) => at = base,
                None => return Ok(None),
            }
        }
    }

    /// Returns the digest of the files of a base image. It is computed once.
    pub(super) async fn image_content(
        &self,
        shared: &Shared,
        id: StepId,
    ) -> Result<Digest, StoreError> {
        if let Some(Note::Image(content)) = shared.notes().read(&id) {
            return Ok(content);
        }
        let view = self.parts.store.view(&id).await?;
        let rootfs = view.rootfs().to_owned();
        let digesting = tokio::task::spawn_blocking(move || oci::export::tree_digest(&rootfs));
        let digest = digesting.await.map_err(|error| unreadable(&view, error))?;
        let digest = digest.map_err(|error| unreadable(&view, error))?;
        shared.notes().keep(&id, &Note::Image(digest));
        Ok(digest)
    }
}

fn unreadable(view: &crate::store::View, error: impl std::fmt::Display) -> StoreError {
    StoreError::Io {
        action: "read",
        path: view.rootfs().to_owned(),
        source: io::Error::other(error.to_string()),
    }
}

/// Returns what is said about a result that was fetched.
fn note(chain: &CheckedChain, size: u64, took: Duration) -> String {
    let (worker, built) = chain.made_by();
    format!(
        "---> fetched from the shared results: {} in {}, built on {worker} in {}",
        Size(size),
        Elapsed(took),
        Elapsed(built)
    )
}
