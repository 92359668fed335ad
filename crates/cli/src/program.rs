//! The frame of all programs: parse the command line, run on one thread, and exit with a code.

use std::ffi::OsString;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches as _, Parser};

use crate::completion;
use crate::config::{self, ConfigSources, Settings, closest};
use crate::error::{CommandError, Kind};
use crate::logging::{APPLICATION, LogFormat, LoggingArgs};
use crate::{appearance, exit_codes, open_files, output, private_memory};

/// The widest help, on wide terminals.
const HELP_WIDTH: usize = 100;

/// Options of upstream's programs that ours do not support yet, with the reason to print.
const UNSUPPORTED_OPTIONS: &[(&str, &str)] = &[
    ("--docker-cpus", DOCKER_STORE),
    ("--docker-memory", DOCKER_STORE),
    ("--docker-network", DOCKER_STORE),
    ("--docker-isolation", DOCKER_STORE),
    ("--qemu-boot-time", QEMU_STORE),
    ("--qemu-cpus", QEMU_STORE),
    ("--qemu-guest-arch", QEMU_STORE),
    ("--qemu-guest-os", QEMU_STORE),
    ("--qemu-memory", QEMU_STORE),
    ("--hcs-ctr-path", HCS_STORE),
    ("--hcs-hcn-namespace-path", HCS_STORE),
];

const DOCKER_STORE: &str = "there are no docker: stores";

const QEMU_STORE: &str = "there are no qemu: stores";

const HCS_STORE: &str = "there are no hcs: stores";

/// Parses the command line, runs `main` on one thread, and reports its error.
///
/// An error of `main` becomes the exit code.
pub fn run<A, M, F>(name: &'static str, main: M) -> ExitCode
where
    A: Parser + CommandFactory,
    M: FnOnce(A) -> F,
    F: Future<Output = Result<(), CommandError>>,
{
    if completion::answer(|| command::<A>(name)) {
        return ExitCode::SUCCESS;
    }
    let preparations = [
        private_memory::forbid_reading(),
        private_memory::forbid_core_files(),
        open_files::raise_limit(),
    ];
    let sources = ConfigSources::of_this_process();
    let (args, format) = match parse::<A>(name, std::env::args_os(), &sources) {
        Ok(parsed) => parsed,
        Err(not_parsed) => {
            let outcome = match not_parsed {
                NotParsed::Answered(text) => crate::print::print(&text),
                NotParsed::Refused(error) => Err(error),
            };
            return finish(name, &ErrorFormat::unparsed(), outcome);
        }
    };
    format.logging.scoped(|| {
        for problem in preparations.into_iter().filter_map(Result::err) {
            tracing::debug!("{problem}");
        }
    });
    // A panic is a bug of ours. The default hook has printed where; only the exit code is left.
    let outcome =
        std::panic::catch_unwind(AssertUnwindSafe(|| crate::runtime::block_on(main(args))))
            .unwrap_or_else(|_| Err(CommandError::internal("this is a bug; please report it")));
    finish(name, &format, outcome)
}

/// Why there are no arguments to run with.
#[derive(Debug)]
pub enum NotParsed {
    /// The user asked for help or the version: print this on standard output and succeed.
    Answered(String),
    /// The command line is invalid.
    Refused(CommandError),
}

/// Returns the command line that the program `name` takes.
pub fn command<A: CommandFactory>(name: &'static str) -> clap::Command {
    let program = A::command()
        .name(name)
        .bin_name(name)
        .infer_subcommands(true)
        .infer_long_args(true)
        .max_term_width(HELP_WIDTH)
        .after_long_help(format!("{}\n\n{}", config::HELP, exit_codes::help(name)));
    config::with_options(program)
}

/// Parses a command line by the rules of all programs: unambiguous prefixes of commands and long options are accepted,
/// as in upstream; and options that are not on it may be in the environment or in a file.
///
/// # Errors
/// If the command line is invalid, or only asks for help.
pub fn parse<A: Parser + CommandFactory>(
    name: &'static str,
    args: impl IntoIterator<Item = OsString>,
    sources: &ConfigSources,
) -> Result<(A, ErrorFormat), NotParsed> {
    let args: Vec<OsString> = args.into_iter().map(plain_help).collect();
    let mut program = command::<A>(name);
    program.build();
    let refused = |error: &clap::Error| not_parsed::<A>(error);
    let (matches, missing) = match program.clone().try_get_matches_from(&args) {
        Ok(matches) => (matches, None),
        // Missing options may be given elsewhere. A command line with this error has no other.
        Err(error) if is_incomplete(&error) => {
            let lenient = command::<A>(name).ignore_errors(true);
            let matches = lenient.try_get_matches_from(&args);
            (matches.map_err(|error| refused(&error))?, Some(error))
        }
        Err(error) => return Err(refused(&error)),
    };
    let settings = Settings::gather(&program, &matches, sources).map_err(NotParsed::Refused)?;
    if settings.to_print {
        return Err(NotParsed::Answered(config::page(&settings)));
    }
    let complete = match missing {
        None if settings.are_all_flags() => Ok(matches),
        Some(error) if settings.are_all_flags() => Err(error),
        _ => program
            .clone()
            .try_get_matches_from(settings.command_line()),
    };
    let mut matches = complete.map_err(|error| refused(&error))?;
    // Every program has these options, and some messages are printed before or after it runs.
    let logging = LoggingArgs::from_arg_matches(&matches).map_err(|error| refused(&error))?;
    appearance::set_colour(logging.color);
    logging.scoped(|| {
        for warning in &settings.warnings {
            tracing::warn!(target: APPLICATION, "{warning}");
        }
    });
    let args = A::from_arg_matches_mut(&mut matches).map_err(|error| refused(&error))?;
    let json = output::asks_for_json(settings.command_line());
    Ok((args, ErrorFormat { logging, json }))
}

fn is_incomplete(error: &clap::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand
    )
}

