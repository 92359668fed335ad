//! Configuration files: each is read, or refused with the line of the error.

use ocluster::fuzzing::read_config;

thread_local! {
    /// Creating them takes longer than reading a file.
    static PROGRAMS: [clap::Command; 6] = ocluster::programs::all();
}

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    PROGRAMS.with(|programs| {
        if let Err(message) = read_config(text, programs) {
            assert!(message.starts_with("fuzz.toml:"), "{message}");
        }
    });
}
