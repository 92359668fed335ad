//! Where what a step prints goes.

use std::io;

/// Takes what a step prints, byte for byte and in order.
pub trait Sink {
    /// Appends. An error ends the step: what cannot be kept must not look like silence.
    fn write(&self, bytes: &[u8]) -> io::Result<()>;
}
