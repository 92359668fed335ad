//! The options of a program, from its command line's definition: a new option has a variable and a key at once.

use clap::{Arg, ArgAction, Command};

/// What the name of each variable begins with.
pub(crate) const PREFIX: &str = "OCLUSTER_";

/// The option that names the file, which therefore cannot be set in it.
pub(crate) const FILE_OPTION: &str = "config";

/// The option that shows where each value came from.
pub(crate) const PRINT_OPTION: &str = "print-config";

/// An option, and the ways to set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigOption {
    /// The program that has it.
    pub program: String,
    /// The command that has it, word by word, which is also the name of its table in the file. Empty for an option of
    /// the program itself, which may be given before or after the command.
    pub command: Vec<String>,
    /// The flag: `--state-dir`.
    pub flag: String,
    /// Its one-letter form.
    pub short: Option<char>,
    /// The variable: `OCLUSTER_STATE_DIR`.
    pub env: String,
    /// The key in the file: `state-dir`. `None` for the option that names the file.
    pub key: Option<String>,
    /// What it takes.
    pub kind: OptionKind,
    /// The name of its value in the help: `PATH`.
    pub value_name: Option<String>,
    /// The default; several values are separated by commas.
    pub default: Option<String>,
    /// Whether it is required.
    pub required: bool,
    /// The help, in plain text.
    pub help: String,
    /// The heading of its section in the help, if it is not the usual one.
    pub heading: Option<String>,
}

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionKind {
    /// Nothing: it is set or not. `true` or `false` in the file.
    Flag,
    /// Nothing, but it may be repeated. A number in the file.
    Count,
    /// One value.
    Value,
    /// Several values, by repetition or with this between them. A list in the file.
    List {
        /// What separates values in one word or variable. `None` for a line break, in a variable only.
        separator: Option<char>,
    },
}

impl ConfigOption {
    /// Returns all options of a program.
    pub fn all_of(program: &Command) -> Vec<Self> {
        let mut program = program.clone();
        // clap fills in the derived properties.
        program.build();
        let mut options = Vec::new();
        collect(&program, program.get_name(), &[], &mut options);
        options
    }

    /// Returns its name, which is its flag without the dashes.
    pub(crate) fn name(&self) -> &str {
        self.flag.trim_start_matches('-')
    }
}

fn collect(command: &Command, program: &str, path: &[String], options: &mut Vec<ConfigOption>) {
    for arg in own_options(command, path) {
        let Some(long) = arg.get_long() else { continue };
        // Printing the configuration is no setting.
        if long == PRINT_OPTION {
            continue;
        }
        options.push(ConfigOption {
            program: program.to_owned(),
            command: path.to_vec(),
            flag: format!("--{long}"),
            short: arg.get_short(),
            env: variable(long),
            key: (long != FILE_OPTION).then(|| long.to_owned()),
            kind: kind(arg),
            value_name: value_name(arg),
            default: default(arg),
            required: arg.is_required_set(),
            help: help(arg),
            heading: arg.get_help_heading().map(str::to_owned),
        });
    }
    for sub in commands(command) {
        let path: Vec<String> = path
            .iter()
            .cloned()
            .chain([sub.get_name().to_owned()])
            .collect();
        collect(sub, program, &path, options);
    }
}

/// Returns the commands of a command, without clap's own `help`.
pub(crate) fn commands(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help")
}

/// Returns the options that are given at `command`, to which `path` leads. Those of the whole program are at its top.
pub(crate) fn own_options<'a>(
    command: &'a Command,
    path: &[String],
) -> impl Iterator<Item = &'a Arg> + use<'a> {
    let is_inner = !path.is_empty();
    command.get_arguments().filter(move |arg| {
        let is_help = matches!(
            arg.get_action(),
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
        );
        let is_global = is_inner && arg.is_global_set();
        arg.get_long().is_some() && !is_help && !is_global
    })
}

/// Returns the variable for an option.
pub(crate) fn variable(long: &str) -> String {
    format!("{PREFIX}{}", long.replace('-', "_").to_uppercase())
}

pub(crate) fn kind(arg: &Arg) -> OptionKind {
    let separator = arg.get_value_delimiter();
    match arg.get_action() {
        ArgAction::SetTrue | ArgAction::SetFalse => OptionKind::Flag,
        ArgAction::Count => OptionKind::Count,
        ArgAction::Append => OptionKind::List { separator },
        _ if separator.is_some() => OptionKind::List { separator },
        _ => OptionKind::Value,
    }
}

fn value_name(arg: &Arg) -> Option<String> {
    if matches!(kind(arg), OptionKind::Flag | OptionKind::Count) {
        return None;
    }
    let name = arg.get_value_names()?.first()?;
    Some(name.to_string())
}

fn default(arg: &Arg) -> Option<String> {
    if matches!(kind(arg), OptionKind::Flag | OptionKind::Count) {
        return None;
    }
    let values = arg.get_default_values();
    let values: Vec<_> = values.iter().map(|value| value.to_string_lossy()).collect();
    (!values.is_empty()).then(|| values.join(","))
}

fn help(arg: &Arg) -> String {
    let text = arg.get_long_help().or(arg.get_help());
    text.map(ToString::to_string).unwrap_or_default()
}
