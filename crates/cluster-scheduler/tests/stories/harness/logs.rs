//! What was logged on this thread during a test.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

/// Captures what is logged until it is dropped.
pub(crate) struct Logs {
    text: Shared,
    _capturing: DefaultGuard,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Logs {
    pub(crate) fn capture() -> Self {
        let text = Shared::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .without_time()
            .with_ansi(false)
            .with_writer(text.clone())
            .finish();
        Self {
            text,
            _capturing: tracing::subscriber::set_default(subscriber),
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.text.0.lock().unwrap().clone()).unwrap()
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        self.text().contains(text)
    }

    /// Returns what the scheduler itself said, without level and target.
    pub(crate) fn of_scheduler(&self) -> Vec<String> {
        let text = self.text();
        text.lines()
            .filter_map(|line| line.split_once(" scheduler: "))
            .map(|(_, message)| message.to_owned())
            .collect()
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        let text = self.text();
        text.lines()
            .map(str::trim)
            .filter(|line| line.starts_with("WARN") || line.starts_with("ERROR"))
            .map(str::to_owned)
            .collect()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Shared {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
