//! The built-in runtime and nothing else, for tests, whose own programs start with the test harness.

use std::process::ExitCode;

fn main() -> ExitCode {
    obuilder::sandbox::builtin::run_if_asked().unwrap_or(ExitCode::FAILURE)
}
