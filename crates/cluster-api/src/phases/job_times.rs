//! The phases and log times of a job, as its worker reports them.

use std::future::Future;
use std::rc::Rc;

use capnp::Word;
use capnp::capability::FromClientHook as _;
use capnp::message::{Builder, HeapAllocator};

use super::wire::{length, read_log_times, read_phases, write_log_times, write_phase};
use super::{LogTime, MAX_KEPT_LOG_TIMES, MAX_LOG_TIMES, MAX_PHASES, Phase};
use crate::answer::Answer;
use crate::handle::Served;
use crate::raw::extensions_capnp::job_times::{self, times};
use crate::text::malformed;
use crate::{Job, RpcError, ServeJob, words};

/// The most bytes of what is kept of the times of a job.
const MAX_KEPT_BYTES: usize = 1 << 20;

/// What has changed of the phases and log times of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobTimes {
    /// Grows with each change of a phase.
    pub version: u64,
    /// The phases that have changed, with their numbers.
    pub phases: Vec<(u32, Phase)>,
    /// The times of the log.
    pub log: Vec<LogTime>,
    /// The times of the log are known up to here.
    pub log_length: u64,
}

impl JobTimes {
    /// Returns whether there may be more times of the log than one answer has.
    pub fn is_full(&self) -> bool {
        self.log.len() >= MAX_LOG_TIMES
    }

    /// Returns them as bytes, to keep them.
    ///
    /// # Errors
    /// When there are too many.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RpcError> {
        let mut message = Builder::new(HeapAllocator::new());
        self.write(message.init_root(), MAX_KEPT_LOG_TIMES);
        let times = message.get_root_as_reader::<times::Reader<'_>>()?;
        let size = times
            .total_size()
            .map_err(|error| malformed(&error, "times"))?;
        let words = words::copy::<times::Owned>(size, times, MAX_KEPT_BYTES, "times")?;
        Ok(Word::words_to_bytes(&words).to_vec())
    }

    /// Returns what [`to_bytes`](Self::to_bytes) returned.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RpcError> {
        if bytes.is_empty() {
            return Err(RpcError::failed("times are empty"));
        }
        let words = words::from_bytes(bytes);
        Self::read(words::read(&words).get_root()?, MAX_KEPT_LOG_TIMES)
    }

    /// Reads them, with at most so many times of the log.
    fn read(reader: times::Reader<'_>, most: usize) -> Result<Self, RpcError> {
        Ok(Self {
            version: reader.get_version(),
            phases: read_phases(reader.get_phases())?,
            log: read_log_times(reader.get_log(), most)?,
            log_length: reader.get_log_length(),
        })
    }

    /// Writes them, with at most so many times of the log.
    fn write(&self, mut builder: times::Builder<'_>, most: usize) {
        let Self {
            version,
            phases,
            log,
            log_length,
        } = self;
        builder.set_version(*version);
        builder.set_log_length(*log_length);
        let mut list = builder.reborrow().init_phases(length(phases, MAX_PHASES));
        for (index, (number, phase)) in (0..).zip(phases.iter().take(MAX_PHASES)) {
            write_phase(*number, phase, list.reborrow().get(index));
        }
        let log = log.get(..most).unwrap_or(log);
        write_log_times(log, builder.init_log(length(log, most)));
    }
}

impl Job {
    /// Returns the phases that have changed after a version, and the times of the log from an offset on.
    ///
    /// This is an extension of ours: other workers answer `Unimplemented`.
    pub fn times(&self, version: u64, offset: u64) -> Answer<JobTimes> {
        let client: job_times::Client = self.clone().into_raw().cast_to();
        let mut request = client.times_request();
        request.get().set_version(version);
        request.get().set_offset(offset);
        Answer::new(
            request.send().promise,
            |results: job_times::times_results::Reader<'_>| {
                let times = results.get_times();
                let times = times.map_err(|error| malformed(&error, "times"))?;
                JobTimes::read(times, MAX_LOG_TIMES)
            },
        )
    }
}

impl<S: ServeJob> job_times::Server for Served<S> {
    fn times(
        self: Rc<Self>,
        params: job_times::TimesParams,
        mut results: job_times::TimesResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let job = self.object();
        async move {
            let (version, offset) = (params.get()?.get_version(), params.get()?.get_offset());
            drop(params);
            let times = job.times(version, offset).await?;
            times.write(results.get().init_times(), MAX_LOG_TIMES);
            Ok(())
        }
    }
}
