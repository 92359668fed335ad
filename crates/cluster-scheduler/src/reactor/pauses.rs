//! Operators pause workers, and give reasons.

use pool::{Disconnected, InactiveReason, UnknownWorker, WorkerName};

use super::{PendingSave, Reactor};
use crate::db::{Change, PauseRow};
use crate::pauses::PauseNote;

impl Reactor {
    /// An operator pauses a worker or ends its pause, without a name and a reason: those of an earlier pause are kept.
    pub(crate) fn set_paused(
        &self,
        worker: &WorkerName,
        paused: bool,
        auto_create: bool,
    ) -> Result<PendingSave, UnknownWorker> {
        if paused {
            let is_known = self.state.borrow().pauses.has_lasting(worker);
            let note = (!is_known).then(|| self.unexplained_pause());
            return self.set_lasting_pause(worker, note, auto_create);
        }
        let (result, saving) = self.apply(|state, _| {
            state.pool.set_paused(worker, false, auto_create)?;
            let id = state.pool.registration(worker);
            state.pauses.end(worker, id);
            Ok(())
        });
        result.map(|()| saving)
    }

    /// An operator pauses a worker until it is unpaused, with a name and perhaps a reason.
    ///
    /// Without a reason, what is known of an earlier pause is kept.
    pub(crate) fn pause(
        &self,
        worker: &WorkerName,
        note: PauseNote,
        auto_create: bool,
    ) -> Result<PendingSave, UnknownWorker> {
        let adds_nothing = note.note.is_empty() && self.state.borrow().pauses.has_lasting(worker);
        self.set_lasting_pause(worker, Some(note).filter(|_| !adds_nothing), auto_create)
    }

    fn set_lasting_pause(
        &self,
        worker: &WorkerName,
        note: Option<PauseNote>,
        auto_create: bool,
    ) -> Result<PendingSave, UnknownWorker> {
        let (result, mut saving) = self.apply(|state, _| {
            state.pool.set_paused(worker, true, auto_create)?;
            if let Some(note) = &note {
                state.pauses.set(worker, note.clone());
            }
            Ok(())
        });
        result?;
        if let Some(PauseNote { since, by, note }) = note {
            saving.0.push(self.save(Change::Pause(PauseRow {
                pool: self.name.to_string(),
                worker: worker.to_string(),
                since,
                by,
                note,
            })));
        }
        Ok(saving)
    }

    /// An operator pauses a connected worker until it reconnects, with a name and a reason.
    pub(crate) fn pause_until_reconnect(
        &self,
        worker: &WorkerName,
        note: PauseNote,
    ) -> Result<(), Disconnected> {
        let (result, _) = self.apply(|state, _| {
            let id = state.pool.registration(worker).ok_or(Disconnected)?;
            state
                .pool
                .set_active(id, InactiveReason::TemporaryPause, false)?;
            state.pauses.set_until_reconnect(id, note);
            Ok(())
        });
        result
    }

    /// An operator ends the pause of a connected worker that would end when it reconnects.
    pub(crate) fn end_temporary_pause(&self, worker: &WorkerName) -> Result<(), Disconnected> {
        let (result, _) = self.apply(|state, _| {
            let id = state.pool.registration(worker).ok_or(Disconnected)?;
            state.pauses.end_registration(id);
            state
                .pool
                .set_active(id, InactiveReason::TemporaryPause, true)
        });
        result
    }

    /// Returns a pause that begins now, without a name and a reason.
    pub(crate) fn unexplained_pause(&self) -> PauseNote {
        PauseNote::unexplained(self.clock.date())
    }

    /// Returns a note that was made now.
    pub(crate) fn note_now(
        &self,
        by: String,
        note: String,
    ) -> Result<PauseNote, crate::pauses::NoteTooLong> {
        PauseNote::new(self.clock.date(), by, note)
    }
}
