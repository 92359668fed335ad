//! Redacts the output of programs before it is logged.

use std::rc::Weak;
use std::time::Duration;

use redact::{Redactor, Stream};

use super::{Inner, JobLog};

/// How long to wait for more output, if the end could be the beginning of a secret, before the end is shown.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// Redacts appended bytes.
pub(super) struct Output {
    redactor: Redactor,
    stream: Stream,
    /// Counts what was appended, to detect a pause.
    appended: u64,
    /// Whether a task waits for a pause.
    is_watched: bool,
}

impl Output {
    pub(super) fn new(redactor: Redactor) -> Self {
        Self {
            stream: redactor.stream(),
            redactor,
            appended: 0,
            is_watched: false,
        }
    }

    /// Redacts some output, and adds the part that can be shown now to `shown`. Returns whether the caller must start
    /// [`watch_for_pause`].
    pub(super) fn push(&mut self, bytes: &[u8], shown: &mut Vec<u8>) -> bool {
        self.stream.push(bytes, shown);
        self.appended = self.appended.wrapping_add(1);
        let begins = self.stream.has_pending() && !self.is_watched;
        self.is_watched |= begins;
        begins
    }

    /// Adds the output that is held back to `shown`: no more bytes belong to it.
    pub(super) fn finish(&mut self, shown: &mut Vec<u8>) {
        self.stream.finish(shown);
    }

    /// Returns a text of the worker without the secrets.
    pub(super) fn redacted(&self, text: &str) -> String {
        self.redactor.text(text)
    }
}

/// Waits until nothing is appended to a log for a while, and shows the output that was held back.
pub(super) async fn watch_for_pause(log: Weak<Inner>) {
    loop {
        let Some(inner) = log.upgrade() else { return };
        let before = inner.output.borrow().appended;
        drop(inner);
        tokio::time::sleep(PAUSE).await;
        let Some(inner) = log.upgrade() else { return };
        let mut shown = Vec::new();
        {
            let mut output = inner.output.borrow_mut();
            if output.appended != before {
                continue;
            }
            output.is_watched = false;
            output.stream.flush_idle(&mut shown);
        }
        // If the log is full or broken, the next append fails.
        if let Err(error) = JobLog(inner).show(&shown) {
            tracing::debug!("Cannot write the end of the job's output to its log: {error}");
        }
        return;
    }
}
