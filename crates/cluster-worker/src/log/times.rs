//! When the parts of a job began and ended, and when its log was written.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::Duration;

use cluster_api::{JobTimes, PhaseKind};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::file::{LogPlace, replace_kept};
use super::steps::{StepFormat, StepReader};
use super::{Inner, JobLog};
use crate::timeline::{PhaseId, Timeline};

/// How long changes of what is kept beside a log may wait until they are written.
const SAVE_DELAY: Duration = Duration::from_secs(2);

/// The name of the file beside the log of an attempt that is kept.
const FILE: &str = "times";

/// The times of a job.
pub(super) struct Times {
    /// When it began.
    started: Cell<Instant>,
    timeline: RefCell<Timeline>,
    /// Reads the steps of a build in the log.
    steps: RefCell<Option<StepReader>>,
    /// Whether a task will save the times.
    is_save_due: Cell<bool>,
    /// Held while they are saved.
    saving: Mutex<()>,
    /// They were saved after the end of the job: their directory may be deleted at any time.
    is_saved_at_end: Cell<bool>,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            started: Cell::new(Instant::now()),
            timeline: RefCell::default(),
            steps: RefCell::default(),
            is_save_due: Cell::default(),
            saving: Mutex::default(),
            is_saved_at_end: Cell::default(),
        }
    }
}

impl Times {
    fn now(&self) -> Duration {
        self.started.get().elapsed()
    }
}

/// A phase that lasts until this is dropped.
pub(crate) struct OpenPhase<'a> {
    log: &'a JobLog,
    /// `None`: there are too many phases.
    id: Option<PhaseId>,
}

impl OpenPhase<'_> {
    /// Its result was there already.
    pub(crate) fn set_cached(&self) {
        if let Some(id) = self.id {
            self.log
                .change_phases(|timeline, _| timeline.set_cached(id));
        }
    }
}

impl Drop for OpenPhase<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.log
                .change_phases(|timeline, now| timeline.end(now, id));
        }
    }
}

/// The steps of a build are read in the log until this is dropped.
pub(crate) struct StepReading<'a>(&'a JobLog);

impl Drop for StepReading<'_> {
    fn drop(&mut self) {
        let reader = self.0.0.times.steps.take();
        let Some(reader) = reader else { return };
        self.0.change_phases(|timeline, now| {
            for id in reader.open_phases() {
                timeline.end(now, id);
            }
        });
    }
}

impl JobLog {
    /// The job begins: its times count from now.
    pub(crate) fn start_clock(&self) {
        self.0.times.started.replace(Instant::now());
    }

    /// A phase begins, and its output at the end of the log. `name` may contain secrets of the job.
    pub(crate) fn phase(&self, kind: PhaseKind, name: &str) -> OpenPhase<'_> {
        self.phase_at(kind, name, self.length())
    }

    /// A phase begins, whose output begins at an offset.
    pub(crate) fn phase_at(&self, kind: PhaseKind, name: &str, offset: u64) -> OpenPhase<'_> {
        let name = self.redacted(name);
        let id = self.change_phases(|timeline, now| timeline.begin(now, kind, &name, offset));
        OpenPhase { log: self, id }
    }

    /// Reads steps in the output that is appended, until what is returned is dropped.
    pub(crate) fn read_steps(&self, format: StepFormat) -> StepReading<'_> {
        self.0.times.steps.replace(Some(StepReader::new(format)));
        StepReading(self)
    }

    /// Returns the phases that have changed after a version, and the times of the log from an offset on.
    pub(crate) fn times(&self, version: u64, offset: u64) -> JobTimes {
        self.0.times.timeline.borrow().since(version, offset)
    }

    /// The job has ended.
    pub(super) fn end_phases(&self) {
        self.change_phases(Timeline::end_all);
    }

    /// Bytes were added at an offset.
    pub(super) fn written(&self, offset: u64, bytes: &[u8]) {
        let times = &self.0.times;
        let length = offset + bytes.len() as u64;
        let now = times.now();
        times.timeline.borrow_mut().written(now, offset, length);
        let mut steps = times.steps.borrow_mut();
        if let Some(reader) = &mut *steps {
            let mut timeline = times.timeline.borrow_mut();
            reader.push(offset, bytes, |event| timeline.apply(now, event));
        }
        drop(steps);
        self.save_later();
    }

    fn change_phases<R>(&self, change: impl FnOnce(&mut Timeline, Duration) -> R) -> R {
        let times = &self.0.times;
        let result = change(&mut times.timeline.borrow_mut(), times.now());
        self.save_later();
        result
    }

    /// Has the times saved soon, if they are kept.
    fn save_later(&self) {
        if self.times_path().is_none() || self.0.times.is_save_due.replace(true) {
            return;
        }
        tokio::task::spawn_local(save_after(SAVE_DELAY, Rc::downgrade(&self.0)));
    }

    /// Returns where the times are kept; `None` if they are not.
    fn times_path(&self) -> Option<PathBuf> {
        match &*self.0.place.borrow() {
            LogPlace::Temporary(_) => None,
            LogPlace::Kept(log) => Some(times_beside(log)),
        }
    }

    /// The job has ended: saves the times for the last time, if they are kept.
    pub(crate) async fn save_times_at_end(&self) {
        self.save_times().await;
        self.0.times.is_saved_at_end.set(true);
    }

    /// Saves the times, if they are kept. What cannot be saved is only logged: the log matters more.
    async fn save_times(&self) {
        let _turn = self.0.times.saving.lock().await;
        let path = self.times_path();
        let Some(path) = path.filter(|_| !self.0.times.is_saved_at_end.get()) else {
            return;
        };
        let bytes = self.0.times.timeline.borrow().all().to_bytes();
        let saved = match bytes {
            Ok(bytes) => replace_kept(path, bytes).await,
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = saved {
            tracing::debug!("Cannot keep the times of the job: {error}");
        }
    }
}

async fn save_after(delay: Duration, log: Weak<Inner>) {
    tokio::time::sleep(delay).await;
    let Some(inner) = log.upgrade() else { return };
    inner.times.is_save_due.replace(false);
    JobLog(inner).save_times().await;
}

/// Returns where the times of a log are kept.
pub(crate) fn times_beside(log: &Path) -> PathBuf {
    log.with_file_name(FILE)
}
