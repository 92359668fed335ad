//! The phases and log times of a job, as a scheduler reports them to clients and operators.

use std::future::Future;
use std::rc::Rc;

use capnp::capability::FromClientHook as _;

use super::wire::{length, read_log_times, read_phases, write_log_times, write_phase};
use super::{LogTime, MAX_LOG_TIMES, MAX_PHASES, Phase};
use crate::answer::Answer;
use crate::handle::Served;
use crate::raw::extensions_capnp::{job_timeline, job_timelines};
use crate::text::text;
use crate::{Admin, DurableJob, RpcError, ServeAdmin, ServeDurableJob};

/// Some times of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogTimesPage {
    /// The times, in the order of their offsets.
    pub times: Vec<LogTime>,
    /// Where the rest begins. `None`: there is none.
    pub next: Option<u64>,
}

/// Returns the phases of an answer without their numbers.
fn without_numbers(phases: Vec<(u32, Phase)>) -> Vec<Phase> {
    phases.into_iter().map(|(_, phase)| phase).collect()
}

macro_rules! timeline_calls {
    ($interface:ident) => {
        /// Reads the phases of an answer.
        pub(super) fn phases(
            results: $interface::phases_results::Reader<'_>,
        ) -> Result<Vec<Phase>, RpcError> {
            read_phases(results.get_phases()).map(without_numbers)
        }

        /// Writes phases into an answer.
        pub(super) fn set_phases(
            results: $interface::phases_results::Builder<'_>,
            phases: &[Phase],
        ) {
            let mut list = results.init_phases(length(phases, MAX_PHASES));
            for (number, phase) in (0..).zip(phases.iter().take(MAX_PHASES)) {
                write_phase(number, phase, list.reborrow().get(number));
            }
        }

        /// Reads the times of an answer.
        pub(super) fn log_times(
            results: $interface::log_times_results::Reader<'_>,
        ) -> Result<LogTimesPage, RpcError> {
            Ok(LogTimesPage {
                times: read_log_times(results.get_times(), MAX_LOG_TIMES)?,
                next: Some(results.get_next()).filter(|next| *next > 0),
            })
        }

        /// Writes times into an answer.
        pub(super) fn set_log_times(
            mut results: $interface::log_times_results::Builder<'_>,
            LogTimesPage { times, next }: &LogTimesPage,
        ) {
            results.set_next(next.unwrap_or(0));
            let times = times.get(..MAX_LOG_TIMES).unwrap_or(times);
            write_log_times(times, results.init_times(length(times, MAX_LOG_TIMES)));
        }
    };
}

/// The parameters and results of both interfaces have the same fields, and other types.
mod of_clients {
    use super::*;
    timeline_calls!(job_timeline);
}

mod of_operators {
    use super::*;
    timeline_calls!(job_timelines);
}

/// When its parts began and ended. Not every scheduler with durable jobs knows this.
impl DurableJob {
    /// Returns the phases of an attempt. None if its worker reports none.
    pub fn phases(&self, attempt: u32) -> Answer<Vec<Phase>> {
        let client: job_timeline::Client = self.clone().into_raw().cast_to();
        let mut request = client.phases_request();
        request.get().set_attempt(attempt);
        Answer::new(request.send().promise, of_clients::phases)
    }

    /// Returns the times of a part of the log of an attempt: first that of what is at `start`, even if that begins
    /// before.
    pub fn log_times(&self, attempt: u32, start: u64, end: u64) -> Answer<LogTimesPage> {
        let client: job_timeline::Client = self.clone().into_raw().cast_to();
        let mut request = client.log_times_request();
        let mut params = request.get();
        params.set_attempt(attempt);
        params.set_start(start);
        params.set_end(end);
        Answer::new(request.send().promise, of_clients::log_times)
    }
}

/// The phases and log times of everybody's jobs. Not every scheduler with durable jobs knows this.
impl Admin {
    /// Returns the phases of an attempt, as [`DurableJob::phases`].
    pub fn job_phases(&self, id: &str, attempt: u32) -> Answer<Vec<Phase>> {
        let client: job_timelines::Client = self.clone().into_raw().cast_to();
        let mut request = client.phases_request();
        request.get().set_id(id);
        request.get().set_attempt(attempt);
        Answer::new(request.send().promise, of_operators::phases)
    }

    /// Returns the times of a part of a log, as [`DurableJob::log_times`].
    pub fn job_log_times(
        &self,
        id: &str,
        attempt: u32,
        start: u64,
        end: u64,
    ) -> Answer<LogTimesPage> {
        let client: job_timelines::Client = self.clone().into_raw().cast_to();
        let mut request = client.log_times_request();
        let mut params = request.get();
        params.set_id(id);
        params.set_attempt(attempt);
        params.set_start(start);
        params.set_end(end);
        Answer::new(request.send().promise, of_operators::log_times)
    }
}

impl<S: ServeDurableJob> job_timeline::Server for Served<S> {
    fn phases(
        self: Rc<Self>,
        params: job_timeline::PhasesParams,
        mut results: job_timeline::PhasesResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let job = self.object();
        async move {
            let attempt = params.get()?.get_attempt();
            drop(params);
            let phases = job.phases(attempt).await?;
            of_clients::set_phases(results.get(), &phases);
            Ok(())
        }
    }

    fn log_times(
        self: Rc<Self>,
        params: job_timeline::LogTimesParams,
        mut results: job_timeline::LogTimesResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let job = self.object();
        async move {
            let reader = params.get()?;
            let attempt = reader.get_attempt();
            let (start, end) = (reader.get_start(), reader.get_end());
            drop(params);
            let page = job.log_times(attempt, start, end).await?;
            of_clients::set_log_times(results.get(), &page);
            Ok(())
        }
    }
}

impl<S: ServeAdmin> job_timelines::Server for Served<S> {
    fn phases(
        self: Rc<Self>,
        params: job_timelines::PhasesParams,
        mut results: job_timelines::PhasesResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let admin = self.object();
        async move {
            let id = text(params.get()?.get_id(), "id")?;
            let attempt = params.get()?.get_attempt();
            drop(params);
            let phases = admin.job_phases(id, attempt).await?;
            of_operators::set_phases(results.get(), &phases);
            Ok(())
        }
    }

    fn log_times(
        self: Rc<Self>,
        params: job_timelines::LogTimesParams,
        mut results: job_timelines::LogTimesResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let admin = self.object();
        async move {
            let reader = params.get()?;
            let id = text(reader.get_id(), "id")?;
            let attempt = reader.get_attempt();
            let (start, end) = (reader.get_start(), reader.get_end());
            drop(params);
            let page = admin.job_log_times(id, attempt, start, end).await?;
            of_operators::set_log_times(results.get(), &page);
            Ok(())
        }
    }
}
