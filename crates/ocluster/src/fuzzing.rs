//! What a fuzzer needs of the inside: no part of the interface, and free to change.

use std::path::Path;

/// Reads a configuration file of each program; returns what is said of the first that is none.
///
/// # Errors
/// The message that would be printed.
pub fn read_config(text: &str, programs: &[clap::Command]) -> Result<(), String> {
    for program in programs {
        cli::config::check_file(Path::new("fuzz.toml"), text, program)?;
    }
    Ok(())
}
