//! The value of each option, and its source.

use std::ffi::OsString;

use clap::{ArgMatches, Command};

use super::configuration::Configuration;
use super::level::{Level, Setting};
use super::options::PRINT_OPTION;
use super::precedence;
use super::reader::Reader;
use super::sources::{ConfigSources, Source};
use super::unknown_variables;
use crate::error::CommandError;

/// The values of all options.
pub(crate) struct Settings<'a> {
    pub(crate) program: &'a Command,
    pub(crate) levels: Vec<Level<'a>>,
    pub(crate) configuration: Configuration,
    /// Whether to print them and exit.
    pub(crate) to_print: bool,
    /// Possible mistakes.
    pub(crate) warnings: Vec<String>,
}

impl<'a> Settings<'a> {
    /// Finds the value of each option of `program`, whose command line was parsed as `matches`. The program must have
    /// been built.
    ///
    /// # Errors
    /// If the file cannot be read, or a value is invalid.
    pub(crate) fn gather(
        program: &'a Command,
        matches: &ArgMatches,
        sources: &ConfigSources,
    ) -> Result<Self, CommandError> {
        let configuration = Configuration::read(program, matches, sources)?;
        let reader = Reader {
            sources,
            file: match &configuration {
                Configuration::Read(file, _) => Some(file),
                Configuration::None(_) => None,
            },
        };
        let to_print = matches.get_flag(PRINT_OPTION);
        let mut levels = Vec::new();
        let (mut command, mut given) = (program, Some(matches));
        let mut path = Vec::new();
        while let Some(matches) = given {
            levels.push(reader.level(command, &path, Some(matches))?);
            given = None;
            if let Some((name, inner)) = matches.subcommand()
                && let Some(sub) = command.find_subcommand(name)
            {
                path.push(name.to_owned());
                (command, given) = (sub, Some(inner));
            }
        }
        if to_print {
            reader.commands_of(command, &path, &mut levels)?;
        }
        precedence::choose_cap_file(&mut levels);
        levels.iter_mut().for_each(precedence::resolve_conflicts);
        Ok(Self {
            program,
            warnings: unknown_variables::warnings(program, sources),
            levels,
            configuration,
            to_print,
        })
    }

    /// Returns whether all values are from the command line or defaults.
    pub(crate) fn are_all_flags(&self) -> bool {
        self.levels
            .iter()
            .flat_map(|level| &level.settings)
            .all(|setting| !matches!(setting.source, Source::Variable(_) | Source::File(_)))
    }

    /// Returns a command line with all these values.
    pub(crate) fn command_line(&self) -> Vec<OsString> {
        let mut words = vec![self.program.get_name().into()];
        for level in &self.levels {
            words.extend(level.path.last().map(OsString::from));
            for Setting {
                name,
                value,
                source,
                ..
            } in &level.settings
            {
                match (source, value) {
                    (Source::Default | Source::Argument, _) | (_, None) => {}
                    (_, Some(value)) => words.extend(value.words(name)),
                }
            }
            if !level.positionals.is_empty() {
                words.push("--".into());
                words.extend(level.positionals.iter().cloned());
            }
        }
        words
    }
}
