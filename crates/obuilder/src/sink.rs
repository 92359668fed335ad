//! The output of steps.

use std::io;

/// Receives the output of a step, byte for byte and in order.
pub trait Sink {
    /// Appends bytes. An error ends the step, so that its log is never incomplete without notice.
    ///
    /// # Errors
    /// If they cannot be written.
    fn write(&self, bytes: &[u8]) -> io::Result<()>;
}
