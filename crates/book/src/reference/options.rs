//! Every program, command, option and argument.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};
use cli::config::ConfigOption;
use cli::positionals::{self, Positional};
use ocluster::reference;

use super::markdown::{code, prose};

/// Options that every command has, and that need no explanation.
const WELL_KNOWN: &[&str] = &["help", "version"];

pub(super) fn page() -> String {
    let mut page = String::from(
        "# Options\n\n\
         Every program and command. You can abbreviate commands and long options to any unambiguous prefix. \
         Instead of a flag, you can use a variable or a key in a file ([Configuration](../configuration.md)).\n",
    );
    let options = reference::options();
    for mut program in reference::commands() {
        program.build();
        let name = program.get_name().to_owned();
        command(&mut page, &program, &name, 2, &options);
    }
    page
}

fn command(
    page: &mut String,
    command: &Command,
    name: &str,
    level: usize,
    options: &[ConfigOption],
) {
    let heading = "#".repeat(level.min(4));
    // Writing to a String cannot fail.
    let mut line = |text: String| writeln!(page, "{text}").unwrap_or_default();
    line(format!("\n{heading} {name}\n"));
    if let Some(about) = command.get_long_about().or(command.get_about()) {
        line(prose(&about.to_string()));
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim_end();
    line(format!("\n```text\n{usage}\n```"));
    for Positional { name, help, many } in positionals::of(command) {
        let dots = if many { "..." } else { "" };
        let name = format!("<{name}>{dots}");
        line(format!("\n{}\n: {}.", code(&name), prose(help)));
    }
    let is_inner = level > 2;
    let arguments = command.get_arguments().filter(|arg| {
        let is_well_known = WELL_KNOWN.contains(&arg.get_id().as_str());
        let is_listed_above = is_inner && arg.is_global_set();
        !(arg.is_hide_set() || is_well_known || is_listed_above)
    });
    for arg in arguments {
        let other_ways = other_ways(options, name, arg);
        line(format!(
            "\n{}\n: {}{other_ways}",
            code(&written(arg)),
            meaning(arg)
        ));
    }
    for inner in command
        .get_subcommands()
        .filter(|c| c.get_name() != "help" && !c.is_hide_set())
    {
        let name = format!("{name} {}", inner.get_name());
        self::command(page, inner, &name, level + 1, options);
    }
}

/// Returns the variable and the key of an option of the command `name`.
fn other_ways(options: &[ConfigOption], name: &str, arg: &Arg) -> String {
    let Some(long) = arg.get_long() else {
        return String::new();
    };
    let is_it = |option: &&ConfigOption| {
        let command = option
            .command
            .iter()
            .fold(option.program.clone(), |name, word| name + " " + word);
        command == name && option.flag.trim_start_matches('-') == long
    };
    let Some(ConfigOption { env, key, .. }) = options.iter().find(is_it) else {
        return String::new();
    };
    let key = key.as_ref().map(|key| format!(", key {}", code(key)));
    format!("\\\n  *Variable* {}{}", code(env), key.unwrap_or_default())
}

/// Returns an option as it is typed: `-c, --connect <FILE>`.
fn written(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    let takes_values = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let mut value = String::new();
    if takes_values {
        for name in names {
            value.push_str(&format!(" <{name}>"));
        }
    }
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    match (short, long) {
        (Some(short), Some(long)) => format!("{short}, {long}{value}"),
        (Some(one), None) | (None, Some(one)) => format!("{one}{value}"),
        (None, None) => value.trim_start().to_owned(),
    }
}

fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or(arg.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    // The first paragraph of a help is a phrase without a full stop.
    let help = help.replace("\n\n", ". ");
    // The paragraph of a list item continues in indented lines.
    let mut text = prose(&help).replace('\n', "\n  ");
    if !text.is_empty() && !text.ends_with(['.', ']']) {
        text.push('.');
    }
    let takes_values = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let values: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|value| takes_values && !value.is_hide_set())
        .map(|value| match value.get_help() {
            Some(help) => format!("{} ({})", code(value.get_name()), prose(&help.to_string())),
            None => code(value.get_name()),
        })
        .collect();
    if !values.is_empty() {
        text.push_str(&format!(" One of {}.", values.join(", ")));
    }
    let defaults: Vec<String> = arg
        .get_default_values()
        .iter()
        .filter(|_| takes_values)
        .map(|value| code(&value.to_string_lossy()))
        .collect();
    if !defaults.is_empty() {
        text.push_str(&format!(" Default: {}.", defaults.join(" ")));
    }
    if arg.is_required_set() {
        text.push_str(" Required.");
    }
    text
}
