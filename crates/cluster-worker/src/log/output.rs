//! What programs print, on its way into a log: without secrets.

use std::rc::Weak;
use std::time::Duration;

use redact::{Redactor, Stream};

use super::{Inner, JobLog};

/// How long to wait for more before an end of the output that could be the beginning of a secret is shown after all.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// What is appended, on its way into the log.
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

    /// Takes in some of the output, and adds to `shown` what can be shown now. Returns whether somebody must begin to
    /// wait for a pause: see [`watch_for_pause`].
    pub(super) fn push(&mut self, bytes: &[u8], shown: &mut Vec<u8>) -> bool {
        self.stream.push(bytes, shown);
        self.appended = self.appended.wrapping_add(1);
        let begins = self.stream.has_pending() && !self.is_watched;
        self.is_watched |= begins;
        begins
    }

    /// Adds what is held back to `shown`: nothing that belongs to it will come.
    pub(super) fn finish(&mut self, shown: &mut Vec<u8>) {
        self.stream.finish(shown);
    }

    /// Returns a text of ours without the secrets.
    pub(super) fn redacted(&self, text: &str) -> String {
        self.redactor.text(text)
    }
}

/// Waits until nothing more is appended to a log for a while, and shows what was held back of it.
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
            output.stream.pause(&mut shown);
        }
        // If the log is full or broken, the next append fails.
        if let Err(error) = JobLog(inner).show(&shown) {
            tracing::debug!("The end of the job's output is not in its log: {error}");
        }
        return;
    }
}
