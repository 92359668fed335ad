//! What is done for attached jobs: they are noted, saved, and shown to clients that find them in the history.

mod log;
mod view;

use std::rc::Rc;

use cluster_api::EncodedDescription;
use futures::channel::oneshot;
use pool::ClientId;

pub(super) use self::view::until_log;
use super::DurableJobs;
use crate::attached::{AttachedJob, MAX_SAVED_AT_END, PIECE, SAVE_INTERVAL};

impl DurableJobs {
    /// A client submits an attached job to a pool. `None` if it is not recorded.
    pub(crate) fn attach(
        &self,
        client: &ClientId,
        pool: &str,
        description: &EncodedDescription,
        urgent: bool,
    ) -> Option<Rc<AttachedJob>> {
        self.attached.add(client, pool, description, urgent)
    }

    /// Saves attached jobs that have changed. Never ends.
    pub(crate) async fn save_attached(self: Rc<Self>) {
        let attached = &self.attached;
        loop {
            attached.until_unsaved().await;
            loop {
                tokio::time::sleep(SAVE_INTERVAL).await;
                let piece = attached.take_unsaved(PIECE);
                if piece.is_empty() {
                    break;
                }
                self.save_piece(piece).await;
                attached.log_left_out();
            }
        }
    }

    async fn save_piece(&self, piece: Vec<Rc<AttachedJob>>) {
        let attached = &self.attached;
        let saved = attached.saving();
        let records: Vec<_> = piece.iter().map(|job| job.record()).collect();
        let ended: Vec<_> = records.iter().map(|record| record.end.is_some()).collect();
        match &*self.committer.borrow() {
            Some(committer) => committer.save_attached(records),
            None => return,
        }
        match saved.await {
            Ok(Ok(())) => {
                attached.log_refusal(None);
                piece.iter().for_each(|job| job.saved());
                for (job, _) in piece.iter().zip(ended).filter(|(_, ended)| *ended) {
                    job.end_saved();
                    attached.forget_if_stored(job);
                }
            }
            Ok(Err(error)) => {
                attached.log_refusal(Some(&error));
                attached.not_saved(&piece);
            }
            Err(oneshot::Canceled) => {}
        }
    }

    /// Hands what has changed last to the store, which saves it before the scheduler ends.
    pub(super) fn save_attached_at_end(&self) {
        let last = self.attached.take_unsaved(MAX_SAVED_AT_END);
        if let Some(committer) = &*self.committer.borrow() {
            for piece in last.chunks(PIECE) {
                committer.save_attached(piece.iter().map(|job| job.record()).collect());
            }
        }
    }
}
