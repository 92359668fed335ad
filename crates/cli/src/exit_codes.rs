//! The exit codes of the programs, as their help, their manual pages and the reference show them.

/// An exit code of a program, and its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitCode {
    /// The code, or several.
    pub code: &'static str,
    /// When the program exits with it.
    pub meaning: &'static str,
}

const fn code(code: &'static str, meaning: &'static str) -> ExitCode {
    ExitCode { code, meaning }
}

const USAGE: ExitCode = code(
    "124",
    "invalid command line, environment variable or configuration file",
);

const INTERNAL: ExitCode = code("125", "internal error: a bug in this program");

const SECOND_SIGNAL: ExitCode = code(
    "129, 130, 143",
    "a second signal (SIGHUP, SIGINT, SIGTERM) ended it immediately",
);

const SCHEDULER: &[ExitCode] = &[
    code("0", "stopped by a signal, with everything saved"),
    code("1", "could not start"),
    USAGE,
    INTERNAL,
    SECOND_SIGNAL,
];

const WORKER: &[ExitCode] = &[
    code(
        "0",
        "stopped by a signal, after its jobs ended or were cancelled",
    ),
    code(
        "1",
        "could not start, or was updated and must be started again",
    ),
    USAGE,
    INTERNAL,
    SECOND_SIGNAL,
];

const UNREACHABLE: ExitCode = code("69", "cannot connect to the scheduler");

const CLIENT: &[ExitCode] = &[
    code("0", "the job succeeded, or the command did"),
    code("1", "the build failed or exceeded a time limit"),
    UNREACHABLE,
    code(
        "75",
        "the job was lost, its worker is unfit, or the scheduler is overloaded; submit it again",
    ),
    code(
        "124",
        "invalid command line, environment variable, configuration file, pool or cap file",
    ),
    INTERNAL,
    code(
        "129, 130, 143",
        "a signal (SIGHUP, SIGINT, SIGTERM) cancelled the job; 130 also if another user did",
    ),
];

const ADMIN: &[ExitCode] = &[
    code("0", "success"),
    code("1", "failure, for some workers or for all"),
    UNREACHABLE,
    code(
        "124",
        "invalid command line, environment variable, configuration file or cap file",
    ),
    INTERNAL,
    code(
        "129, 130, 143",
        "a signal (SIGHUP, SIGINT, SIGTERM) ended the wait; a message lists what remains in effect",
    ),
];

const OBUILDER: &[ExitCode] = &[
    code("0", "success"),
    code("1", "failure"),
    USAGE,
    INTERNAL,
    code(
        "129, 130, 143",
        "cancelled by a signal (SIGHUP, SIGINT, SIGTERM)",
    ),
    code("others", "from shell: the exit code of its command"),
];

const TOOLS: &[ExitCode] = &[
    code("0", "success"),
    code("1", "failure"),
    USAGE,
    INTERNAL,
    SECOND_SIGNAL,
];

/// Returns the exit codes of a program.
pub fn of(program: &str) -> &'static [ExitCode] {
    match program {
        "ocluster-scheduler" => SCHEDULER,
        "ocluster-worker" => WORKER,
        "ocluster-client" => CLIENT,
        "ocluster-admin" => ADMIN,
        "obuilder" => OBUILDER,
        _ => TOOLS,
    }
}

/// Returns the section about them in the help of a program.
pub fn help(program: &str) -> String {
    let lines = of(program)
        .iter()
        .map(|ExitCode { code, meaning }| format!("\n  {code:<15}{meaning}"));
    format!("Exit codes:{}", lines.collect::<String>())
}
