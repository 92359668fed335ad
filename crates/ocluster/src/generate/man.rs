//! `ocluster generate man`: the pages of the manual, one for each program and each command.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::reference;
use cli::config;
use cli::error::CommandError;
use cli::exit_codes;
use cli::positionals;

/// Write the manual pages, one for each program and each command
///
/// Their date is today, or that of SOURCE_DATE_EPOCH.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Directory to write to, created if missing
    dir: PathBuf,
}

/// The section of the manual for programs.
const SECTION: &str = "1";

pub(super) fn run(args: &Args) -> Result<(), CommandError> {
    let (dir, date) = (&args.dir, date());
    fs::create_dir_all(dir).map_err(|error| not_written(dir, &error))?;
    for program in reference::commands() {
        let mut program = program.disable_help_subcommand(true);
        program.build();
        write(&program, None, &date, dir)?;
    }
    Ok(())
}

/// Returns the date on the pages: today, or the one that makers of packages set so that all their builds are the same.
fn date() -> String {
    let set = std::env::var("SOURCE_DATE_EPOCH").ok();
    let seconds = set.and_then(|seconds| seconds.parse().ok());
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    let time = time.unwrap_or_else(Timestamp::now);
    time.to_zoned(TimeZone::UTC).date().to_string()
}

fn write(
    command: &Command,
    above: Option<&str>,
    date: &str,
    dir: &Path,
) -> Result<(), CommandError> {
    for below in command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
    {
        write(below, Some(name(command)), date, dir)?;
    }
    let path = dir.join(format!("{}.{SECTION}", name(command)));
    let page = page(command, above, date).map_err(CommandError::caused)?;
    fs::write(&path, page).map_err(|error| not_written(&path, &error))
}

fn not_written(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::failed(format_args!("cannot write {}: {error}", path.display()))
}

/// Returns the name of a command's page, such as `ocluster-admin-show`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

/// Returns the page of a command, which belongs to the one `above` it.
fn page(command: &Command, above: Option<&str>, date: &str) -> std::io::Result<Vec<u8>> {
    let version = concat!("ocluster ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone())
        .title(name(command).to_uppercase())
        .section(SECTION)
        .date(date)
        .source(version)
        .manual("OCluster");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    let mut arguments = Roff::new();
    let described = positionals::of(command).into_iter();
    let described: Vec<(&str, &str)> = described.map(|one| (one.name, one.help)).collect();
    list(&mut arguments, "ARGUMENTS", &described);
    arguments.to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let program = command.get_bin_name().unwrap_or_default();
    let program = program.split(' ').next().unwrap_or_default();
    let mut rest = Roff::new();
    let codes = exit_codes::of(program).iter();
    let codes: Vec<(&str, &str)> = codes.map(|code| (code.code, code.meaning)).collect();
    list(&mut rest, "EXIT STATUS", &codes);
    let variables = [&[ANY_OPTION], environment(program)].concat();
    list(&mut rest, "ENVIRONMENT", &variables);
    let options = config::default_file(program).display().to_string();
    let options = (
        options.as_str(),
        "The configuration file, if it exists and --config gives no other.",
    );
    list(&mut rest, "FILES", &[&[options], files(program)].concat());
    let see_also = above.into_iter().chain(related(program).iter().copied());
    let pages: Vec<String> = see_also.map(|name| format!("{name}({SECTION})")).collect();
    rest.control("SH", ["SEE ALSO"]);
    rest.text([roman(pages.join(", "))]);
    rest.to_writer(&mut page)?;
    Ok(page)
}

/// Adds a section of things and what they mean.
fn list(roff: &mut Roff, title: &str, entries: &[(&str, &str)]) {
    if entries.is_empty() {
        return;
    }
    roff.control("SH", [title]);
    for (thing, meaning) in entries {
        roff.control("TP", []);
        roff.text([bold(*thing)]);
        roff.text([roman(*meaning)]);
    }
}

const ANY_OPTION: (&str, &str) = (
    "OCLUSTER_OPTION",
    "Any option, in capitals and with underscores: OCLUSTER_STATE_DIR for --state-dir. An empty variable counts as \
     unset.",
);

const NO_COLOR: (&str, &str) = (
    "NO_COLOR, TERM",
    "If NO_COLOR is not empty or TERM is \"dumb\", there are no colours, not even in logs of builds, and no lines \
     redrawn by escape sequences.",
);

/// Returns the environment variables that a program uses, besides those of its options.
fn environment(program: &str) -> &'static [(&'static str, &'static str)] {
    match program {
        "ocluster-worker" => &[
            NO_COLOR,
            (
                "http_proxy, https_proxy, no_proxy",
                "Used by git. (It reads no git configuration of this machine.)",
            ),
            ("DOCKER_HOST", "The Docker engine to build with."),
        ],
        _ => &[NO_COLOR],
    }
}

const CAP_FILE: &str = "The address of the scheduler, and a secret that grants access to it.";

/// Returns the files that a user of the program should know.
fn files(program: &str) -> &'static [(&'static str, &'static str)] {
    match program {
        "ocluster-scheduler" => &[
            (
                "key.pem",
                "The scheduler's key, created if missing. All secrets in cap files are derived from it: keep a copy.",
            ),
            (
                "admin.cap, submission.cap, pool-NAME.cap",
                "Written to --secrets-dir at each start.",
            ),
            (
                "scheduler.db",
                "In --state-dir: the database of workers and clients.",
            ),
        ],
        "ocluster-worker" => &[("pool-NAME.cap", CAP_FILE)],
        "ocluster-client" => &[("submission.cap, NAME.cap", CAP_FILE)],
        "ocluster-admin" => &[("admin.cap", CAP_FILE)],
        _ => &[],
    }
}

/// Returns the pages to read next.
fn related(program: &str) -> &'static [&'static str] {
    match program {
        "ocluster-scheduler" => &["ocluster-admin", "ocluster-worker", "ocluster-client"],
        "ocluster-worker" => &["ocluster-scheduler", "ocluster-admin", "obuilder"],
        "ocluster-client" => &["ocluster-admin", "obuilder"],
        "ocluster-admin" => &["ocluster-scheduler", "ocluster-client"],
        "obuilder" => &["ocluster-worker"],
        _ => &[
            "ocluster-scheduler",
            "ocluster-worker",
            "ocluster-client",
            "ocluster-admin",
            "obuilder",
        ],
    }
}
