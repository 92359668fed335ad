//! Configuration files: each is read, or refused with the line of the error.

use std::path::Path;

use cli::config::check_file;

thread_local! {
    /// Creating them takes longer than reading a file.
    static PROGRAMS: [clap::Command; 6] = ocluster::reference::commands();
}

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    PROGRAMS.with(|programs| {
        for program in programs {
            if let Err(message) = check_file(Path::new("fuzz.toml"), text, program) {
                assert!(message.starts_with("fuzz.toml:"), "{message}");
            }
        }
    });
}
