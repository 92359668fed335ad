//! How the programs end: the table that their help, their manual pages and the reference show.

/// An exit code of a program, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitCode {
    /// The code: a number, or a few.
    pub code: &'static str,
    /// When the program ends with it.
    pub meaning: &'static str,
}

const fn code(code: &'static str, meaning: &'static str) -> ExitCode {
    ExitCode { code, meaning }
}

const USAGE: ExitCode = code(
    "124",
    "the command line, a variable or the configuration file makes no sense",
);

const INTERNAL: ExitCode = code(
    "125",
    "something happened that this program did not foresee: a defect",
);

const SECOND_SIGNAL: ExitCode = code(
    "129, 130, 143",
    "a second signal (SIGHUP, SIGINT, SIGTERM) ended it at once",
);

const SCHEDULER: &[ExitCode] = &[
    code("0", "a signal ended it, and everything is saved"),
    code("1", "it could not start"),
    USAGE,
    INTERNAL,
    SECOND_SIGNAL,
];

const WORKER: &[ExitCode] = &[
    code(
        "0",
        "a signal ended it, and no job is running any more that could be stopped",
    ),
    code(
        "1",
        "it could not start; or it was updated, and is to be started again",
    ),
    USAGE,
    INTERNAL,
    SECOND_SIGNAL,
];

const UNREACHABLE: ExitCode = code("69", "there is no connection to the scheduler");

const CLIENT: &[ExitCode] = &[
    code("0", "the job succeeded"),
    code("1", "the build failed, or took longer than it may"),
    UNREACHABLE,
    code(
        "75",
        "the job was lost, its worker unfit, or the scheduler overloaded: submit it again",
    ),
    code(
        "124",
        "a mistake in the command line, a variable, the configuration file, pool or cap file",
    ),
    INTERNAL,
    code(
        "129, 130, 143",
        "a signal (SIGHUP, SIGINT, SIGTERM) cancelled the job; 130: or somebody else",
    ),
];

const ADMIN: &[ExitCode] = &[
    code("0", "it is done"),
    code("1", "it could not be done, or not for every worker"),
    UNREACHABLE,
    code(
        "124",
        "a mistake in the command line, a variable, the configuration file or the cap file",
    ),
    INTERNAL,
    code(
        "129, 130, 143",
        "a signal (SIGHUP, SIGINT, SIGTERM) ended the waiting; it says what stays in force",
    ),
];

const OBUILDER: &[ExitCode] = &[
    code("0", "all went well"),
    code("1", "something failed"),
    USAGE,
    INTERNAL,
    code(
        "129, 130, 143",
        "a signal (SIGHUP, SIGINT, SIGTERM) cancelled it",
    ),
    code("others", "of shell: how its command ended"),
];

const TOOLS: &[ExitCode] = &[
    code("0", "all went well"),
    code("1", "something failed"),
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

/// Returns what the help of a program says about them.
pub fn help(program: &str) -> String {
    let lines = of(program)
        .iter()
        .map(|ExitCode { code, meaning }| format!("\n  {code:<15}{meaning}"));
    format!("Exit codes:{}", lines.collect::<String>())
}
