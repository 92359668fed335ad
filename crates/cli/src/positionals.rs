//! The positional arguments of each command, from its usage line.
//!
//! Commands take them as one hidden list, because a cap file that is given with `-c` moves the others up by one (see
//! [`capability_args`](crate::capability_args)). Completion, manual pages and the reference get each one by itself from
//! here.

use clap::{Arg, ArgAction, Command, ValueHint};

/// The list of those commands.
pub(crate) const LIST: &str = "positionals";

/// The names in usage lines, and their help.
const KNOWN: &[(&str, &str)] = &[
    ("CAP", "Cap file, unless --connect gives one"),
    ("POOL", "Name of a pool"),
    ("WORKER", "Name of a worker of the pool"),
    ("ID", "Name of a client"),
    ("JOB", "Id of a job, or the beginning of it"),
    ("RATE", "Number of jobs at once, above 0 (1 unless set)"),
    ("CMD", "Command to run, with its arguments"),
    ("URL", "Git repository of the source"),
    ("HASH", "Full hash of a commit; several are merged"),
    (
        "NUMBER",
        "Number of a job, as show and the scheduler's log print it",
    ),
];

/// How the cap file is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapFileForm {
    /// As the first positional argument.
    Argument,
    /// With the option `--connect`.
    Option,
}

/// Returns `command`, and the commands below it, with each positional argument spelled out in the place of their list.
pub fn spelled_out(command: Command, cap: CapFileForm) -> Command {
    let command = command.mut_subcommands(|below| spelled_out(below, cap));
    let mut args = of(&command)
        .into_iter()
        .filter(|positional| cap == CapFileForm::Argument || positional.name != "CAP");
    let Some(first) = args.next() else {
        return command;
    };
    let command = command.mut_arg(LIST, |list| first.describe(list.hide(false)));
    args.fold(command, |command, next| {
        command.arg(next.describe(Arg::new(next.name)))
    })
}

/// A positional argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Positional {
    /// The name it has in usage lines.
    pub name: &'static str,
    /// Its help.
    pub help: &'static str,
    /// Whether it may be repeated.
    pub many: bool,
}

/// Returns the positional arguments of a command that takes them as a list, and nothing for others.
pub fn of(command: &Command) -> Vec<Positional> {
    if !command.get_positionals().any(|arg| arg.get_id() == LIST) {
        return Vec::new();
    }
    let usage = command.get_overridden_usage().map(ToString::to_string);
    in_usage(usage.as_deref().unwrap_or_default())
}

impl Positional {
    fn describe(self, arg: Arg) -> Arg {
        let hint = match self.name {
            "CAP" => ValueHint::FilePath,
            _ => ValueHint::Other,
        };
        let arg = arg.value_name(self.name).help(self.help).value_hint(hint);
        match self.many {
            true => arg.num_args(1..).action(ArgAction::Append),
            false => arg.num_args(1).action(ArgAction::Set),
        }
    }
}

/// Reads a line such as `prog command [OPTIONS] [CAP] --pool <ID> [URL HASH...]`.
fn in_usage(usage: &str) -> Vec<Positional> {
    let mut words = usage
        .split_whitespace()
        .skip_while(|word| *word != "[OPTIONS]")
        .skip(1);
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        if word.starts_with("--") {
            // An option that must be given, and its value.
            let _value = words.next();
            continue;
        }
        let name = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        if let Some(&(name, help)) = KNOWN.iter().find(|(known, _)| *known == name) {
            found.push(Positional {
                name,
                help,
                many: word.contains("..."),
            });
        }
    }
    found
}
