//! Writes to a database that several schedulers share: one batch at a time, each with the number of the lease.

use std::time::Duration;

use jobs::ChangeId;

use super::Scheduler;
use crate::cluster::database::{Batch, WriteAnswer};
use crate::cluster::events::Event;
use crate::cluster::fault::ClusterFault;
use crate::cluster::process::Context;

/// A batch that the database has not answered.
#[derive(Debug)]
pub(super) struct Sent {
    batch: Batch,
    last: ChangeId,
}

impl Scheduler {
    /// Sends what is to be saved, or again what the database did not answer.
    pub(super) fn send_batch(&mut self, context: &mut Context<'_>) {
        let lease_is_valid = self.lease_is_valid(context.now);
        let Some(process) = &mut self.process else {
            return;
        };
        let Some(fence) = process.fence else {
            return;
        };
        if process.sent.is_none() {
            let group = context.random.pick(&[1, 3, usize::MAX]);
            let group = process.unsaved.iter().take(group);
            let (numbers, changes): (Vec<_>, Vec<_>) = group.cloned().unzip();
            let Some(last) = numbers.last().copied() else {
                process.commits = false;
                return;
            };
            process.last_batch += 1;
            let batch = Batch {
                fence,
                number: process.last_batch,
                changes,
            };
            process.sent = Some(Sent { batch, last });
        }
        let Some(Sent { batch, .. }) = &process.sent else {
            return;
        };
        let (scheduler, life, batch) = (self.which, self.life, batch.clone());
        if context.planted(ClusterFault::TrustsItsClock) && !lease_is_valid {
            let again = Event::Commit { scheduler, life };
            return context.after(Duration::from_millis(500), again);
        }
        let delay = Duration::from_millis(context.random.pick(&[1, 2, 20, 700]));
        let write = Event::Write {
            scheduler,
            life,
            batch,
        };
        context.after(delay, write);
    }

    /// The database has answered a write, or did not.
    pub(crate) fn written(&mut self, context: &mut Context<'_>, answer: WriteAnswer) {
        let (scheduler, life) = (self.which, self.life);
        let Some(process) = &mut self.process else {
            return;
        };
        match answer {
            WriteAnswer::Saved => {
                process.commits = false;
                if let Some(Sent { batch, last }) = process.sent.take() {
                    process.unsaved.drain(..batch.changes.len());
                    process.jobs.committed(last);
                }
            }
            WriteAnswer::Full => {
                context.oracle.count("refused write");
                process.commits = false;
                process.sent = None;
                process.backs_off = true;
                if let Some((last, _)) = process.unsaved.back() {
                    process.jobs.not_committed(*last);
                }
            }
            WriteAnswer::Refused(number) => return self.write_refused(context, number),
            WriteAnswer::Unknown if process.drains => {}
            WriteAnswer::Unknown => {
                let again = Event::Commit { scheduler, life };
                context.after(Duration::from_millis(500), again);
            }
        }
        if process.drains {
            self.drained(context);
        }
        self.perform(context);
    }
}
