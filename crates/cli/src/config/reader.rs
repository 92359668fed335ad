//! Reads the value of each option from the first source that has it.

use std::ffi::{OsStr, OsString};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use super::file::File;
use super::level::{self, Level, Setting};
use super::options::{self, FILE_OPTION, OptionKind, PRINT_OPTION};
use super::sources::{ConfigSources, Source};
use super::value::{self, Value};
use crate::error::CommandError;

/// Reads values from their sources.
pub(super) struct Reader<'r> {
    pub(super) sources: &'r ConfigSources,
    pub(super) file: Option<&'r File>,
}

impl Reader<'_> {
    /// Returns the options of `command`, to which `path` leads. Without `matches`, it is not on the command line.
    pub(super) fn level<'a>(
        &self,
        command: &'a Command,
        path: &[String],
        matches: Option<&ArgMatches>,
    ) -> Result<Level<'a>, CommandError> {
        let settable = |arg: &&Arg| !matches!(arg.get_long(), Some(FILE_OPTION | PRINT_OPTION));
        let settings = options::own_options(command, path)
            .filter(settable)
            .map(|arg| self.setting(arg, path, matches));
        let mut positionals: Vec<&Arg> = command.get_positionals().collect();
        positionals.sort_by_key(|arg| arg.get_index());
        let positionals = positionals.into_iter().flat_map(|arg| {
            let given = matches.and_then(|matches| raw(matches, arg));
            given.unwrap_or_default()
        });
        Ok(Level {
            path: path.to_vec(),
            settings: settings.collect::<Result<_, _>>()?,
            command,
            positionals: positionals.collect(),
        })
    }

    /// Adds all commands of a command, of which none was chosen.
    pub(super) fn commands_of<'a>(
        &self,
        command: &'a Command,
        path: &[String],
        levels: &mut Vec<Level<'a>>,
    ) -> Result<(), CommandError> {
        for sub in options::commands(command) {
            let path: Vec<String> = path
                .iter()
                .cloned()
                .chain([sub.get_name().to_owned()])
                .collect();
            levels.push(self.level(sub, &path, None)?);
            self.commands_of(sub, &path, levels)?;
        }
        Ok(())
    }

    fn setting<'a>(
        &self,
        arg: &'a Arg,
        path: &[String],
        matches: Option<&ArgMatches>,
    ) -> Result<Setting<'a>, CommandError> {
        let name = arg.get_long().unwrap_or_default();
        let (value, source) = match self.first_value(arg, name, path, matches)? {
            Some((value, source)) => (Some(value), source),
            None => (level::default(arg), Source::Default),
        };
        Ok(Setting {
            arg,
            name,
            value,
            source,
        })
    }

    /// Returns the value of an option from the first source that has it.
    fn first_value(
        &self,
        arg: &Arg,
        name: &str,
        path: &[String],
        matches: Option<&ArgMatches>,
    ) -> Result<Option<(Value, Source)>, CommandError> {
        if let Some(value) = matches.and_then(|matches| flag(matches, arg)) {
            return Ok(Some((value, Source::Flag)));
        }
        let variable = options::variable(name);
        if let Some(value) = self.sources.variable(&variable) {
            let read = Value::from_variable(value.clone(), options::kind(arg));
            let read = read.and_then(|value| value::check(arg, &value, "").map(|()| value));
            let value = read
                .map_err(|why| CommandError::usage(format_args!("variable {variable}: {why}")))?;
            return Ok(Some((value, Source::Variable(variable))));
        }
        let entry = self.file.and_then(|file| file.find(path, name));
        Ok(entry.map(|entry| (entry.value.clone(), Source::File(entry.place.clone()))))
    }
}

fn raw(matches: &ArgMatches, arg: &Arg) -> Option<Vec<OsString>> {
    let id = arg.get_id().as_str();
    if matches.value_source(id) != Some(ValueSource::CommandLine) {
        return None;
    }
    let words = matches.get_raw(id)?;
    Some(words.map(OsStr::to_owned).collect())
}

fn flag(matches: &ArgMatches, arg: &Arg) -> Option<Value> {
    let id = arg.get_id().as_str();
    let words = raw(matches, arg)?;
    Some(match options::kind(arg) {
        OptionKind::Flag => Value::Flag(true),
        OptionKind::Count => Value::Count(matches.get_count(id)),
        OptionKind::Value | OptionKind::List { .. } => Value::Words(words),
    })
}
