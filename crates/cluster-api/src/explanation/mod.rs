//! Why a job waits, or why a worker runs no more jobs, and when a job is expected to start and to end.

mod calls;
mod server;

use std::fmt::Display;
use std::time::Duration;

use crate::RpcError;
use crate::details::millis;
use crate::raw::extensions_capnp::{explanation, forecast, pool_explanations};
use crate::text::{check_length, list_length, long_text, malformed, text};
pub use server::ServeExplained;

/// The limit for the text of an explanation, in bytes: it names a few workers with their problems.
const MAX_TEXT_BYTES: usize = 64 << 10;

/// The most numbers of jobs for which ids can be asked for in one call.
pub const MAX_TICKETS: usize = 1000;

/// Why a job waits, or why a worker runs no more jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The reason, as a word for programs, such as `busy`. Later schedulers may have more words.
    pub kind: String,
    /// The reason for people, in a line that includes what they can do about it.
    pub text: String,
    /// How many jobs are before it in its queue.
    pub ahead: u32,
    /// How many of them are urgent.
    pub urgent_ahead: u32,
    /// How many of them are of the same client. 0 also for a job that is far behind.
    pub own_ahead: u32,
    /// When it is expected to start and to end; `None` if that is not known.
    pub forecast: Option<Forecast>,
}

/// When a job is expected to start and to end: ranges from now on. Four of five jobs start in the first range, and four
/// of five end in the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// The earliest and the latest start.
    pub start: (Duration, Duration),
    /// The earliest and the latest end.
    pub end: (Duration, Duration),
}

/// Why the jobs of a pool wait, and why its workers run no more of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolExplanations {
    /// The first queued jobs of each queue, by the numbers of their tickets.
    pub jobs: Vec<(u64, Explanation)>,
    /// The known workers, connected or not, by their names.
    pub workers: Vec<(String, Explanation)>,
}

impl Explanation {
    fn read(reader: explanation::Reader<'_>, field: impl Display) -> Result<Self, RpcError> {
        let forecast = match reader.has_forecast() {
            true => {
                let forecast = reader.get_forecast();
                Some(Forecast::read(forecast.map_err(|error| {
                    malformed(&error, format_args!("{field}.forecast"))
                })?))
            }
            false => None,
        };
        Ok(Self {
            kind: text(reader.get_kind(), format_args!("{field}.kind"))?,
            text: long_text(
                reader.get_text(),
                format_args!("{field}.text"),
                MAX_TEXT_BYTES,
            )?,
            ahead: reader.get_ahead(),
            urgent_ahead: reader.get_urgent_ahead(),
            own_ahead: reader.get_own_ahead(),
            forecast,
        })
    }

    fn write(&self, mut builder: explanation::Builder<'_>) {
        let Self {
            kind,
            text,
            ahead,
            urgent_ahead,
            own_ahead,
            forecast,
        } = self;
        builder.set_kind(kind);
        builder.set_text(text);
        builder.set_ahead(*ahead);
        builder.set_urgent_ahead(*urgent_ahead);
        builder.set_own_ahead(*own_ahead);
        if let Some(forecast) = forecast {
            forecast.write(builder.init_forecast());
        }
    }
}

impl Forecast {
    fn read(reader: forecast::Reader<'_>) -> Self {
        let range = |from, to| (Duration::from_millis(from), Duration::from_millis(to));
        Self {
            start: range(reader.get_earliest_start(), reader.get_latest_start()),
            end: range(reader.get_earliest_end(), reader.get_latest_end()),
        }
    }

    fn write(&self, mut builder: forecast::Builder<'_>) {
        let Self { start, end } = self;
        builder.set_earliest_start(millis(start.0));
        builder.set_latest_start(millis(start.1));
        builder.set_earliest_end(millis(end.0));
        builder.set_latest_end(millis(end.1));
    }
}

impl PoolExplanations {
    fn read(reader: pool_explanations::explain_results::Reader<'_>) -> Result<Self, RpcError> {
        let (jobs, workers) = (reader.get_jobs(), reader.get_workers());
        let jobs = jobs.map_err(|error| malformed(&error, "jobs"))?;
        let workers = workers.map_err(|error| malformed(&error, "workers"))?;
        check_length(reader.total_size(), jobs.len(), "jobs")?;
        check_length(reader.total_size(), workers.len(), "workers")?;
        let explained = |explanation: capnp::Result<_>, field| {
            Explanation::read(
                explanation.map_err(|error| malformed(&error, field))?,
                field,
            )
        };
        let jobs = jobs.iter().map(|job| {
            let explanation = explained(job.get_explanation(), "jobs.explanation")?;
            Ok((job.get_ticket(), explanation))
        });
        let workers = workers.iter().map(|worker| {
            let name = text(worker.get_name(), "workers.name")?;
            Ok((
                name,
                explained(worker.get_explanation(), "workers.explanation")?,
            ))
        });
        Ok(Self {
            jobs: jobs.collect::<Result<_, RpcError>>()?,
            workers: workers.collect::<Result<_, RpcError>>()?,
        })
    }

    fn write(
        &self,
        mut builder: pool_explanations::explain_results::Builder<'_>,
    ) -> Result<(), RpcError> {
        let Self { jobs, workers } = self;
        let length = list_length(jobs, "jobs")?;
        let mut list = builder.reborrow().init_jobs(length);
        for (index, (ticket, explanation)) in (0..).zip(jobs) {
            let mut job = list.reborrow().get(index);
            job.set_ticket(*ticket);
            explanation.write(job.init_explanation());
        }
        let mut list = builder.init_workers(list_length(workers, "workers")?);
        for (index, (name, explanation)) in (0..).zip(workers) {
            let mut worker = list.reborrow().get(index);
            worker.set_name(name);
            explanation.write(worker.init_explanation());
        }
        Ok(())
    }
}

/// The error of an object that explains nothing.
pub(crate) fn not_explained() -> RpcError {
    RpcError::unimplemented("this scheduler does not explain why jobs wait")
}
