//! A configuration file: the options of one program as keys, those of its commands also in tables of their names.
//!
//! All of it is checked when it is read, whichever command is run, so that mistakes show early.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::Command;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::known;
use super::options::{self, ConfigOption};
use super::spelling;
use super::value::{self, Value};
use crate::error::CommandError;

/// The directory of the files that are read by default.
pub(crate) const DIRECTORY: &str = "/etc/ocluster";

/// The directory is the administrator's: a program reads only the file of its own name from it.
pub(crate) fn default_file(directory: &Path, program: &str) -> PathBuf {
    let name = program.strip_prefix("ocluster-").unwrap_or(program);
    directory.join(format!("{name}.toml"))
}

/// A parsed file.
#[derive(Debug, Default)]
pub(crate) struct File {
    path: PathBuf,
    entries: BTreeMap<Key, Entry>,
}

/// A key, with the table that it is in.
type Key = (Vec<String>, String);

/// The value of one key.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) value: Value,
    pub(crate) place: Place,
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    path: PathBuf,
    line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

impl File {
    /// Parses `text`, which is in the file `path`, as options of `program`.
    pub(crate) fn parse(path: &Path, text: &str, program: &Command) -> Result<Self, CommandError> {
        let document = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            CommandError::usage(format_args!(
                "{}:{line}: {}",
                path.display(),
                error.message()
            ))
        })?;
        let options = ConfigOption::all_of(program);
        let mut reader = Reader {
            path,
            text,
            program,
            options: &options,
            entries: BTreeMap::new(),
        };
        reader.table(program, &[], document.get_ref())?;
        Ok(Self {
            path: path.to_owned(),
            entries: reader.entries,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the value of an option of the command `path`: from its own table, or else from one around it.
    pub(crate) fn find(&self, path: &[String], key: &str) -> Option<&Entry> {
        (0..=path.len()).rev().find_map(|depth| {
            let table = path.get(..depth)?.to_vec();
            self.entries.get(&(table, key.to_owned()))
        })
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    program: &'a Command,
    options: &'a [ConfigOption],
    entries: BTreeMap<Key, Entry>,
}

impl Reader<'_> {
    fn table(
        &mut self,
        command: &Command,
        path: &[String],
        table: &DeTable<'_>,
    ) -> Result<(), CommandError> {
        for (key, value) in table {
            let place = self.place(key);
            let name: &str = key.get_ref();
            let sub = options::commands(command).find(|sub| sub.get_name() == name);
            match (sub, value.get_ref()) {
                (Some(sub), DeValue::Table(inner)) => {
                    let path: Vec<String> = path.iter().cloned().chain([name.to_owned()]).collect();
                    self.table(sub, &path, inner)?;
                }
                _ => self.entry(path, name, &place, value.get_ref())?,
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        path: &[String],
        name: &str,
        place: &Place,
        value: &DeValue<'_>,
    ) -> Result<(), CommandError> {
        // A key in the table of a command, or of the program, applies to every command inside that has the option.
        let meant: Vec<&ConfigOption> = self
            .options
            .iter()
            .filter(|option| option.key.as_deref() == Some(name))
            .filter(|option| option.command.starts_with(path))
            .collect();
        let Some(first) = meant.first() else {
            return Err(self.unknown(path, name, place, value));
        };
        let read = Value::from_toml(value, first.kind)
            .map_err(|why| CommandError::usage(format_args!("{place}: {name} is {why}")))?;
        for option in &meant {
            self.check(option, &read)
                .map_err(|why| CommandError::usage(format_args!("{place}: {why}")))?;
        }
        let entry = Entry {
            value: read,
            place: place.clone(),
        };
        self.entries.insert((path.to_vec(), name.to_owned()), entry);
        Ok(())
    }

    /// Checks the value with the option's own parser.
    fn check(&self, option: &ConfigOption, value: &Value) -> Result<(), String> {
        let command = option
            .command
            .iter()
            .try_fold(self.program, |command, word| command.find_subcommand(word));
        let arg = command.and_then(|command| {
            command
                .get_arguments()
                .find(|arg| arg.get_long() == Some(option.name()))
        });
        arg.map_or(Ok(()), |arg| {
            value::check(arg, value, &format!(" for '{}'", option.name()))
        })
    }

    fn unknown(
        &self,
        path: &[String],
        name: &str,
        place: &Place,
        value: &DeValue<'_>,
    ) -> CommandError {
        let program = self.program.get_name();
        let what = if value.is_table() { "table" } else { "key" };
        let error = CommandError::usage(format_args!("{place}: unknown {what} '{name}'"));
        let has_key = |option: &&ConfigOption| option.key.as_deref() == Some(name);
        if let Some(option) = self.options.iter().find(has_key) {
            let table = option.command.join(".");
            return error.hint(if table.is_empty() {
                format!("'{name}' applies to the whole program; put it before the first table")
            } else {
                format!("put '{name}' in the table [{table}], or before the first table")
            });
        }
        let inside = self
            .options
            .iter()
            .filter(|option| option.command.starts_with(path));
        let keys = inside.clone().filter_map(|option| option.key.as_deref());
        let tables = inside.filter_map(|option| option.command.get(path.len()));
        let meant = if value.is_table() {
            spelling::closest(name, tables.map(String::as_str))
        } else {
            spelling::closest(name, keys)
        };
        if let Some(meant) = meant {
            return error.hint(format_args!("did you mean '{meant}'?"));
        }
        let elsewhere = known::options();
        if let Some(option) = elsewhere.iter().find(|option| option.key() == Some(name)) {
            return error.hint(format_args!(
                "it is an option of {}; put it in that program's file",
                option.program
            ));
        }
        error.hint(format_args!("'{program} --print-config' lists all keys"))
    }

    fn place<T>(&self, item: &Spanned<T>) -> Place {
        Place {
            path: self.path.to_owned(),
            line: line_of(self.text, item.span().start),
        }
    }
}
