//! Reading and writing phases and log times.

use std::time::Duration;

use capnp::struct_list;

use super::{LogTime, MAX_PHASE_NAME_BYTES, MAX_PHASES, Phase, PhaseKind};
use crate::RpcError;
use crate::raw::extensions_capnp::job_phase::{self, Kind};
use crate::raw::extensions_capnp::log_time;
use crate::text::{long_text, malformed};

/// Reads phases, with their numbers.
pub(super) fn read_phases(
    list: capnp::Result<struct_list::Reader<'_, job_phase::Owned>>,
) -> Result<Vec<(u32, Phase)>, RpcError> {
    let list = list.map_err(|error| malformed(&error, "phases"))?;
    check(list.len(), MAX_PHASES, "phases")?;
    list.iter().map(read_phase).collect()
}

fn read_phase(phase: job_phase::Reader<'_>) -> Result<(u32, Phase), RpcError> {
    let ended = match phase.which() {
        Ok(job_phase::Ended(at)) => Some(Duration::from_millis(at)),
        Ok(job_phase::Running(())) | Err(capnp::NotInSchema(_)) => None,
    };
    let read = Phase {
        kind: read_kind(phase.get_kind()),
        name: long_text(phase.get_name(), "phase.name", MAX_PHASE_NAME_BYTES)?,
        log_offset: phase.get_log_offset(),
        started: Duration::from_millis(phase.get_started()),
        ended,
        cached: phase.get_cached(),
    };
    Ok((phase.get_number(), read))
}

fn read_kind(kind: Result<Kind, capnp::NotInSchema>) -> PhaseKind {
    match kind {
        Ok(Kind::Source) => PhaseKind::Source,
        Ok(Kind::Image) => PhaseKind::Image,
        Ok(Kind::Push) => PhaseKind::Push,
        Ok(Kind::Run) => PhaseKind::Run,
        // Of a newer peer: some part of the work, which has a name.
        Ok(Kind::Step) | Err(capnp::NotInSchema(_)) => PhaseKind::Step,
    }
}

/// Writes a phase.
pub(super) fn write_phase(number: u32, phase: &Phase, mut builder: job_phase::Builder<'_>) {
    let Phase {
        kind,
        name,
        log_offset,
        started,
        ended,
        cached,
    } = phase;
    builder.set_number(number);
    builder.set_kind(match kind {
        PhaseKind::Source => Kind::Source,
        PhaseKind::Image => Kind::Image,
        PhaseKind::Step => Kind::Step,
        PhaseKind::Push => Kind::Push,
        PhaseKind::Run => Kind::Run,
    });
    builder.set_name(visible::beginning(name, MAX_PHASE_NAME_BYTES));
    builder.set_log_offset(*log_offset);
    builder.set_started(millis(*started));
    match ended {
        Some(at) => builder.set_ended(millis(*at)),
        None => builder.set_running(()),
    }
    builder.set_cached(*cached);
}

/// Reads the times of a log, at most so many.
pub(super) fn read_log_times(
    list: capnp::Result<struct_list::Reader<'_, log_time::Owned>>,
    most: usize,
) -> Result<Vec<LogTime>, RpcError> {
    let list = list.map_err(|error| malformed(&error, "log times"))?;
    check(list.len(), most, "log times")?;
    let times = list.iter().map(|time| LogTime {
        offset: time.get_offset(),
        at: Duration::from_millis(time.get_at()),
    });
    Ok(times.collect())
}

/// Writes the times of a log into a list of their number.
pub(super) fn write_log_times(
    times: &[LogTime],
    mut list: struct_list::Builder<'_, log_time::Owned>,
) {
    for (index, time) in (0..).zip(times) {
        let mut builder = list.reborrow().get(index);
        builder.set_offset(time.offset);
        builder.set_at(millis(time.at));
    }
}

/// Returns how many elements a list gets: those that its reader accepts.
pub(super) fn length<T>(values: &[T], most: usize) -> u32 {
    u32::try_from(values.len().min(most)).unwrap_or(u32::MAX)
}

fn check(length: u32, most: usize, what: &str) -> Result<(), RpcError> {
    if length as usize > most {
        return Err(RpcError::failed(format!(
            "there are {length} {what}, and the limit is {most}"
        )));
    }
    Ok(())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
