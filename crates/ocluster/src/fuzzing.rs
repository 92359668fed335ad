//! What a fuzzer needs of the inside: no part of the interface, and free to change.

use std::path::Path;

/// Reads a text as the configuration file of each program; returns the first error.
///
/// # Errors
/// The message that would be printed.
pub fn read_config(text: &str, programs: &[clap::Command]) -> Result<(), String> {
    for program in programs {
        cli::config::check_file(Path::new("fuzz.toml"), text, program)?;
    }
    Ok(())
}
