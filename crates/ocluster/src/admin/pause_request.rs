//! A request to pause a worker, with its author and reason if the scheduler stores them.

use cluster_api::{NewPause, PoolAdmin, RpcErrorKind};

use super::note::{NoteArgs, operator};
use super::workers::Target;
use cli::error::CommandError;
use cli::print::print_error;
use cli::quote::quoted;

/// Returns a pause by the current user.
pub(super) fn new_pause(note: NoteArgs, auto_create: bool) -> NewPause {
    NewPause {
        by: operator(),
        note: note.note.unwrap_or_default(),
        auto_create,
        until_reconnect: false,
    }
}

/// Pauses a worker, and stores author and reason if the scheduler can.
pub(super) async fn pause_with_note(
    target: &Target,
    worker: &str,
    pause: &NewPause,
) -> Result<(), CommandError> {
    let pool = &target.pool;
    let method = match pause.until_reconnect {
        true => "TemporaryPause.pauseWorker",
        false => "PoolAdmin.setActive",
    };
    let done = match pool.pause(worker, pause).await {
        // The scheduler stores no notes.
        Err(error) if error.kind == RpcErrorKind::Unimplemented => {
            without_note(pool, worker, pause).await
        }
        done => done,
    };
    match done {
        Ok(()) => Ok(()),
        Err(error) => Err(target.failed(method, Some(worker), error).await),
    }
}

async fn without_note(
    pool: &PoolAdmin,
    worker: &str,
    pause: &NewPause,
) -> Result<(), cluster_api::RpcError> {
    if pause.until_reconnect {
        match pool.pause_worker(worker, true).await {
            // The scheduler has only one kind of pause.
            Err(error) if error.kind == RpcErrorKind::Unimplemented => {
                pool.set_active(worker, false, false).await?;
                print_error(&format!(
                    "Note: if this scheduler remembers pauses, {} stays paused across reconnects until unpaused\n",
                    quoted(worker)
                ));
            }
            done => done?,
        }
    } else {
        pool.set_active(worker, false, pause.auto_create).await?;
    }
    if !pause.note.is_empty() {
        print_error("Note: this scheduler stores no notes; --note has no effect\n");
    }
    Ok(())
}
