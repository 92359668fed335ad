//! The positional arguments of each command, from its usage line.
//!
//! Commands take them as one hidden list, because a cap file that is given with `-c` moves the others up by one (see
//! [`crate::capability_args`]). Completion, pages of the manual and the reference need to know each by itself, and get it here.

use clap::{Arg, ArgAction, Command, ValueHint};

/// The list of those commands.
pub const LIST: &str = "positionals";

/// What the names in usage lines mean.
const KNOWN: &[(&str, &str)] = &[
    ("CAP", "Cap file, unless --connect gives one"),
    ("POOL", "Name of a pool"),
    ("WORKER", "Name of a worker of the pool"),
    ("ID", "Name of a client"),
    ("RATE", "Number of jobs at once, above 0 (1 unless set)"),
    ("CMD", "Command to run, with its arguments"),
    ("URL", "Git repository of the source"),
    ("HASH", "Full hash of a commit; several are merged"),
];

/// Whether the cap file is among the positional arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapFile {
    /// It is the first of them.
    First,
    /// It is given with `--connect`.
    Connected,
}

/// Returns `command`, and the commands below it, with each positional argument spelled out in the place of their list.
pub fn spelled_out(command: Command, cap: CapFile) -> Command {
    let command = command.mut_subcommands(|below| spelled_out(below, cap));
    let mut args = of(&command)
        .into_iter()
        .filter(|positional| cap == CapFile::First || positional.name != "CAP");
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
    /// What it is.
    pub help: &'static str,
    /// Whether there may be more of it.
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

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::programs;

    /// Returns the usage of each command that has a list, and what was found in it.
    fn listed(command: &Command, lines: &mut Vec<String>) {
        if let Some(usage) = command.get_overridden_usage() {
            let usage = usage.to_string();
            let found = in_usage(&usage).into_iter().map(|positional| {
                let many = if positional.many { "..." } else { "" };
                format!("{}{many}", positional.name)
            });
            let found: Vec<String> = found.collect();
            lines.push(format!("{usage}\n    {}", found.join(" ")));
        }
        for below in command.get_subcommands() {
            listed(below, lines);
        }
    }

    #[test]
    fn usage_lines_say_what_there_is() {
        let mut lines = Vec::new();
        for program in programs::all() {
            listed(&program, &mut lines);
        }
        expect![[r#"
            ocluster-worker [OPTIONS] [CAP] --name <ID> --state-dir <PATH>
                CAP
            ocluster-client submit-docker [OPTIONS] [CAP] --pool <ID> [URL HASH...]
                CAP URL HASH...
            ocluster-client submit-obuilder [OPTIONS] [CAP] --pool <ID> --local-file <PATH> [URL HASH...]
                CAP URL HASH...
            ocluster-client submit-custom [OPTIONS] [CAP] --pool <ID> --kind <KIND> [URL HASH...]
                CAP URL HASH...
            ocluster-admin show [OPTIONS] [CAP] [POOL] [WORKER]
                CAP POOL WORKER
            ocluster-admin pause [OPTIONS] [CAP] <POOL> [WORKER]
                CAP POOL WORKER
            ocluster-admin unpause [OPTIONS] [CAP] <POOL> [WORKER]
                CAP POOL WORKER
            ocluster-admin pause-worker [OPTIONS] [CAP] <POOL> [WORKER]
                CAP POOL WORKER
            ocluster-admin unpause-worker [OPTIONS] [CAP] <POOL> [WORKER]
                CAP POOL WORKER
            ocluster-admin drain [OPTIONS] [CAP] <POOL> [WORKER]
                CAP POOL WORKER
            ocluster-admin cancel [OPTIONS] [CAP] <POOL> <NUMBER>...
                CAP POOL
            ocluster-admin update [OPTIONS] [CAP] <POOL> [WORKER]
                CAP POOL WORKER
            ocluster-admin add-client [OPTIONS] [CAP] <ID>
                CAP ID
            ocluster-admin remove-client [OPTIONS] [CAP] <ID>
                CAP ID
            ocluster-admin list-clients [OPTIONS] [CAP]
                CAP
            ocluster-admin set-rate [OPTIONS] [CAP] <POOL> <ID> <RATE>
                CAP POOL ID RATE
            ocluster-admin forget [OPTIONS] [CAP] <POOL> [WORKER]
                CAP POOL WORKER
            ocluster-admin exec [OPTIONS] [CAP] <POOL> [--] <CMD>...
                CAP POOL CMD..."#]].assert_eq(&lines.join("\n"));
    }

    #[test]
    fn spelled_out_they_are_sound() {
        for cap in [CapFile::First, CapFile::Connected] {
            for program in programs::all() {
                spelled_out(program, cap).debug_assert();
            }
        }
    }
}
