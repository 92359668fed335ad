//! What a client asks for when it submits a durable job.

use std::num::NonZeroU8;
use std::time::Duration;

use crate::details::millis;
use crate::raw::extensions_capnp::durable_jobs::{label, request, return_timeouts};
use crate::text::{check_length, list_length, long_text, malformed, text};
use crate::{EncodedDescription, RpcError};

/// The limit for a key, and for a label's name and value, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// The limit for the labels of a job.
pub const MAX_LABELS: u32 = 16;

/// A durable job to submit.
#[derive(Debug, Clone)]
pub struct JobRequest {
    /// The name of the pool that is to run it.
    pub pool: String,
    /// What to do.
    pub description: EncodedDescription,
    /// Whether it goes before all jobs that are not urgent.
    pub urgent: bool,
    /// What the client calls this submission: the same key again is the same job.
    pub key: Option<String>,
    /// What to find the job by.
    pub labels: Vec<Label>,
    /// How many attempts may be lost with their workers; `None` for the scheduler's default.
    pub attempts: Option<NonZeroU8>,
    /// How long it may wait for a worker; `None` for any time.
    pub queue_limit: Option<Duration>,
    /// How long an attempt may run; `None` for any time.
    pub run_limit: Option<Duration>,
    /// How long an attempt may write nothing to its log; `None` for any time.
    pub silence_limit: Option<Duration>,
    /// What happens when no client watches the job any more.
    pub unwatched: Unwatched,
}

/// What happens to a job that no client watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unwatched {
    /// It continues.
    Continues,
    /// It is cancelled, unless a client watches it again in time.
    Cancelled(ReturnTimeouts),
}

/// How long a job waits for a client to watch it again. `None` stands for the scheduler's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReturnTimeouts {
    /// After the client released the job, or closed its connection.
    pub closed: Option<Duration>,
    /// After the connection of the client was lost because nothing arrived.
    pub silent: Option<Duration>,
    /// After the scheduler started.
    pub restarted: Option<Duration>,
}

/// A name and a value by which jobs are found, such as `branch` and `main`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl JobRequest {
    /// Returns a job that is cancelled when no client watches it, with the scheduler's defaults for all else.
    pub fn new(pool: impl Into<String>, description: EncodedDescription) -> Self {
        Self {
            pool: pool.into(),
            description,
            urgent: false,
            key: None,
            labels: Vec::new(),
            attempts: None,
            queue_limit: None,
            run_limit: None,
            silence_limit: None,
            unwatched: Unwatched::Cancelled(ReturnTimeouts::default()),
        }
    }

    pub(crate) fn read(reader: request::Reader<'_>) -> Result<Self, RpcError> {
        let descr = reader
            .get_descr()
            .map_err(|error| malformed(&error, "descr"))?;
        let unwatched = match reader.get_unwatched().which() {
            Ok(request::unwatched::Continues(())) => Unwatched::Continues,
            Ok(request::unwatched::Cancelled(timeouts)) => Unwatched::Cancelled(
                ReturnTimeouts::read(timeouts.map_err(|error| malformed(&error, "unwatched"))?),
            ),
            Err(capnp::NotInSchema(tag)) => {
                return Err(RpcError::failed(format!(
                    "Unknown way to be unwatched {tag}"
                )));
            }
        };
        Ok(Self {
            pool: text(reader.get_pool(), "pool")?,
            description: EncodedDescription::copy(descr)?,
            urgent: reader.get_urgent(),
            key: Some(long_text(reader.get_key(), "key", MAX_NAME_BYTES)?)
                .filter(|key| !key.is_empty()),
            labels: read_labels(reader.get_labels(), reader.total_size())?,
            attempts: NonZeroU8::new(reader.get_attempts()),
            queue_limit: duration(reader.get_queue_limit()),
            run_limit: duration(reader.get_run_limit()),
            silence_limit: duration(reader.get_silence_limit()),
            unwatched,
        })
    }

    pub(crate) fn write(&self, mut builder: request::Builder<'_>) -> Result<(), RpcError> {
        builder.set_pool(&self.pool);
        self.description
            .with_reader(|reader| Ok(builder.set_descr(reader)?))?;
        builder.set_urgent(self.urgent);
        builder.set_key(self.key.as_deref().unwrap_or_default());
        let labels = builder
            .reborrow()
            .init_labels(list_length(&self.labels, "labels")?);
        write_labels(labels, &self.labels);
        builder.set_attempts(self.attempts.map_or(0, NonZeroU8::get));
        builder.set_queue_limit(limit(self.queue_limit));
        builder.set_run_limit(limit(self.run_limit));
        builder.set_silence_limit(limit(self.silence_limit));
        let mut unwatched = builder.init_unwatched();
        match &self.unwatched {
            Unwatched::Continues => unwatched.set_continues(()),
            Unwatched::Cancelled(timeouts) => timeouts.write(unwatched.init_cancelled()),
        }
        Ok(())
    }
}

impl ReturnTimeouts {
    fn read(reader: return_timeouts::Reader<'_>) -> Self {
        Self {
            closed: duration(reader.get_closed()),
            silent: duration(reader.get_silent()),
            restarted: duration(reader.get_restarted()),
        }
    }

    fn write(&self, mut builder: return_timeouts::Builder<'_>) {
        builder.set_closed(limit(self.closed));
        builder.set_silent(limit(self.silent));
        builder.set_restarted(limit(self.restarted));
    }
}

pub(super) fn read_labels(
    labels: capnp::Result<capnp::struct_list::Reader<'_, label::Owned>>,
    size: capnp::Result<capnp::MessageSize>,
) -> Result<Vec<Label>, RpcError> {
    let labels = labels.map_err(|error| malformed(&error, "labels"))?;
    check_length(size, labels.len(), "labels")?;
    if labels.len() > MAX_LABELS {
        return Err(RpcError::failed(format!(
            "{} labels, and the limit is {MAX_LABELS}",
            labels.len()
        )));
    }
    let read = |label: label::Reader<'_>| {
        Ok(Label {
            name: long_text(label.get_name(), "label.name", MAX_NAME_BYTES)?,
            value: long_text(label.get_value(), "label.value", MAX_NAME_BYTES)?,
        })
    };
    labels.iter().map(read).collect()
}

pub(super) fn write_labels(
    mut list: capnp::struct_list::Builder<'_, label::Owned>,
    labels: &[Label],
) {
    for (index, Label { name, value }) in (0..).zip(labels) {
        let mut label = list.reborrow().get(index);
        label.set_name(name);
        label.set_value(value);
    }
}

/// Returns a time in milliseconds, of which 0 stands for none.
fn duration(millis: u64) -> Option<Duration> {
    Some(Duration::from_millis(millis)).filter(|duration| !duration.is_zero())
}

fn limit(duration: Option<Duration>) -> u64 {
    // A limit below a millisecond is one.
    duration.map_or(0, |duration| millis(duration).max(1))
}