/// Returns the error that clap found, or the requested text.
fn not_parsed<A: CommandFactory>(error: &clap::Error) -> NotParsed {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            NotParsed::Answered(error.to_string())
        }
        ErrorKind::InvalidSubcommand => NotParsed::Refused(unknown_command::<A>(error)),
        _ => NotParsed::Refused(refusal(error)),
    }
}

/// Upstream's `--help` takes an optional format. Ours is always plain text.
fn plain_help(arg: OsString) -> OsString {
    let formatted = arg.to_str().is_some_and(|arg| arg.starts_with("--help="));
    if formatted { "--help".into() } else { arg }
}

/// Returns the error for an unknown or ambiguous command.
fn unknown_command<A: CommandFactory>(error: &clap::Error) -> CommandError {
    let given = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(given)) => given.as_str(),
        _ => "",
    };
    let command = A::command();
    let names: Vec<String> = command
        .get_subcommands()
        .map(clap::Command::get_name)
        .filter(|name| name.starts_with(given))
        .map(|name| format!("'{name}'"))
        .collect();
    if names.is_empty() {
        return unknown_with_hint(error, given);
    }
    let names = names.join(" or ");
    CommandError::usage(format_args!(
        "command '{given}' ambiguous and could be either {names}"
    ))
}

/// Returns the error for an unknown command, with the most similar one as a hint.
fn unknown_with_hint(error: &clap::Error, given: &str) -> CommandError {
    let unknown = CommandError::usage(format_args!("unknown command '{given}'"));
    let alike = match error.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::String(one)) => std::slice::from_ref(one),
        Some(ContextValue::Strings(several)) => several.as_slice(),
        _ => &[],
    };
    match closest(given, alike.iter().map(String::as_str)) {
        Some(meant) => unknown.hint(format_args!("did you mean '{meant}'?")),
        None => unknown,
    }
}

/// Returns the error for an invalid command line.
fn refusal(error: &clap::Error) -> CommandError {
    if let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg)
        && error.kind() == ErrorKind::UnknownArgument
        && let Some((option, why)) = UNSUPPORTED_OPTIONS
            .iter()
            .find(|(known, _)| known == option)
    {
        return CommandError::usage(format_args!(
            "option '{option}' is not supported yet: {why}"
        ))
        .hint("start it without this option");
    }
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    // Our own last line, the same for every program, names the help.
    let text = text
        .split("\n\nFor more information")
        .next()
        .unwrap_or(text);
    CommandError::usage(text.trim_end())
}

/// The form in which a failure is reported.
pub struct ErrorFormat {
    logging: LoggingArgs,
    /// Whether the output is JSON, for a program.
    json: bool,
}

impl ErrorFormat {
    /// Returns the form for an invalid command line.
    fn unparsed() -> Self {
        Self {
            logging: LoggingArgs::default(),
            json: output::asks_for_json(std::env::args_os()),
        }
    }
}

/// Reports a failure, and returns the exit code.
fn finish(name: &'static str, format: &ErrorFormat, outcome: Result<(), CommandError>) -> ExitCode {
    let Err(error) = outcome else {
        return ExitCode::SUCCESS;
    };
    let code = error.kind.exit_code();
    if error.kind != Kind::OutputClosed {
        match format.logging.log_format {
            LogFormat::Text => crate::print::print_error(&error.render(name)),
            // With JSON log lines, the error is one too.
            LogFormat::Json => format.logging.scoped(|| log_failure(&error)),
        }
        if format.json {
            output::print_failure(&error);
        }
    }
    ExitCode::from(code)
}

fn log_failure(error: &CommandError) {
    let CommandError {
        kind,
        message,
        hints,
    } = error;
    if !message.is_empty() {
        let hint = (!hints.is_empty()).then(|| hints.join("; "));
        tracing::error!(target: APPLICATION, exit_code = kind.exit_code(), hint, "{message}");
    }
}
