//! The database: rows, and the lease of the scheduler that leads. For a scheduler that is alone it is its disk.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jobs::Change;
use leadership::{Fence, HolderId, RenewAnswer, Seen, Standbys, TakeAnswer, Timing};
use pool::Time;

use super::fault::ClusterFault;
use super::oracle::Oracle;
use crate::simulate::disk::Disk;

/// Changes that are saved in one transaction.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) fence: Fence,
    /// Counts the batches of a lease: one whose answer was lost is sent again under the same number.
    pub(crate) number: u64,
    pub(crate) changes: Vec<Change>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WriteAnswer {
    Saved,
    /// There is no space for it.
    Full,
    /// There is a later lease.
    Refused(u64),
    /// It may be saved, or not.
    Unknown,
}

/// A question about the lease.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    /// Whether the standby can connect to the leader comes with it.
    Look {
        is_cut_off: bool,
    },
    Take(Seen),
    Renew(Fence),
    Resign(Fence),
}

/// What a scheduler learns about the lease; `None` when the database did not answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Looked(Option<Seen>),
    Taken(Option<TakeAnswer>),
    Renewed(Option<RenewAnswer>),
    Resigned,
}

impl Question {
    pub(crate) fn unanswered(self) -> Answer {
        match self {
            Self::Look { .. } => Answer::Looked(None),
            Self::Take(_) => Answer::Taken(None),
            Self::Renew(_) => Answer::Renewed(None),
            Self::Resign(_) => Answer::Resigned,
        }
    }
}

#[derive(Debug, Default)]
struct Lease {
    number: u64,
    renewals: u64,
    holder: Option<usize>,
    expires: Time,
    /// Who took it, even after it was given up.
    taken_by: Option<usize>,
}

/// What a standby leaves when it looks.
#[derive(Debug)]
struct Note {
    at: Time,
    is_cut_off: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Database {
    pub(crate) disk: Disk,
    lease: Lease,
    /// The latest batch of each lease.
    batches: BTreeMap<u64, u64>,
    notes: BTreeMap<usize, Note>,
    pub(crate) is_down: bool,
    pub(crate) is_full: bool,
    /// The schedulers that do not reach it.
    pub(crate) cut_off: BTreeSet<usize>,
    /// By how many seconds its clock is ahead of the true time.
    pub(crate) ahead: i64,
}

impl Database {
    pub(crate) fn reaches(&self, scheduler: usize) -> bool {
        !self.is_down && !self.cut_off.contains(&scheduler)
    }

    /// Returns the number of the latest lease.
    pub(crate) fn latest(&self) -> u64 {
        self.lease.number
    }

    pub(crate) fn holder(&self) -> Option<usize> {
        self.lease.holder
    }

    fn clock(&self, now: Time) -> Time {
        Time::from_micros(now.micros() + self.ahead * 1_000_000)
    }

    fn standbys(&self, leader: usize, clock: Time) -> Standbys {
        let mut standbys = Standbys::default();
        for (_, note) in self.notes.iter().filter(|(which, _)| **which != leader) {
            let age = clock.since(note.at);
            standbys.expected += u32::from(age <= Duration::from_secs(60));
            if age <= Timing::default().lease && note.at <= clock {
                standbys.present += 1;
                standbys.cut_off += u32::from(note.is_cut_off);
            }
        }
        standbys
    }

    /// Answers a scheduler that reaches it.
    pub(crate) fn answer(
        &mut self,
        now: Time,
        from: usize,
        question: Question,
        fault: Option<ClusterFault>,
    ) -> Answer {
        let clock = self.clock(now);
        let expires = clock + Timing::default().lease;
        match question {
            Question::Look { is_cut_off } => {
                if !self.is_full {
                    let note = Note {
                        at: clock,
                        is_cut_off,
                    };
                    self.notes.insert(from, note);
                }
                Answer::Looked(Some(self.seen(clock)))
            }
            Question::Take(_) if self.is_full => Answer::Taken(None),
            Question::Take(seen) => {
                let Seen {
                    number, renewals, ..
                } = self.seen(clock);
                if (seen.number, seen.renewals) != (number, renewals) {
                    return Answer::Taken(Some(TakeAnswer::Changed));
                }
                let reuses = fault == Some(ClusterFault::ReusesLeaseNumbers);
                self.lease = Lease {
                    number: number.max(1) + u64::from(!reuses),
                    renewals: 0,
                    holder: Some(from),
                    expires,
                    taken_by: Some(from),
                };
                self.notes.remove(&from);
                Answer::Taken(Some(TakeAnswer::Taken {
                    number: self.lease.number,
                    standbys: self.standbys(from, clock),
                }))
            }
            Question::Renew(fence) => {
                Answer::Renewed(Some(if fence.number() < self.lease.number {
                    RenewAnswer::Deposed
                } else if self.is_full {
                    RenewAnswer::ReadOnly
                } else {
                    self.lease.renewals += 1;
                    self.lease.expires = expires;
                    let mut standbys = self.standbys(from, clock);
                    if fault == Some(ClusterFault::KeepsLeaseUnreached) {
                        standbys.cut_off = 0;
                    }
                    RenewAnswer::Renewed(standbys)
                }))
            }
            Question::Resign(fence) => {
                if fence.number() == self.lease.number && !self.is_full {
                    self.lease.holder = None;
                }
                Answer::Resigned
            }
        }
    }

    fn seen(&self, clock: Time) -> Seen {
        Seen {
            number: self.lease.number,
            renewals: self.lease.renewals,
            holder: self.lease.holder.map(|which| HolderId(which as u64)),
            has_expired: self.lease.expires <= clock,
            // A scheduler that stops goes on in the same process here.
            left: None,
        }
    }

    /// Saves a batch wholly or not at all, if it comes from the latest leader.
    pub(crate) fn write(
        &mut self,
        (oracle, fault): (&mut Oracle, Option<ClusterFault>),
        now: Time,
        from: usize,
        batch: &Batch,
    ) -> WriteAnswer {
        let number = batch.fence.number();
        let unfenced = [ClusterFault::WritesUnfenced, ClusterFault::TrustsItsClock];
        let is_fenced = fault.is_none_or(|fault| !unfenced.contains(&fault));
        if !self.reaches(from) {
            return WriteAnswer::Unknown;
        }
        if number < self.lease.number && is_fenced {
            oracle.count("refused for its number");
            return WriteAnswer::Refused(self.lease.number);
        }
        // Whether an earlier try was saved is known without any space.
        if self.has_saved(batch, fault) {
            oracle.count("sent again, and saved before");
            return WriteAnswer::Saved;
        }
        if self.is_full {
            return WriteAnswer::Full;
        }
        if self.lease.taken_by != Some(from) {
            let leader = self.lease.taken_by;
            oracle.broken(format!(
                "one leader writes: scheduler {from} does, with number {number}, and {leader:?} leads"
            ));
        }
        self.batches.insert(number, batch.number);
        for change in &batch.changes {
            oracle.saves(change, now);
            if let Err(problem) = self.disk.save(change) {
                oracle.broken(problem);
            }
        }
        WriteAnswer::Saved
    }

    fn has_saved(&self, batch: &Batch, fault: Option<ClusterFault>) -> bool {
        let latest = self.batches.get(&batch.fence.number()).copied();
        let forgets = fault == Some(ClusterFault::WritesTwice)
            || (fault == Some(ClusterFault::BelievesLatestAnswer) && self.is_full);
        !forgets && latest.is_some_and(|latest| latest >= batch.number)
    }
}
