//! The log lines of this thread during a test.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

/// Captures what is logged on this thread until it is dropped.
pub struct LogCapture {
    text: SharedText,
    _capturing: DefaultGuard,
}

#[derive(Clone, Default)]
struct SharedText(Arc<Mutex<Vec<u8>>>);

impl LogCapture {
    /// Starts to capture.
    pub fn start() -> Self {
        let text = SharedText::default();
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

    /// Returns everything that was logged.
    pub fn text(&self) -> String {
        String::from_utf8(self.text.0.lock().unwrap().clone()).unwrap()
    }

    /// Returns whether `text` was logged.
    pub fn contains(&self, text: &str) -> bool {
        self.text().contains(text)
    }

    /// Returns the messages of the scheduler itself, without level and target.
    pub fn scheduler_messages(&self) -> Vec<String> {
        let text = self.text();
        text.lines()
            .filter_map(|line| line.split_once(" scheduler: "))
            .map(|(_, message)| message.to_owned())
            .collect()
    }

    /// Returns all warnings and errors.
    pub fn warnings(&self) -> Vec<String> {
        let text = self.text();
        text.lines()
            .map(str::trim)
            .filter(|line| line.starts_with("WARN") || line.starts_with("ERROR"))
            .map(str::to_owned)
            .collect()
    }
}

impl Write for SharedText {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for SharedText {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
