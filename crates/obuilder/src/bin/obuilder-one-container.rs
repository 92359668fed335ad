//! The built-in runtime and nothing else, for tests: their own programs belong to the test harness, which cannot be one.

use std::process::ExitCode;

fn main() -> ExitCode {
    obuilder::sandbox::builtin::run_if_asked().unwrap_or(ExitCode::FAILURE)
}
